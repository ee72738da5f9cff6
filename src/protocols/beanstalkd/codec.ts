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
  #rest: Buffer = nothing
  /** It is no view of a chunk that was pushed. */
  #owned = true
  /** The line was too long: all up to its end is passed over. */
  #skippingLine = false
  /** A body of which not all has come. */
  #joining: Joined | null = null

  /** What came and was not taken yet. */
  get buffered(): number {
    return this.#rest.length
  }

  /** The chunk is its sender's again after {@link keep}. */
  push(chunk: Buffer): void {
    const rest = this.#joining === null ? chunk : chunk.subarray(this.#joining.take(chunk, 0))
    this.#owned = this.#rest.length > 0
    this.#rest = this.#rest.length === 0 ? rest : Buffer.concat([this.#rest, rest])
  }

  /** The next line without its end; `tooLong` once for one that is; null when more is needed. */
  line(): string | 'tooLong' | null {
    for (;;) {
      const end = this.#rest.indexOf('\r\n')
      if (this.#skippingLine) {
        // A CR at the end may be the first half.
        if (end < 0) this.#rest = this.#rest.at(-1) === 0x0d ? Buffer.from('\r') : nothing
        if (end < 0) return null
        this.#skippingLine = false
        this.#take(end + 2)
        continue
      }
      if (end >= 0 && end + 2 <= lineBytesMax) return this.#take(end + 2).toString('latin1', 0, end)
      if (end < 0 && this.#rest.length < lineBytesMax) return null
      this.#skippingLine = true
      return 'tooLong'
    }
  }

  /** So many bytes, perhaps a view; null when more are needed, and then it is asked for as many again. */
  body(bytes: number): Buffer | null {
    if (this.#joining === null) {
      if (this.#rest.length >= bytes) return this.#take(bytes)
      this.#joining = new Joined(bytes)
      this.#joining.take(this.#rest, 0)
      this.#rest = nothing
    }
    const { whole } = this.#joining
    if (whole !== null) this.#joining = null
    return whole
  }

  /** Passes over up to so many bytes; returns how many are left to pass over. */
  skip(bytes: number): number {
    const here = Math.min(bytes, this.#rest.length)
    this.#take(here)
    return bytes - here
  }

  #take(bytes: number): Buffer {
    const taken = this.#rest.subarray(0, bytes)
    this.#rest = this.#rest.subarray(bytes)
    return taken
  }

  /** Nothing more is taken for now. */
  keep(): void {
    if (!this.#owned) this.#rest = this.#rest.length === 0 ? nothing : Buffer.from(this.#rest)
    this.#owned = true
  }
}

/** Reads the arguments of a line as the reference server does: blanks may stand before a number, and what follows is the next one's. */
export class Arguments {
  #rest: string

  constructor(text: string) {
    this.#rest = text
  }

  /** undefined: there is none, or it is too large. */
  u32(): number | undefined {
    const value = this.number()
    return value !== undefined && value <= 0xffffffff ? value : undefined
  }

  /** Ids beyond 2^53 are nobody's. */
  number(): number | undefined {
    const [text = '', digits = ''] = /^ *(\d+)/.exec(this.#rest) ?? []
    const isLong = digits.length > safeDigits
    if (digits === '' || (isLong && BigInt(digits) > 0xffffffffffffffffn)) return undefined
    this.#rest = this.#rest.slice(text.length)
    return Number(digits)
  }

  /** A tube's name with what follows it. */
  name(): string | undefined {
    const found = /^ *([A-Za-z0-9\-+/;.$_()]+)/.exec(this.#rest)
    if (found === null) return undefined
    this.#rest = this.#rest.slice(found[0].length)
    return found[1]
  }

  get isEmpty(): boolean {
    return this.#rest === ''
  }
}

export const isTubeName = (name: string): boolean => /^[A-Za-z0-9+/;.$_()][A-Za-z0-9\-+/;.$_()]{0,199}$/.test(name)
