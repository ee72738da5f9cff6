/**
 * The ready records of a subscription, looked at and taken in any order, ahead of what is durable: what is taken here counts as done at once, and
 * the frame being filled says so, so whoever takes tells its client after {@link Committer.whenDurable}. What others have in flight, and what waits,
 * is not here. Looking changes no delivery state.
 */
import { type Held, placesOfPartition, type ReadyRecord, type ReadyRecords } from '../broker/face.ts'
import { type Lane, Slot } from './lane.ts'
import { RecordReader } from './record-reader.ts'
import type { Subscription } from './subscription.ts'

export class ReadyView implements ReadyRecords {
  readonly #subscription: Subscription
  readonly #onTaken: (records: number, bytes: number) => void
  readonly #slot = new Slot()
  /** For each lane that was looked at. */
  readonly #readers: RecordReader[] = []

  constructor(subscription: Subscription, onTaken: (records: number, bytes: number) => void) {
    this.#subscription = subscription
    this.#onTaken = onTaken
  }

  get count(): number {
    return this.#subscription.idle ? 0 : this.#subscription.incoming
  }

  get lanes(): number {
    return this.#subscription.lanes.length
  }

  get unfinished(): number {
    let unfinished = 0
    for (const { acked, log } of this.#subscription.lanes) unfinished += log.next - acked.floor - acked.above
    return unfinished
  }

  first(): number {
    for (const lane of this.#inOrder()) {
      const offset = after(lane, -1)
      if (offset >= 0) return placeOf(lane, offset)
    }
    return -1
  }

  last(): number {
    const lanes = this.#inOrder()
    for (let at = lanes.length - 1; at >= 0; at--) {
      const lane = lanes[at] as Lane // at < length
      const offset = before(lane, lane.log.next)
      if (offset >= 0) return placeOf(lane, offset)
    }
    return -1
  }

  after(place: number): number {
    const lanes = this.#inOrder()
    const from = lanes.length === 1 ? 0 : lanes.indexOf(this.#lane(place))
    for (let at = from; at < lanes.length; at++) {
      const lane = lanes[at] as Lane // at < length
      const offset = after(lane, at === from ? place % placesOfPartition : -1)
      if (offset >= 0) return placeOf(lane, offset)
    }
    return -1
  }

  before(place: number): number {
    const lanes = this.#inOrder()
    const from = lanes.length === 1 ? 0 : lanes.indexOf(this.#lane(place))
    for (let at = from; at >= 0; at--) {
      const lane = lanes[at] as Lane // at < length
      const offset = before(lane, at === from ? place % placesOfPartition : lane.log.next)
      if (offset >= 0) return placeOf(lane, offset)
    }
    return -1
  }

  has(place: number): boolean {
    return !this.#subscription.idle && isReady(this.#lane(place), place % placesOfPartition)
  }

  isDone(place: number): boolean {
    const offset = place % placesOfPartition
    const lane = this.#lane(place)
    return offset >= lane.log.next || lane.acked.has(offset) || lane.log.hides(offset)
  }

  notDone(place: number): number {
    const { lanes } = this.#subscription
    for (
      let index = Math.floor(place / placesOfPartition), from = place % placesOfPartition;
      index < lanes.length;
      index++, from = 0
    ) {
      const { acked, log } = lanes[index] as Lane // index < length
      let offset = acked.nextMissing(from)
      while (offset < log.ahead && log.hides(offset)) offset = acked.nextMissing(offset + 1)
      if (offset < log.ahead) return index * placesOfPartition + offset
    }
    return -1
  }

  get(place: number): ReadyRecord | null | undefined {
    if (!this.has(place)) return null
    const lane = this.#lane(place)
    const offset = place % placesOfPartition
    const found = this.#reader(lane).find(offset, this.#slot)
    if (found === undefined) return undefined
    // A gap: nothing is there.
    if (!found) lane.acked.add(offset)
    if (!found || !this.#subscription.allows(lane, this.#slot)) return null
    return this.#slot
  }

  take(place: number): void {
    this.#subscription.takeAt(this.#looked(place), this.#slot)
  }

  hold(place: number): Held {
    return this.#subscription.askers.holdAt(this.#looked(place), this.#slot)
  }

  /** The lane of what was looked at last, which goes now. */
  #looked(place: number): Lane {
    const offset = place % placesOfPartition
    if (this.#slot.offset !== offset || !this.#slot.full)
      throw new Error(`the record at ${offset} was not looked at before it was taken`)
    this.#slot.full = false
    this.#onTaken(1, this.#slot.end - this.#slot.start)
    return this.#lane(place)
  }

  drop(place: number): void {
    if (this.has(place)) this.#subscription.dropAt(this.#lane(place), place % placesOfPartition)
  }

  takeAll(): number {
    const { liveBytes } = this.#subscription
    const taken = this.#subscription.purge(true)
    this.#onTaken(taken, liveBytes - this.#subscription.liveBytes)
    return taken
  }

  load(place: number, done: (error: Error | null) => void): void {
    this.#reader(this.#lane(place)).load(place % placesOfPartition, done)
  }

  #reader({ index, log }: Lane): RecordReader {
    return (this.#readers[index] ??= new RecordReader(log))
  }

  #lane(place: number): Lane {
    return this.#subscription.lanes[Math.floor(place / placesOfPartition)] as Lane // places come from here
  }

  #inOrder(): readonly Lane[] {
    const { lanes, host, idle } = this.#subscription
    if (idle) return []
    return lanes.length > 1 && host.priorityLanes ? host.byUrgency.map((index) => lanes[index] as Lane) : lanes // one for each
  }
}

const placeOf = (lane: Lane, offset: number): number => lane.index * placesOfPartition + offset

/** At somebody, or waiting to come again, though the lane has not come to it. */
const isOut = (lane: Lane, offset: number): boolean => lane.claimed.has(offset) || lane.held.has(offset)

function isReady(lane: Lane, offset: number): boolean {
  if (lane.acked.has(offset) || isOut(lane, offset) || offset >= lane.log.ahead || lane.log.hides(offset)) return false
  return offset >= lane.cursor || lane.returned.includes(offset)
}

/** The next ready offset behind `offset`; -1 when there is none. */
function after(lane: Lane, offset: number): number {
  lane.passClaimed()
  if (offset < lane.cursor) {
    for (const back of lane.returned) if (back > offset && isReady(lane, back)) return back
  }
  const { acked, log } = lane
  const end = log.ahead
  let next = acked.nextMissing(Math.max(offset + 1, lane.cursor))
  while (next < end && (log.hides(next) || isOut(lane, next))) next = acked.nextMissing(next + 1)
  return next < end ? next : -1
}

/** The ready offset before `offset`; -1 when there is none. */
function before(lane: Lane, offset: number): number {
  const { acked, log } = lane
  let previous = acked.previousMissing(Math.min(offset, log.ahead) - 1)
  while (previous >= lane.cursor && (log.hides(previous) || isOut(lane, previous))) previous = acked.previousMissing(previous - 1)
  if (previous >= lane.cursor) return previous
  const { returned } = lane
  for (let at = returned.length - 1; at >= 0; at--) {
    const back = returned[at] as number // at < length
    if (back < offset && isReady(lane, back)) return back
  }
  return -1
}
