/**
 * Rows of numbers in the order of their first, which is their key. There may be millions: they stand in stretches of some hundreds, each the bytes of one
 * array, which is not looked through for garbage. Taking the first and adding behind the last, which is what queues do, moves nothing.
 */
const stretchRows = 512
const smallestRows = 8

export class NumberTable {
  readonly #width: number
  /** None is empty. */
  readonly #stretches: Stretch[] = []
  #size = 0

  /** `width`: numbers in a row, with the key. */
  constructor(width: number) {
    this.#width = width
  }

  get size(): number {
    return this.#size
  }

  /** The smallest key; Infinity when there is none. */
  get first(): number {
    return this.#stretches[0]?.firstKey ?? Infinity
  }

  /** The greatest key; -Infinity when there is none. */
  get last(): number {
    return this.#stretches.at(-1)?.lastKey ?? -Infinity
  }

  has(key: number): boolean {
    return this.#stretches[this.#stretchOf(key)]?.find(key) !== undefined
  }

  get(key: number): number[] | undefined {
    const stretch = this.#stretches[this.#stretchOf(key)]
    const at = stretch?.find(key)
    return stretch === undefined || at === undefined ? undefined : stretch.row(at)
  }

  /** In the place of the row with this key, if there is one. */
  set(row: readonly number[]): void {
    const key = row[0] as number // rows are not empty
    const index = key > this.last ? this.#forAppending() : this.#stretchOf(key)
    const stretch = this.#stretches[index] as Stretch // there is one that ends behind the key
    const at = stretch.placeOf(key)
    if (stretch.has(at, key)) return stretch.write(at, row)
    stretch.insert(at, row)
    this.#size++
    if (stretch.length > stretchRows) this.#stretches.splice(index + 1, 0, stretch.split())
  }

  /** Whether it was there. */
  delete(key: number): boolean {
    const index = this.#stretchOf(key)
    const stretch = this.#stretches[index]
    const at = stretch?.find(key)
    if (stretch === undefined || at === undefined) return false
    stretch.remove(at)
    this.#size--
    if (stretch.length === 0) this.#stretches.splice(index, 1)
    return true
  }

  clear(): void {
    this.#stretches.length = 0
    this.#size = 0
  }

  /** The stretch that takes what comes behind all others. */
  #forAppending(): number {
    const last = this.#stretches.at(-1)
    if (last === undefined || last.length >= stretchRows) this.#stretches.push(new Stretch(this.#width))
    return this.#stretches.length - 1
  }

  /** The first stretch that ends with this key or a greater one. */
  #stretchOf(key: number): number {
    let low = 0
    let high = this.#stretches.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#stretches[middle] as Stretch).lastKey < key)
        low = middle + 1 // middle < length
      else high = middle
    }
    return low
  }
}

/** Rows one behind the other; `at` counts them from the first. */
class Stretch {
  readonly #width: number
  #numbers: Float64Array
  /** Where the first row begins, in numbers. */
  #start = 0
  length = 0

  constructor(width: number, rows = smallestRows) {
    this.#width = width
    this.#numbers = new Float64Array(rows * width)
  }

  get firstKey(): number {
    return this.#key(0)
  }

  get lastKey(): number {
    return this.#key(this.length - 1)
  }

  #key(at: number): number {
    return this.#numbers[this.#start + at * this.#width] as number // callers know that it is there
  }

  /** Of the first row whose key is not smaller; behind the last when there is none. */
  placeOf(key: number): number {
    let low = 0
    let high = this.length
    if (high > 0) {
      if (this.firstKey >= key) return 0
      if (this.lastKey < key) return high
    }
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#key(middle) < key) low = middle + 1
      else high = middle
    }
    return low
  }

  /** undefined: there is no row with this key. */
  find(key: number): number | undefined {
    const at = this.placeOf(key)
    return this.has(at, key) ? at : undefined
  }

  has(at: number, key: number): boolean {
    return at < this.length && this.#key(at) === key
  }

  row(at: number): number[] {
    const from = this.#start + at * this.#width
    const row: number[] = []
    for (let column = 0; column < this.#width; column++) row.push(this.#numbers[from + column] as number) // within
    return row
  }

  write(at: number, row: readonly number[]): void {
    const from = this.#start + at * this.#width
    for (let column = 0; column < this.#width; column++) this.#numbers[from + column] = row[column] as number // rows are of this width
  }

  insert(at: number, row: readonly number[]): void {
    const width = this.#width
    if (this.#start + (this.length + 1) * width > this.#numbers.length) this.#makeRoom()
    const from = this.#start + at * width
    this.#numbers.copyWithin(from + width, from, this.#start + this.length * width)
    this.length++
    this.write(at, row)
  }

  /** To the beginning if half of it is free there, else in an array of twice the size. */
  #makeRoom(): void {
    const numbers = this.#numbers
    const used = this.length * this.#width
    if (2 * this.#start < numbers.length) this.#numbers = new Float64Array(2 * numbers.length)
    this.#numbers.set(numbers.subarray(this.#start, this.#start + used))
    this.#start = 0
  }

  remove(at: number): void {
    const width = this.#width
    this.length--
    if (at === 0) this.#start += width
    else {
      const from = this.#start + at * width
      this.#numbers.copyWithin(from, from + width, this.#start + (this.length + 1) * width)
    }
  }

  /** Gives the second half away. */
  split(): Stretch {
    const kept = this.length >> 1
    const other = new Stretch(this.#width, this.length)
    other.length = this.length - kept
    const from = this.#start + kept * this.#width
    other.#numbers.set(this.#numbers.subarray(from, this.#start + this.length * this.#width))
    this.length = kept
    return other
  }
}
