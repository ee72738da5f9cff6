/** The order of a list that is not the log's: places of its records from the end where elements come out to the end where they go in. */
export class ListOrder {
  #places: number[] = []
  /** Unused room at the front. */
  #head = 0
  /** Positions of records that do not stand where the log has them; see list-position.ts. */
  readonly positions = new Map<number, string>()
  /** Records from this place on are not in it yet. */
  seen = 0

  get length(): number {
    return this.#places.length - this.#head
  }

  at(index: number): number {
    return this.#places[this.#head + index] as number // callers stay within the length
  }

  push(place: number): void {
    this.#places.push(place)
  }

  unshift(place: number): void {
    if (this.#head === 0) {
      const room = Math.max(16, this.#places.length)
      this.#places = [...new Array<number>(room).fill(-1), ...this.#places]
      this.#head = room
    }
    this.#places[--this.#head] = place
  }

  insert(index: number, place: number): void {
    this.#places.splice(this.#head + index, 0, place)
  }

  replace(index: number, place: number): void {
    this.#places[this.#head + index] = place
  }

  /** Forgets places at both ends that are done, and all of them where they are many. */
  tidy(isDone: (place: number) => boolean, unfinished: number): void {
    while (this.length > 0 && isDone(this.at(0))) {
      this.positions.delete(this.at(0))
      this.#head++
    }
    while (this.length > 0 && isDone(this.at(this.length - 1))) this.positions.delete(this.#places.pop() as number) // not empty
    if (this.length <= 2 * unfinished + 64) {
      if (this.#head > this.length + 64) this.#cut()
      return
    }
    this.#cut()
    this.#places = this.#places.filter((place) => !isDone(place))
    for (const place of this.positions.keys()) if (isDone(place)) this.positions.delete(place)
  }

  #cut(): void {
    this.#places = this.#places.slice(this.#head)
    this.#head = 0
  }
}
