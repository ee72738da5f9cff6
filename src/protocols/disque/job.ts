/**
 * A job that the server remembers: one that is active (somebody has it, or it waits for its delay or its next delivery), or that came back and is counted.
 * All others are records of their topics alone.
 */
import { Buffer } from 'node:buffer'
import type { Held, ReadyRecord } from '../../broker/face.ts'
import { formats } from '../../core/record.ts'
import type { Timer } from '../../lib/timers.ts'
import { bodyOfJob, decodeHead, type JobHead, jobFormatId, retrySecondsMax } from './mapping.ts'
import type { Queue } from './queue.ts'

/**
 * queued ⇄ active → gone. `elsewhere`: a consumer of another protocol has it.
 */
export type State = 'queued' | 'active' | 'elsewhere' | 'gone'

export class Job {
  readonly id: string
  readonly queue: Queue
  readonly place: number
  readonly head: JobHead
  /** ms since the epoch; Infinity: it has no end. */
  readonly expiresAt: number
  state: State
  /** While it is active, unless it was delivered at most once: nobody else gets it. */
  held: Held | null = null
  /** When it is queued (again), ms since the epoch; 0: never. */
  requeueAt = 0
  timer: Timer | null = null
  nacks = 0
  /** Additional deliveries. */
  deliveries = 0
  /** It was ready before: to queue it again counts. */
  wasQueued = true
  /** Of one that was delivered and never will be again: its record is done. */
  body: Buffer | null = null

  constructor(id: string, queue: Queue, place: number, head: JobHead, expiresAt: number, state: State) {
    this.id = id
    this.queue = queue
    this.place = place
    this.head = head
    this.expiresAt = expiresAt
    this.state = state
  }

  /** As Disque orders jobs: ms times a million, and its number. */
  get createdAt(): bigint {
    return BigInt(this.head.createdMs) * 1_000_000n + BigInt(this.head.sequence)
  }

  /** More than every job has to say. */
  get isCounted(): boolean {
    return this.nacks > 0 || this.deliveries > 0
  }
}

/** Of a record; one of another protocol has no end of its own and is delivered until it is acknowledged. */
export function headOf(record: ReadyRecord): JobHead {
  const own = record.format === jobFormatId ? decodeHead(envelopeOf(record)) : null
  if (own !== null) return own
  return {
    createdMs: record.timestamp,
    sequence: 0,
    ttlSeconds: Number.POSITIVE_INFINITY,
    delaySeconds: 0,
    retrySeconds: retrySecondsMax,
  }
}

export function bodyOf(record: ReadyRecord): Buffer {
  const envelope = envelopeOf(record)
  if (record.format === jobFormatId && decodeHead(envelope) !== null) return bodyOfJob(envelope)
  return formats.get(record.format).toAttributes(envelope).value ?? Buffer.alloc(0)
}

const envelopeOf = ({ buffer, start, end }: ReadyRecord): Buffer => buffer.subarray(start, end)
