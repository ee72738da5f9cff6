/**
 * A map of which any element can be picked by its place, for SCAN and random choice. Small ones keep the order of insertion; in larger ones the last
 * element takes the place of one that is removed.
 */

/** Up to so many elements order is kept, as in Redis's compact encodings. */
const orderedMax = 128

export class IndexedMap<V> {
  #places = new Map<string, number>()
  #keys: string[] = []
  #values: V[] = []

  get size(): number {
    return this.#keys.length
  }

  has(key: string): boolean {
    return this.#places.has(key)
  }

  get(key: string): V | undefined {
    const place = this.#places.get(key)
    return place === undefined ? undefined : this.#values[place]
  }

  keyAt(place: number): string | undefined {
    return this.#keys[place]
  }

  valueAt(place: number): V | undefined {
    return this.#values[place]
  }

  /** In the order of places; not to be changed. */
  keys(): readonly string[] {
    return this.#keys
  }

  values(): readonly V[] {
    return this.#values
  }

  /** True when the key is new. */
  set(key: string, value: V): boolean {
    const place = this.#places.get(key)
    if (place !== undefined) {
      this.#values[place] = value
      return false
    }
    this.#places.set(key, this.#keys.length)
    this.#keys.push(key)
    this.#values.push(value)
    return true
  }

  delete(key: string): boolean {
    const place = this.#places.get(key)
    if (place === undefined) return false
    this.#places.delete(key)
    const last = this.#keys.length - 1
    if (last < orderedMax) {
      this.#keys.splice(place, 1)
      this.#values.splice(place, 1)
      for (let at = place; at < last; at++) this.#places.set(this.#keys[at] as string, at) // at < length
      return true
    }
    const lastKey = this.#keys.pop() as string // it has elements
    const lastValue = this.#values.pop() as V
    if (place < last) {
      this.#keys[place] = lastKey
      this.#values[place] = lastValue
      this.#places.set(lastKey, place)
    }
    return true
  }

  clear(): void {
    this.#places = new Map()
    this.#keys = []
    this.#values = []
  }

  swap(other: IndexedMap<V>): void {
    ;[this.#places, other.#places] = [other.#places, this.#places]
    ;[this.#keys, other.#keys] = [other.#keys, this.#keys]
    ;[this.#values, other.#values] = [other.#values, this.#values]
  }

  /**
   * Visits some elements from a cursor on (0 begins) and returns the next, 0 at the end. It goes from the last place to the first: what moves when
   * an element is removed moves to a place that was visited or is still to come, so whatever stays is met.
   */
  scan(cursor: number, count: number, visit: (key: string, value: V) => void): number {
    let place = cursor === 0 ? this.#keys.length : Math.min(cursor, this.#keys.length)
    for (let left = count; left > 0 && place > 0; left--) {
      place--
      visit(this.#keys[place] as string, this.#values[place] as V) // place < length
    }
    return place
  }
}
