/**
 * Requests of the Redis protocol (RESP), which Disque speaks too: arrays of bulk strings, or a line of words as people type it. Replies are written by
 * reply.ts.
 *
 *   request = "*" count CRLF *( "$" length CRLF bytes CRLF )  |  words CRLF
 */

import { Request } from './request.ts'

/** The request cannot be read any further: said, then the connection ends. */
export class ProtocolError extends Error {}

const cr = 13
const lf = 10
/** A line: an inline request, or the number of arguments or of bytes. */
const lineBytesMax = 64 * 1024
/** A line with a number is hardly ever longer: so far it is looked through here, which takes less than a call of Buffer's own search. */
const shortLineBytes = 12
const argumentsMax = 1024 * 1024
/** Of a request that is looked through before it is known whether it is whole. */
const fewArgumentsMax = 64
/** What somebody who has not logged in may send. */
const strangerArgumentsMax = 10
const strangerBulkBytesMax = 16 * 1024
/** An announced argument gets its whole place at once up to here; beyond, as its bytes come. */
const placeBytesFirst = 1024 * 1024

const nothing = Buffer.alloc(0)

export class Decoder {
  readonly #bulkBytesMax: number
  readonly #requestBytesMax: number
  /** Where limits of strangers hold. */
  stranger: boolean
  #data: Buffer = nothing
  #at = 0
  readonly #request = new Request()
  /** Arguments still to come of the request being read; 0 between requests. */
  #missing = 0
  #arguments: Buffer[] = []
  #requestBytes = 0
  /** The length of the argument being read; -1: its line has not come. */
  #bulkBytes = -1
  /** An argument that straddles chunks: its place, and how much of it (and its CRLF) is there. */
  #place: Buffer | null = null
  #placed = 0

  constructor(limits: { bulkBytesMax: number; requestBytesMax: number; stranger: boolean }) {
    this.#bulkBytesMax = limits.bulkBytesMax
    this.#requestBytesMax = limits.requestBytesMax
    this.stranger = limits.stranger
  }

