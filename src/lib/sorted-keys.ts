/** Many strings in order, at eight to sixteen bytes each: as arrays of at most a few hundred, so that one more moves few others. */

const chunkMax = 512

export class SortedKeys {
  /** None is empty. */
  readonly #chunks: string[][] = []
  size = 0

  /** Nothing changes when it is there. */
  add(key: string): void {
    const chunks = this.#chunks
    const at = Math.min(this.chunkAt(key, 0), chunks.length - 1)
    const chunk = chunks[at]
    if (chunk === undefined) chunks.push([key])
    else {
      const index = firstAtOrAfter(chunk, key, 0, chunk.length)
      if (chunk[index] === key) return
      chunk.splice(index, 0, key)
      if (chunk.length > chunkMax) chunks.splice(at + 1, 0, chunk.splice(chunkMax / 2))
    }
    this.size++
  }

  delete(key: string): void {
    const at = this.chunkAt(key, 0)
    const chunk = this.#chunks[at]
    if (chunk === undefined) return
    const index = firstAtOrAfter(chunk, key, 0, chunk.length)
    if (chunk[index] !== key) return
    chunk.splice(index, 1)
    if (chunk.length === 0) this.#chunks.splice(at, 1)
    this.size--
  }

  clear(): void {
    this.#chunks.length = 0
    this.size = 0
  }

  /** Before the first one. It does not outlive a change. */
  cursor(): Cursor {
    return new Cursor(this)
  }

  chunk(at: number): readonly string[] | undefined {
    return this.#chunks[at]
  }

  /** The first, from one on, whose last key is not before this one. */
  chunkAt(key: string, from: number): number {
    const chunks = this.#chunks
    let low = from
    let high = chunks.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const chunk = chunks[middle] as string[] // middle < length
      if ((chunk[chunk.length - 1] as string) < key) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** A place among them, which only goes on. */
export class Cursor {
  readonly #keys: SortedKeys
  #chunkAt = 0
  #chunk: readonly string[]
  #at = 0
  /** undefined: behind the last. */
  key: string | undefined

  constructor(keys: SortedKeys) {
    this.#keys = keys
    this.#chunk = keys.chunk(0) ?? []
    this.key = this.#chunk[0]
  }

  next(): void {
    if (++this.#at >= this.#chunk.length) this.#enter(this.#chunkAt + 1)
    this.key = this.#chunk[this.#at]
  }

  /** To the first that is not before `wanted`. */
  seek(wanted: string): void {
    if (this.key === undefined || this.key >= wanted) return
    this.next()
    // The next one mostly is.
    if (this.key === undefined || this.key >= wanted) return
    if ((this.#chunk[this.#chunk.length - 1] as string) < wanted) this.#enter(this.#keys.chunkAt(wanted, this.#chunkAt + 1))
    const chunk = this.#chunk
    let from = this.#at
    let step = 1
    while (from + step < chunk.length && (chunk[from + step] as string) < wanted) {
      from += step
      step *= 2
    }
    this.#at = firstAtOrAfter(chunk, wanted, from, Math.min(chunk.length, from + step))
    this.key = chunk[this.#at]
  }

  #enter(chunkAt: number): void {
    this.#chunkAt = chunkAt
    this.#chunk = this.#keys.chunk(chunkAt) ?? []
    this.#at = 0
    this.key = this.#chunk[0]
  }
}

function firstAtOrAfter(ascending: readonly string[], wanted: string, from: number, to: number): number {
  let low = from
  let high = to
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((ascending[middle] as string) < wanted)
      low = middle + 1 // middle < high <= length
    else high = middle
  }
  return low
}
