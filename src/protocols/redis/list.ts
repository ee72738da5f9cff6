/**
 * One list: the ready records of a queue, in the order that pushes gave them. Elements come in at one end and go out at the other; as long as that is so, the
 * log's order is the list's, and nothing is held here. Taking from the in-end, or from the middle, leaves it so. What breaks it (a push at the
 * out-end, LINSERT, LSET) makes the order one that is kept in memory (list-order.ts), until the list is empty; elements that stand elsewhere than in
 * the log carry their position (list-position.ts), so that a restart finds it again.
 *
 * What has to read records is a generator: it yields the record that must be loaded first, which is rare, and goes on when it is there.
 */
import type { ReadyRecord, ReadyRecords } from '../../broker/face.ts'
import { RedisError, words } from './errors.ts'
import { elementFormatId, elementOf, encodePlaced, placedFormatId, positionOf } from './list-envelope.ts'
import { ListOrder } from './list-order.ts'
import { positionBefore, positionBetween, positionOfOffset } from './list-position.ts'

export type End = 'left' | 'right'
export const otherEnd = (end: End): End => (end === 'left' ? 'right' : 'left')

/** A record that stands on the disk alone. */
export interface Missing {
  readonly records: { load(place: number, done: (error: Error | null) => void): void }
  readonly place: number
}

/** Yields what has to be loaded before it goes on. */
export type Steps<Result> = Generator<Missing, Result, void>

/** What a list needs around it. */
export interface ListHost {
  readonly records: ReadyRecords
  /** Others read it as a log: elements have no places but those in it. */
  readonly isLog: boolean
  /** Appends to the log; returns the place of the first. `replacing`: for this queue alone, since it is no new element. Throws CoreError. */
  append(format: number, payloads: readonly Buffer[], replacing: boolean): number
  /** All of `run` is one entry of the write-ahead log. */
  together(run: () => void): void
  remember(memory: ListMemory): void
}

/** What a restart must know of a list. */
export interface ListMemory {
  readonly inEnd: End
  /** Elements carry positions. */
  readonly kept: boolean
}

/** For commands that change several keys at once, and cannot wait between. */
export function atOnce<Result>(steps: Steps<Result>): Result {
  const step = steps.next()
  if (step.done === true) return step.value
  throw new RedisError('ERR the key holds too much for this: part of it is on the disk alone')
}

export class List {
  readonly #host: ListHost
  /** null: no command has said yet. */
  #inEnd: End | null
  #order: ListOrder | null = null
  /** Positions have to be read from the records first. */
  #unread: boolean

  constructor(host: ListHost, memory: ListMemory | null) {
    this.#host = host
    this.#inEnd = memory?.inEnd ?? null
    this.#unread = memory?.kept ?? false
  }

  get length(): number {
    return this.#host.records.count
  }

