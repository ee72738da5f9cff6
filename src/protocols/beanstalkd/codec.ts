/**
 * Bytes → commands. A command is a line of at most 224 bytes that ends in CR LF; `put` is followed by a body, which {@link Decoder.body} reads, also
 * one that nobody wants.
 */
import { Buffer } from 'node:buffer'
import { Joined } from '../../lib/joined.ts'

const lineBytesMax = 224
const nothing = Buffer.alloc(0)
/** A number of so many is certainly exact. */
const safeDigits = 15

export class Decoder {
  /** What came, of which all before `at` was taken. */
  #chunk: Buffer = nothing
  #at = 0
  /** It is no view of a chunk that was pushed. */
  #owned = true
  /** The line was too long: all up to its end is passed over. */
  #skippingLine = false
  /** A body of which not all has come. */
  #joining: Joined | null = null

  /** What came and was not taken yet. */
  get buffered(): number {
    return this.#chunk.length - this.#at
  }

  /** The chunk is its sender's again after {@link keep}. */
  push(chunk: Buffer): void {
    const from = this.#joining === null ? 0 : this.#joining.take(chunk, 0)
    this.#owned = this.buffered > 0
    if (this.#owned) this.#hold(Buffer.concat([this.#chunk.subarray(this.#at), chunk.subarray(from)]))
    else this.#hold(chunk, from)
  }

  #hold(chunk: Buffer, at = 0): void {
    this.#chunk = chunk
    this.#at = at
  }

  /** The next line without its end; `tooLong` once for one that is; null when more is needed. */
  line(): string | 'tooLong' | null {
    if (this.#skippingLine && !this.#skipLine()) return null
    const end = this.#lineEnd()
    if (end >= 0) {
      const line = this.#chunk.toString('latin1', this.#at, end)
      this.#at = end + 2
      return line
    }
    if (this.buffered < lineBytesMax) return null
    this.#skippingLine = true
    return 'tooLong'
  }

  /** Where the CR of the next line is, if the line is no longer than it may be; else -1. Lines are short: a call of indexOf costs more. */
  #lineEnd(): number {
    const chunk = this.#chunk
    const last = Math.min(chunk.length - 1, this.#at + lineBytesMax - 1)
    for (let at = this.#at; at < last; at++) if (chunk[at] === 0x0d && chunk[at + 1] === 0x0a) return at
    return -1
  }

  /** Whether the end of the line has come that is passed over. */
  #skipLine(): boolean {
    const chunk = this.#chunk
    const end = chunk.indexOf('\r\n', this.#at)
    // A CR at the end may be the first half.
    if (end < 0) this.#at = this.buffered > 0 && chunk[chunk.length - 1] === 0x0d ? chunk.length - 1 : chunk.length
    else this.#at = end + 2
    this.#skippingLine = end < 0
    return end >= 0
  }

  /** So many bytes, perhaps a view; null when more are needed, and then it is asked for as many again. */
  body(bytes: number): Buffer | null {
    if (this.#joining === null) {
      const end = this.#at + bytes
      if (this.#chunk.length >= end) {
        const body = this.#chunk.subarray(this.#at, end)
        this.#at = end
        return body
      }
      this.#joining = new Joined(bytes)
      this.#joining.take(this.#chunk, this.#at)
      this.#hold(nothing)
    }
    const { whole } = this.#joining
    if (whole !== null) this.#joining = null
    return whole
  }

  /** Passes over up to so many bytes; returns how many are left to pass over. */
  skip(bytes: number): number {
    const here = Math.min(bytes, this.buffered)
    this.#at += here
    return bytes - here
  }

  /** Nothing more is taken for now. */
  keep(): void {
    if (this.buffered === 0) this.#hold(nothing)
    else if (!this.#owned) this.#hold(Buffer.from(this.#chunk.subarray(this.#at)))
    this.#owned = true
  }
}

/** Reads the arguments of a line as the reference server does: blanks may stand before a number, and what follows is the next one's. */
export class Arguments {
  readonly #text: string
  #at: number

  /** From `at` on. */
  constructor(text: string, at: number) {
    this.#text = text
    this.#at = at
  }

  /** What was not read. */
  get rest(): string {
    return this.#text.slice(this.#at)
  }

  /** undefined: there is none, or it is too large. */
  u32(): number | undefined {
    const value = this.number()
    return value !== undefined && value <= 0xffffffff ? value : undefined
  }

  /** Ids beyond 2^53 are nobody's. */
  number(): number | undefined {
    const text = this.#text
    const start = this.#afterBlanks()
    let value = 0
    let at = start
    for (; at < text.length; at++) {
      const digit = text.charCodeAt(at) - 0x30
      if (digit < 0 || digit > 9) break
      value = value * 10 + digit
    }
    if (at === start) return undefined
    if (at - start > safeDigits) {
      const exact = BigInt(text.slice(start, at))
      if (exact > 0xffffffffffffffffn) return undefined
      value = Number(exact)
    }
    this.#at = at
    return value
  }

  /** A tube's name with what follows it. */
  name(): string | undefined {
    const found = /^[A-Za-z0-9\-+/;.$_()]+/.exec(this.#text.slice(this.#afterBlanks()))
    if (found === null) return undefined
    this.#at = this.#afterBlanks() + found[0].length
    return found[0]
  }

  #afterBlanks(): number {
    let at = this.#at
    while (this.#text.charCodeAt(at) === 0x20) at++
    return at
  }

  get isEmpty(): boolean {
    return this.#at === this.#text.length
  }
}

export const isTubeName = (name: string): boolean => /^[A-Za-z0-9+/;.$_()][A-Za-z0-9\-+/;.$_()]{0,199}$/.test(name)