  push(chunk: Buffer): void {
    if (this.#place !== null) return this.#fill(chunk)
    const left = this.#data.length - this.#at
    this.#data = left === 0 ? chunk : Buffer.concat([this.#data.subarray(this.#at), chunk])
    this.#at = 0
  }

  /** Bytes that no request was made of yet. */
  get buffered(): number {
    return this.#data.length - this.#at + (this.#place === null ? 0 : this.#placed)
  }

  /** The next request, until it is called again; its arguments stand in chunks. null: more bytes are needed. Throws {@link ProtocolError}. */
  next(): Request | null {
    if (this.#missing === 0 && this.#readWhole()) return this.#request
    const args = this.#nextArguments()
    if (args === null) return null
    this.#request.show(args)
    return this.#request
  }

  /** Reads a request that stands in the chunk as a whole, as nearly all do. False, and nothing is read: it does not, or has to be looked at more closely. */
  #readWhole(): boolean {
    const data = this.#data
    const { length } = data
    let at = this.#at
    if (this.stranger || at >= length || data[at] !== 42) return false
    let missing = 0
    for (at++; at < length && data[at] !== cr; at++) missing = missing * 10 + digitAt(data, at)
    if (!(missing > 0 && missing <= fewArgumentsMax)) return false
    const request = this.#request
    request.begin(data)
    let bytes = 0
    for (at += 2; missing > 0; missing--) {
      if (at >= length || data[at] !== 36) return false
      let size = 0
      const digits = ++at
      for (; at < length && data[at] !== cr; at++) size = size * 10 + digitAt(data, at)
      const start = at + 2
      at = start + size + 2
      bytes += size
      if (!(at <= length && size <= this.#bulkBytesMax) || start === digits + 2) return false
      request.add(start, start + size)
    }
    if (bytes > this.#requestBytesMax) return false
    this.#at = at
    return true
  }

  #nextArguments(): Buffer[] | null {
    for (;;) {
      if (this.#missing > 0) return this.#readArguments() ? this.#complete() : null
      if (this.#at >= this.#data.length) return null
      const args = this.#data[this.#at] === 42 ? this.#begin() : this.#inline()
      if (args === null) return null
      if (args.length > 0) return args
      if (this.#missing === 0 && this.#at >= this.#data.length) return null
    }
  }

  #complete(): Buffer[] {
    const complete = this.#arguments
    this.#arguments = []
    this.#requestBytes = 0
    return complete
  }

  /** The line `*count`: an empty list when the arguments are to be read now (or there are none), null while the line is not whole. */
  #begin(): Buffer[] | null {
    const end = this.#lineEnd('too big mbulk count string')
    if (end < 0) return null
    const count = parseLength(this.#data, this.#at + 1, end)
    if (count === null || count > argumentsMax) throw new ProtocolError('Protocol error: invalid multibulk length')
    if (this.stranger && count > strangerArgumentsMax) throw new ProtocolError('Protocol error: unauthenticated multibulk length')
    this.#at = end + 2
    this.#missing = Math.max(0, count)
    return []
  }

  #readArguments(): boolean {
    while (this.#missing > 0) {
      if (this.#bulkBytes < 0 && !this.#readLength()) return false
      if (!this.#readBulk()) return false
      this.#missing--
      this.#bulkBytes = -1
    }
    return true
  }

  #readLength(): boolean {
    if (this.#at >= this.#data.length) return false
    const first = this.#data[this.#at] as number // at < length
    if (first !== 36) throw new ProtocolError(`Protocol error: expected '$', got '${printable(first)}'`)
    const end = this.#lineEnd('too big bulk count string')
    if (end < 0) return false
    const length = parseLength(this.#data, this.#at + 1, end)
    if (length === null || length < 0 || length > this.#bulkBytesMax)
      throw new ProtocolError('Protocol error: invalid bulk length')
    if (this.stranger && length > strangerBulkBytesMax) throw new ProtocolError('Protocol error: unauthenticated bulk length')
    this.#requestBytes += length
    if (this.#requestBytes > this.#requestBytesMax)
      throw new ProtocolError(`Protocol error: a request takes at most ${this.#requestBytesMax} bytes`)
    this.#at = end + 2
    this.#bulkBytes = length
    return true
  }

  #readBulk(): boolean {
    if (this.#place !== null) {
      if (this.#placed < this.#bulkBytes + 2) return false
      this.#arguments.push(this.#place.subarray(0, this.#bulkBytes))
      this.#place = null
      return true
    }
    const end = this.#at + this.#bulkBytes
    if (end + 2 <= this.#data.length) {
      this.#arguments.push(this.#data.subarray(this.#at, end))
      this.#at = end + 2
      return true
    }
    this.#place = Buffer.allocUnsafe(Math.min(this.#bulkBytes + 2, placeBytesFirst))
    this.#placed = 0
    const rest = this.#data.subarray(this.#at)
    this.#data = nothing
    this.#at = 0
    this.#fill(rest)
    return false
  }

  #fill(chunk: Buffer): void {
    const whole = this.#bulkBytes + 2
    const taken = Math.min(chunk.length, whole - this.#placed)
    let place = this.#place as Buffer // callers have one
    if (this.#placed + taken > place.length) {
      const grown = Buffer.allocUnsafe(Math.min(whole, Math.max(place.length * 2, this.#placed + taken)))
      place.copy(grown, 0, 0, this.#placed)
      place = this.#place = grown
    }
    chunk.copy(place, this.#placed, 0, taken)
    this.#placed += taken
    this.#data = chunk
    this.#at = taken
  }

  /** Where the CR of the line at hand is, or -1. A line may end with LF alone only where people type it. */
  #lineEnd(tooBig: string): number {
    const data = this.#data
    const near = Math.min(data.length - 1, this.#at + shortLineBytes)
    for (let at = this.#at; at < near; at++) if (data[at] === cr) return at
    const end = data.indexOf(cr, this.#at)
    if (end >= 0 && end + 1 < data.length) return end
    if (this.#data.length - this.#at > lineBytesMax) throw new ProtocolError(`Protocol error: ${tooBig}`)
    return -1
  }

  #inline(): Buffer[] | null {
    const end = this.#data.indexOf(lf, this.#at)
    if (end < 0) {
      if (this.#data.length - this.#at > lineBytesMax) throw new ProtocolError('Protocol error: too big inline request')
      return null
    }
    const stop = end > this.#at && this.#data[end - 1] === cr ? end - 1 : end
    const line = this.#data.toString('latin1', this.#at, stop)
    this.#at = end + 1
    const parts = splitWords(line)
    if (parts === null) throw new ProtocolError('Protocol error: unbalanced quotes in request')
    // A page in a browser can send such a request to any port, with commands for a body.
    if (/^(post|host:)$/i.test(parts[0] ?? '')) throw new ProtocolError('Protocol error: HTTP is not spoken here')
    return parts.map((part) => Buffer.from(part, 'latin1'))
  }
}

/** NaN where none stands. */
function digitAt(data: Buffer, at: number): number {
  const digit = (data[at] as number) - 48 // at < length
  return digit >= 0 && digit <= 9 ? digit : Number.NaN
}

/** Digits with an optional sign, or null. */
function parseLength(data: Buffer, start: number, end: number): number | null {
  let at = start
  const negative = data[at] === 45
  if (negative) at++
  if (at >= end || end - at > 10) return null
  let value = 0
  for (; at < end; at++) {
    const digit = (data[at] as number) - 48 // at < end
    if (digit < 0 || digit > 9) return null
    value = value * 10 + digit
  }
  return negative ? -value : value
}

const printable = (byte: number): string => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : `\\x${byte.toString(16)}`)

const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', a: '\x07' }

/** Words of a line with quotes as in a shell: `"…"` with escapes, `'…'` with `\'` alone. null: quotes are not balanced. */
export function splitWords(line: string): string[] | null {
  const found: string[] = []
  let at = 0
  for (;;) {
    while (at < line.length && isSpace(line[at])) at++
    if (at >= line.length) return found
    let word = ''
    while (at < line.length && !isSpace(line[at])) {
      const quote = line[at]
      if (quote !== '"' && quote !== "'") {
        word += line[at++]
        continue
      }
      const quoted = readQuoted(line, at + 1, quote)
      if (quoted === null || (quoted.end < line.length && !isSpace(line[quoted.end]))) return null
      word += quoted.text
      at = quoted.end
    }
    found.push(word)
  }
}

const isSpace = (char: string | undefined): boolean => char !== undefined && ' \t\n\r\v\f\0'.includes(char)

function readQuoted(line: string, from: number, quote: string): { text: string; end: number } | null {
  let text = ''
  for (let at = from; at < line.length; at++) {
    const char = line[at] as string // at < length
    if (char === quote) return { text, end: at + 1 }
    if (char !== '\\') {
      text += char
      continue
    }
    const next = line[at + 1]
    if (next === undefined) return null
    if (quote === "'") {
      text += next === "'" ? "'" : '\\'
      if (next === "'") at++
      continue
    }
    const hex = /^x([0-9a-fA-F]{2})/.exec(line.slice(at + 1, at + 4))
    text += hex === null ? (escapes[next] ?? next) : String.fromCharCode(Number.parseInt(hex[1] ?? '0', 16))
    at += hex === null ? 1 : 3
  }
  return null
}