  get #records(): ReadyRecords {
    return this.#host.records
  }

  /** Where elements come in: what other protocols publish comes in from the left, and leaves on the right, unless a command has said otherwise. */
  get inEnd(): End {
    return this.#inEnd ?? 'left'
  }

  /** False when {@link push} and {@link popOne} must wait for {@link prepare}. */
  get isPrepared(): boolean {
    return !this.#unread
  }

  // ------------------------------------------------------------------------------------------------------------------- pushing

  push(end: End, elements: readonly Buffer[]): number {
    if (this.#inEnd !== end) {
      if (this.#inEnd === null || this.#records.unfinished === 0) this.#begin(end)
      else {
        this.#pushOut(elements)
        return this.length
      }
    }
    this.#catchUp()
    const place = this.#host.append(elementFormatId, elements, false)
    if (this.#order !== null) this.#appended(place, elements.length)
    return this.length
  }

  #pushOut(elements: readonly Buffer[]): void {
    const order = this.#keep()
    let first = order.length === 0 ? positionOfOffset(order.seen) : this.#positionAt(order, 0)
    const positions = elements.map(() => (first = positionBefore(first)))
    const payloads = elements.map((element, index) => encodePlaced(positions[index] as string, element)) // one for each
    const place = this.#host.append(placedFormatId, payloads, false)
    for (const [index, position] of positions.entries()) {
      order.unshift(place + index)
      order.positions.set(place + index, position)
    }
    order.seen = place + elements.length
  }

  #appended(place: number, count: number): void {
    const order = this.#order
    if (order === null) return
    for (let at = place; at < place + count; at++) order.push(at)
    order.seen = place + count
  }

  #begin(end: End): void {
    const kept = this.#order !== null && this.#records.unfinished > 0
    if (!kept) this.#order = null
    this.#inEnd = end
    this.#host.remember({ inEnd: end, kept })
  }

  // ------------------------------------------------------------------------------------------------------------------- popping

  /** The element at an end; null: there is none, undefined: {@link pop} must load it. */
  popOne(end: End): Buffer | null | undefined {
    this.#decide(otherEnd(end))
    const walk = this.walk(end)
    for (let place = walk.next(); place >= 0; place = walk.next()) {
      const record = this.#records.get(place)
      if (record === undefined) return undefined
      if (record === null) continue
      const element = elementOf(record)
      this.#records.take(place)
      this.#ended()
      return element
    }
    return null
  }

  *pop(end: End, count: number): Steps<Buffer[]> {
    yield* this.prepare()
    this.#decide(otherEnd(end))
    const elements: Buffer[] = []
    const walk = this.walk(end)
    for (let place = walk.next(); place >= 0 && elements.length < count; place = elements.length < count ? walk.next() : -1) {
      const record = yield* this.#get(place)
      if (record === null) continue
      elements.push(elementOf(record))
      this.#records.take(place)
    }
    this.#ended()
    return elements
  }

  /** A command that takes says where elements go out. */
  #decide(inEnd: End): void {
    if (this.#inEnd === null && this.length > 0) this.#begin(inEnd)
  }

  /** With its last element a list forgets its order. */
  #ended(): void {
    if (this.#order === null || this.#records.unfinished > 0) return
    this.#order = null
    this.#host.remember({ inEnd: this.inEnd, kept: false })
  }

  // ------------------------------------------------------------------------------------------------------------------- looking

  *range(first: number, last: number): Steps<Buffer[]> {
    yield* this.prepare()
    const { length } = this
    const from = Math.max(0, first < 0 ? first + length : first)
    const to = Math.min(length - 1, last < 0 ? last + length : last)
    if (from > to) return []
    const near = from <= length - 1 - to
    const walk = this.walk(near ? 'left' : 'right')
    walk.skip(near ? from : length - 1 - to)
    const elements: Buffer[] = []
    for (let left = to - from + 1; left > 0; left--) {
      const place = walk.next()
      if (place < 0) break
      const record = yield* this.#get(place)
      if (record !== null) elements.push(elementOf(record))
      else left++
    }
    return near ? elements : elements.reverse()
  }

  /** All from the left, as they are when this is done: where some had to be read, what came and went meanwhile counts. */
  *all(): Steps<Buffer[]> {
    yield* this.prepare()
    const known = new Map<number, Buffer>()
    for (;;) {
      const elements: Buffer[] = []
      const walk = this.walk('left')
      let waited = false
      for (let place = walk.next(); place >= 0; place = walk.next()) {
        let element = known.get(place)
        if (element === undefined) {
          if (this.#records.get(place) === undefined) waited = true
          const record = yield* this.#get(place)
          if (record === null) continue
          element = elementOf(record)
          known.set(place, element)
        }
        elements.push(element)
      }
      if (!waited) return elements
    }
  }

  *index(index: number): Steps<Buffer | null> {
    yield* this.prepare()
    const place = this.#placeAt(index)
    const record = place < 0 ? null : yield* this.#get(place)
    return record === null ? null : elementOf(record)
  }

  /** Indexes of elements that equal `wanted`, from the `rank`th on, of at most `compared` elements (0: all); `count` 0: all of them. */
  *positions(wanted: Buffer, rank: number, count: number, compared: number): Steps<number[]> {
    yield* this.prepare()
    const { length } = this
    const fromLeft = rank > 0
    const walk = this.walk(fromLeft ? 'left' : 'right')
    const found: number[] = []
    let skip = Math.abs(rank) - 1
    let index = 0
    for (let place = walk.next(); place >= 0; place = walk.next()) {
      if (compared > 0 && index >= compared) break
      const record = yield* this.#get(place)
      if (record === null) continue
      if (elementOf(record).equals(wanted) && skip-- <= 0) {
        found.push(fromLeft ? index : length - 1 - index)
        if (found.length === count) break
      }
      index++
    }
    return found
  }

  // ------------------------------------------------------------------------------------------------------------------ changing

  *set(index: number, element: Buffer): Steps<void> {
    yield* this.prepare()
    const place = this.#placeAt(index)
    const record = place < 0 ? null : yield* this.#get(place)
    if (record === null) throw new RedisError(words.outOfRange)
    const order = this.#keep()
    const at = this.#indexOf(order, place)
    const position = this.#positionAt(order, at)
    this.#host.together(() => {
      const by = this.#host.append(placedFormatId, [encodePlaced(position, element)], true)
      this.#records.drop(place)
      order.replace(at, by)
      order.positions.delete(place)
      order.positions.set(by, position)
      order.seen = by + 1
    })
  }

  /** The new length; -1: there is no such pivot. */
  *insert(where: 'before' | 'after', pivot: Buffer, element: Buffer): Steps<number> {
    yield* this.prepare()
    const walk = this.walk('left')
    for (let place = walk.next(); place >= 0; place = walk.next()) {
      const record = yield* this.#get(place)
      if (record === null || !elementOf(record).equals(pivot)) continue
      this.#insertAt(place, where, element)
      return this.length
    }
    return -1
  }

  #insertAt(pivot: number, where: 'before' | 'after', element: Buffer): void {
    const order = this.#keep()
    // The order runs from the out-end to the in-end.
    const ahead = (where === 'before') === (this.inEnd === 'right')
    const at = this.#indexOf(order, pivot) + (ahead ? 0 : 1)
    if (at === order.length) return this.#appended(this.#host.append(elementFormatId, [element], false), 1)
    if (at === 0) return this.#pushOut([element])
    const position = positionBetween(this.#positionAt(order, at - 1), this.#positionAt(order, at))
    const place = this.#host.append(placedFormatId, [encodePlaced(position, element)], false)
    order.insert(at, place)
    order.positions.set(place, position)
    order.seen = place + 1
  }

  /** How many went: at most `count` from the left, or -count from the right; 0: all. */
  *remove(count: number, element: Buffer): Steps<number> {
    yield* this.prepare()
    const most = count === 0 ? Infinity : Math.abs(count)
    const walk = this.walk(count < 0 ? 'right' : 'left')
    const found: number[] = []
    for (let place = walk.next(); place >= 0 && found.length < most; place = walk.next()) {
      const record = yield* this.#get(place)
      if (record !== null && elementOf(record).equals(element)) found.push(place)
    }
    for (const place of found) this.#records.drop(place)
    this.#ended()
    return found.length
  }

  *trim(first: number, last: number): Steps<void> {
    yield* this.prepare()
    const { length } = this
    const from = Math.max(0, first < 0 ? first + length : first)
    const to = Math.min(length - 1, last < 0 ? last + length : last)
    if (from > to) this.#records.takeAll()
    else {
      this.#drop('left', from)
      this.#drop('right', length - 1 - to)
    }
    this.#ended()
  }

  #drop(end: End, count: number): void {
    const walk = this.walk(end)
    for (let left = count; left > 0; left--) {
      const place = walk.next()
      if (place < 0) return
      this.#records.drop(place)
    }
  }

  clear(): number {
    const dropped = this.#records.takeAll()
    this.#ended()
    return dropped
  }

  // ---------------------------------------------------------------------------------------------------------------- the order

  /** Places of elements from an end on. */
  walk(from: End): Walk {
    const outward = from !== this.inEnd
    const order = this.#catchUp()
    return order === null ? new LogWalk(this.#records, outward) : new OrderWalk(this.#records, order, outward)
  }

  /** After a restart, positions are read from the records. */
  *prepare(): Steps<void> {
    if (!this.#unread) return
    const records = this.#records
    const placed: { readonly place: number; readonly position: string; readonly said: boolean }[] = []
    for (let place = records.notDone(0); place >= 0; place = records.notDone(place + 1)) {
      // One that somebody has in flight already is taken to stand where the log has it.
      const record = yield* this.#get(place)
      const said = record === null ? null : positionOf(record)
      placed.push({ place, position: said ?? positionOfOffset(place), said: said !== null })
    }
    placed.sort((a, b) => (a.position < b.position ? -1 : a.position > b.position ? 1 : a.place - b.place))
    const order = new ListOrder()
    for (const { place, position, said } of placed) {
      order.push(place)
      if (said) order.positions.set(place, position)
      order.seen = Math.max(order.seen, place + 1)
    }
    this.#unread = false
    this.#order = order
    this.#ended()
  }

  /** From here on the order stands in memory. */
  #keep(): ListOrder {
    const present = this.#catchUp()
    if (present !== null) return present
    if (this.#host.isLog) throw new RedisError('ERR this topic is kept as a log: elements can only be added where others come in')
    if (this.#records.lanes > 1)
      throw new RedisError('ERR this queue has priorities or several partitions: elements can only be added where others come in')
    this.#order = new ListOrder()
    // An order that stands cannot be seen from the other end later.
    this.#inEnd = this.inEnd
    this.#host.remember({ inEnd: this.#inEnd, kept: true })
    return this.#catchUp() ?? this.#order
  }

  /** What came in meanwhile takes its place, what went leaves it. */
  #catchUp(): ListOrder | null {
    const order = this.#order
    if (order === null) return null
    const records = this.#records
    for (let place = records.notDone(order.seen); place >= 0; place = records.notDone(order.seen)) {
      order.push(place)
      order.seen = place + 1
    }
    order.tidy((place) => records.isDone(place), records.unfinished)
    return order
  }

  #positionAt(order: ListOrder, index: number): string {
    const place = order.at(index)
    return order.positions.get(place) ?? positionOfOffset(place)
  }

  #indexOf(order: ListOrder, place: number): number {
    let index = 0
    while (order.at(index) !== place) index++
    return index
  }

  #placeAt(index: number): number {
    const { length } = this
    const at = index < 0 ? index + length : index
    if (at < 0 || at >= length) return -1
    const near = at <= length / 2
    const walk = this.walk(near ? 'left' : 'right')
    walk.skip(near ? at : length - 1 - at)
    return walk.next()
  }

  *#get(place: number): Steps<ReadyRecord | null> {
    for (;;) {
      const record = this.#records.get(place)
      if (record !== undefined) return record
      yield { records: this.#records, place }
    }
  }
}

