/**
 * Rows of numbers in the order of their first, which is their key. There may be millions: they stand in columns, in stretches of some hundreds, which V8 stores
 * as bare numbers and does not look through for garbage.
 */
const stretchRows = 512

/** Columns of equal length, that of the keys first. */
type Stretch = readonly [keys: number[], ...others: number[][]]

export class NumberTable {
  readonly #width: number
  /** None is empty. */
  #stretches: Stretch[] = []
  #size = 0

  /** `width`: numbers in a row, with the key. */
  constructor(width: number) {
    this.#width = width
  }

  get size(): number {
    return this.#size
  }

  /** The greatest key; -Infinity when there is none. */
  get last(): number {
    return this.#stretches.at(-1)?.[0].at(-1) ?? -Infinity
  }

  has(key: number): boolean {
    const stretch = this.#stretches[this.#stretchOf(key)]
    return stretch !== undefined && stretch[0][placeOf(stretch, key)] === key
  }

  get(key: number): number[] | undefined {
    const stretch = this.#stretches[this.#stretchOf(key)]
    const at = stretch === undefined ? 0 : placeOf(stretch, key)
    if (stretch?.[0][at] !== key) return undefined
    return stretch.map((column) => column[at] as number) // of equal length
  }

  /** In the place of the row with this key, if there is one. */
  set(row: readonly number[]): void {
    const key = row[0] as number // rows are not empty
    const index = key > this.last ? this.#forAppending() : this.#stretchOf(key)
    const stretch = this.#stretches[index] as Stretch // there is one that ends behind the key
    const at = placeOf(stretch, key)
    const replaces = stretch[0][at] === key ? 1 : 0
    for (let column = 0; column < this.#width; column++) {
      const values = stretch[column] as number[] // column < width
      const value = row[column] as number
      if (at === values.length) values.push(value)
      else values.splice(at, replaces, value)
    }
    if (replaces === 1) return
    this.#size++
    if (stretch[0].length > stretchRows) this.#split(index)
  }

  /** Whether it was there. */
  delete(key: number): boolean {
    const index = this.#stretchOf(key)
    const stretch = this.#stretches[index]
    const at = stretch === undefined ? 0 : placeOf(stretch, key)
    if (stretch?.[0][at] !== key) return false
    for (const column of stretch) column.splice(at, 1)
    this.#size--
    if (stretch[0].length === 0) this.#stretches.splice(index, 1)
    return true
  }

  clear(): void {
    this.#stretches = []
    this.#size = 0
  }

  /** The stretch that takes what comes behind all others. */
  #forAppending(): number {
    const last = this.#stretches.at(-1)
    if (last === undefined || last[0].length >= stretchRows)
      this.#stretches.push([[], ...Array.from({ length: this.#width - 1 }, (): number[] => [])])
    return this.#stretches.length - 1
  }

  #split(index: number): void {
    const stretch = this.#stretches[index] as Stretch // it has just grown
    const half = stretch[0].length >> 1
    const [keys, ...others] = stretch
    this.#stretches.splice(index + 1, 0, [keys.splice(half), ...others.map((column) => column.splice(half))])
  }

  /** The first stretch that ends with this key or a greater one. */
  #stretchOf(key: number): number {
    let low = 0
    let high = this.#stretches.length
    while (low < high) {
      const middle = (low + high) >> 1
      const [keys] = this.#stretches[middle] as Stretch // middle < length
      if ((keys.at(-1) as number) < key) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** The first row whose key is not smaller. */
function placeOf([keys]: Stretch, key: number): number {
  let low = 0
  let high = keys.length
  if (high > 0 && (keys[high - 1] as number) < key) return high
  while (low < high) {
    const middle = (low + high) >> 1
    if ((keys[middle] as number) < key) low = middle + 1
    else high = middle
  }
  return low
}
