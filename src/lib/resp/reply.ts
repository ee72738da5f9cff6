/** Replies in RESP2 and RESP3. A command says what it means (a map, a double); what that looks like follows from the version its client speaks. */
import { withRoom } from '../growing.ts'

export interface Reply {
  /** 2 or 3. Where the two differ in shape, and not only in type, commands ask. */
  protocol: number
  /** `+text`. */
  status(text: string): void
  /** `-text`: code and message, without a line's end. */
  error(text: string): void
  /** A number beyond 2^53 comes as a bigint. */
  integer(value: number | bigint): void
  /** Strings are bytes as latin1. */
  bulk(bytes: Buffer | string): void
  /** No string: `$-1`, or `_`. */
  nil(): void
  /** No array: `*-1`, or `_`. */
  nilArray(): void
  /** In RESP2 a bulk string. `shown`: its digits, where they are not the fewest. */
  double(value: number, shown?: string): void
  /** In RESP2 1 or 0. */
  boolean(value: boolean): void
  /** `length` elements follow. */
  array(length: number): void
  /** `pairs` of key and value follow; in RESP2 a flat array. */
  map(pairs: number): void
  set(length: number): void
  push(length: number): void
  /** Text for people, UTF-8; `format` has three letters. In RESP2 a bulk string. */
  verbatim(format: string, text: string): void
}

/** An error reply is one line. */
export const oneLine = (text: string): string => text.replaceAll(/[\r\n]+/g, ' ')

/** As Redis prints it: the shortest text that reads back as the same number. */
export function formatDouble(value: number): string {
  if (Number.isNaN(value)) return 'nan'
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf'
  if (Object.is(value, -0)) return '-0'
  const text = String(value)
  const exponent = text.indexOf('e')
  if (exponent < 0) {
    // JavaScript writes digits up to 1e21 where C's %.17g changes to an exponent at 1e17.
    return Math.abs(value) >= 1e17 ? scientific(value) : text
  }
  // JavaScript writes 1e-7 where C has two digits at least.
  return scientific(value)
}

function scientific(value: number): string {
  const [mantissa = '', exponent = ''] = value.toExponential().split('e')
  const digits = exponent.replace(/^[+-]/, '')
  return `${mantissa}e${exponent.startsWith('-') ? '-' : '+'}${digits.padStart(2, '0')}`
}

const bufferBytesFirst = 1024
/** Kept for reuse up to this size. */
const bufferBytesKept = 1024 * 1024
/** Copied as they are written; longer ones by Buffer's own means. */
const shortBytesMax = 64

/** Bytes of replies, one after the other. */
export class ReplyWriter implements Reply {
  protocol = 2
  #buffer = Buffer.allocUnsafe(bufferBytesFirst)
  #used = 0

  get used(): number {
    return this.#used
  }

  /** What was written, as a view that the next write may overwrite after {@link clear}. */
  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#used)
  }

  clear(): void {
    this.#used = 0
    if (this.#buffer.length > bufferBytesKept) this.#buffer = Buffer.allocUnsafe(bufferBytesFirst)
  }

  /** Takes back what was written since `used` was so much. */
  truncate(used: number): void {
    this.#used = used
  }

  /** Bytes that are a reply, or part of one, already. */
  raw(bytes: Buffer): void {
    this.#room(bytes.length)
    bytes.copy(this.#buffer, this.#used)
    this.#used += bytes.length
  }

  status(text: string): void {
    this.#line(43, text)
  }

  error(text: string): void {
    this.#line(45, text)
  }

  integer(value: number | bigint): void {
    if (typeof value === 'number') this.#head(58, value)
    else this.#line(58, value.toString())
  }

  bulk(bytes: Buffer | string): void {
    const { length } = bytes
    this.#head(36, length)
    this.#room(length + 2)
    const buffer = this.#buffer
    let at = this.#used
    if (typeof bytes === 'string') {
      if (length <= shortBytesMax) for (let i = 0; i < length; i++) buffer[at + i] = bytes.charCodeAt(i)
      else buffer.write(bytes, at, length, 'latin1')
    } else bytes.copy(buffer, at)
    at += length
    buffer[at] = 13
    buffer[at + 1] = 10
    this.#used = at + 2
  }

  nil(): void {
    this.#line(this.protocol === 3 ? 95 : 36, this.protocol === 3 ? '' : '-1')
  }

  nilArray(): void {
    this.#line(this.protocol === 3 ? 95 : 42, this.protocol === 3 ? '' : '-1')
  }

  double(value: number, shown = formatDouble(value)): void {
    if (this.protocol === 3) this.#line(44, shown)
    else this.bulk(shown)
  }

  boolean(value: boolean): void {
    if (this.protocol === 3) this.#line(35, value ? 't' : 'f')
    else this.integer(value ? 1 : 0)
  }

  array(length: number): void {
    this.#head(42, length)
  }

  map(pairs: number): void {
    if (this.protocol === 3) this.#head(37, pairs)
    else this.#head(42, pairs * 2)
  }

  set(length: number): void {
    this.#head(this.protocol === 3 ? 126 : 42, length)
  }

  push(length: number): void {
    this.#head(this.protocol === 3 ? 62 : 42, length)
  }

  verbatim(format: string, text: string): void {
    if (this.protocol !== 3) return this.bulk(Buffer.from(text))
    const bytes = Buffer.from(`${format}:${text}`)
    this.#head(61, bytes.length)
    this.raw(bytes)
    this.#line(-1, '')
  }

  /** `type` text CRLF; no type when negative. */
  #line(type: number, text: string): void {
    this.#room(text.length * 3 + 3)
    const buffer = this.#buffer
    let at = this.#used
    if (type >= 0) buffer[at++] = type
    at += buffer.write(text, at)
    buffer[at] = 13
    buffer[at + 1] = 10
    this.#used = at + 2
  }

  /** `type` number CRLF. */
  #head(type: number, value: number): void {
    this.#room(32)
    const buffer = this.#buffer
    let at = this.#used
    buffer[at++] = type
    if (value >= 0 && value < 10) buffer[at++] = 48 + value
    else if (value >= 0 && value < 0x7fffffff) {
      let end = at + 1
      for (let rest = value; rest >= 10; rest = (rest / 10) | 0) end++
      let rest = value
      for (let place = end - 1; place >= at; place--) {
        buffer[place] = 48 + (rest % 10)
        rest = (rest / 10) | 0
      }
      at = end
    } else at += buffer.write(String(value), at, 'latin1')
    buffer[at] = 13
    buffer[at + 1] = 10
    this.#used = at + 2
  }

  #room(bytes: number): void {
    this.#buffer = withRoom(this.#buffer, this.#used, bytes)
  }
}