export interface Walk {
  /** -1: there are no more. */
  next(): number
  skip(count: number): void
}

class LogWalk implements Walk {
  readonly #records: ReadyRecords
  readonly #forward: boolean
  #place = -1

  constructor(records: ReadyRecords, forward: boolean) {
    this.#records = records
    this.#forward = forward
  }

  next(): number {
    const place = this.#place
    if (place === -2) return -1
    const next =
      place === -1
        ? this.#forward
          ? this.#records.first()
          : this.#records.last()
        : this.#forward
          ? this.#records.after(place)
          : this.#records.before(place)
    this.#place = next < 0 ? -2 : next
    return next
  }

  skip(count: number): void {
    for (let left = count; left > 0 && this.next() >= 0; left--);
  }
}

class OrderWalk implements Walk {
  readonly #records: ReadyRecords
  readonly #order: ListOrder
  readonly #forward: boolean
  #at = 0

  constructor(records: ReadyRecords, order: ListOrder, forward: boolean) {
    this.#records = records
    this.#order = order
    this.#forward = forward
  }

  next(): number {
    const order = this.#order
    while (this.#at < order.length) {
      const index = this.#at++
      const place = order.at(this.#forward ? index : order.length - 1 - index)
      if (this.#records.has(place)) return place
    }
    return -1
  }

  skip(count: number): void {
    for (let left = count; left > 0 && this.next() >= 0; left--);
  }
}
