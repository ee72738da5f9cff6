// One subscription: a place in a stream, credit in chunks, and whether it is its turn. Chunks go out as soon as there is something to read and
// credit for it.
import { type Connection, CoreError, type ReadResult, type Space } from '../../broker/face.ts'
import { type Chunk, chunksOf, deliverHead, type Filter } from './chunk.ts'
import type { OffsetSpec } from './commands.ts'
import type { Stream } from './streams.ts'

/** Asked of the log at a time. */
const readBytes = 512 * 1024

/** What it needs of its session. */
export interface SubscriptionHost {
  readonly connection: Connection
  readonly space: Space
  /** Version of Deliver that the client takes. */
  readonly deliverVersion: number
  /** Reading failed for good. */
  subscriptionFailed(subscription: Subscription, reason: string): void
}

export class Subscription {
  readonly id: number
  readonly stream: Stream
  readonly start: OffsetSpec
  readonly name: string
  readonly #host: SubscriptionHost
  readonly #filter: Filter | null
  credit: number
  /** Next offset to read; -1 while it is not its turn, or not known yet where to begin. */
  #position = -1
  #reading = false
  #pumping = false
  #cancelWake: (() => void) | null = null
  #closed = false

  constructor(
    host: SubscriptionHost,
    id: number,
    stream: Stream,
    start: OffsetSpec,
    credit: number,
    name: string,
    filter: Filter | null,
  ) {
    this.#host = host
    this.id = id
    this.stream = stream
    this.start = start
    this.credit = credit
    this.name = name
    this.#filter = filter
  }

  get running(): boolean {
    return 0 <= this.#position
  }

  run(position: number): void {
    if (this.#closed) return
    this.#position = position
    this.pump()
  }

  /** Nothing more until the next {@link run}. */
  halt(): void {
    this.#position = -1
    this.#cancelWake?.()
    this.#cancelWake = null
  }

  close(): void {
    this.#closed = true
    this.halt()
  }

  pump(): void {
    // A read may answer within its own call: the loop goes on there instead of going deeper.
    if (this.#pumping) return
    this.#pumping = true
    while (this.#mayRead()) {
      this.#reading = true
      const { topic, partition } = this.stream
      this.#host.space.read(topic.name, partition, this.#position, readBytes, (result) => {
        this.#reading = false
        this.#onRead(result)
        if (!this.#pumping) this.pump()
      })
    }
    this.#pumping = false
  }

  #mayRead(): boolean {
    return this.running && 0 < this.credit && !this.#reading && this.#cancelWake === null && !this.#host.connection.congested
  }

  #onRead(result: ReadResult): void {
    if (!this.running) return
    if (result.error === 'OutOfRange') {
      // Retention took what stood there, or the stream was cut short behind it: as RabbitMQ, at the first that is left, or at the end.
      this.#position = this.#position < result.startOffset ? result.startOffset : result.nextOffset
      return this.#position < result.nextOffset ? undefined : this.#sleep()
    }
    if (result.error !== null) {
      if (result.error !== 'NotFound') this.#host.subscriptionFailed(this, result.error)
      return this.halt()
    }
    const { chunks, next } = chunksOf(result.entries, this.#position, result.stableOffset, this.#filter)
    if (chunks.length === 0 && next === this.#position) {
      // There is nothing, or what there was has been taken away, before what is not decided yet.
      this.#position = Math.max(this.#position, result.stableOffset)
      return this.#sleep()
    }
    for (const chunk of chunks) {
      if (this.credit === 0) return
      this.credit--
      this.#deliver(chunk, result.stableOffset - 1)
      this.#position = chunk.nextOffset
    }
    this.#position = Math.max(this.#position, next)
    if (result.stableOffset <= this.#position) this.#sleep()
  }

  #sleep(): void {
    const { topic, partition } = this.stream
    let woken = false
    const cancel = this.#host.space.whenReadable(
      topic.name,
      partition,
      this.#position,
      () => {
        woken = true
        this.#cancelWake = null
        this.pump()
      },
      true,
    )
    if (!woken) this.#cancelWake = cancel
  }

  #deliver(chunk: Chunk, committed: number): void {
    const { connection, deliverVersion } = this.#host
    connection.write(deliverHead(deliverVersion, this.id, committed, chunk))
    for (const part of chunk.data) connection.write(part)
  }
}

/** The offset that a specification means now. */
export async function resolveOffset(space: Space, { topic, partition }: Stream, spec: OffsetSpec): Promise<number> {
  const status = space.status(topic.name)?.partitions[partition]
  if (status === undefined) throw new CoreError('NotFound', `no topic "${topic.name}"`)
  const { startOffset, nextOffset } = status
  switch (spec.type) {
    case 'first':
      return startOffset
    case 'none':
    case 'next':
      return nextOffset
    case 'offset':
      return Math.min(Math.max(startOffset, spec.offset), nextOffset)
    case 'timestamp':
      return (await space.offsetForTime(topic.name, partition, spec.timestamp))?.offset ?? nextOffset
    case 'last':
      return startOffset === nextOffset ? nextOffset : lastChunk(space, topic.name, partition, nextOffset)
  }
}

/** Where the last stored entry begins. */
function lastChunk(space: Space, topic: string, partition: number, nextOffset: number): Promise<number> {
  return new Promise((resolve) => {
    space.read(topic, partition, nextOffset - 1, 1, ({ entries }) => resolve(entries[0]?.baseOffset ?? nextOffset))
  })
}
