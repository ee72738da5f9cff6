/** How many bytes each kept record of a log takes: sixteen bytes of memory a record, however far apart their offsets are. */
import { NumberTable } from '../lib/number-table.ts'

export class RecordSizes {
  readonly #sizes = new NumberTable(2)
  /** All together. */
  bytes = 0

  /** Behind all others; there may be a gap before it. */
  add(offset: number, bytes: number): void {
    this.#sizes.set([offset, bytes])
    this.bytes += bytes
  }

  /** 0: there is none. */
  of(offset: number): number {
    return this.#sizes.get(offset)?.[1] ?? 0
  }

  /** The record is gone. */
  remove(offset: number): void {
    this.bytes -= this.of(offset)
    this.#sizes.delete(offset)
  }

  /** All before this one are gone. */
  raiseTo(offset: number): void {
    for (let { first } = this.#sizes; first < offset; { first } = this.#sizes) this.remove(first)
  }
}
