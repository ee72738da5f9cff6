/** What an account may have of streams: how many, how large, and how much all of them may hold. Checked where nats-server checks it, with its errors. */
import type { Clock } from '../../../lib/timers.ts'
import { type ApiError, refusal } from './errors.ts'
import type { Stream } from './stream.ts'
import type { StreamConfig } from './stream-config.ts'

/** -1: no limit, for each number; of `streams`, `consumers`, `ackPending` and what a stream may hold 0 is none either. */
export interface Limits {
  readonly streams: number
  /** Of each stream. */
  readonly consumers: number
  /** Of each consumer. */
  readonly ackPending: number
  /** Bytes of all streams of a kind. */
  readonly memoryBytes: number
  readonly diskBytes: number
  /** Bytes that a stream's configuration may allow it. */
  readonly memoryStreamBytes: number
  readonly diskStreamBytes: number
  /** A stream has to say how many bytes it may hold. */
  readonly bytesRequired: boolean
}

export interface AccountLimits {
  /** Of streams that stand once, as all do here; null: there may be none. */
  readonly own: Limits | null
  /** Where they are said for each number of copies: those, by nats-server's names for that. */
  readonly tiers: Readonly<Record<string, Limits>> | null
}

/** nats-server's name for what is said of streams that stand once. */
export const singleTier = 'R1'

export const noLimits: Limits = {
  streams: -1,
  consumers: -1,
  ackPending: -1,
  memoryBytes: -1,
  diskBytes: -1,
  memoryStreamBytes: -1,
  diskStreamBytes: -1,
  bytesRequired: false,
}

export const unlimited: AccountLimits = { own: noLimits, tiers: null }

type Kind = StreamConfig['storage']

const bytesMaxOf = (limits: Limits, kind: Kind): number => (kind === 'memory' ? limits.memoryBytes : limits.diskBytes)

/** What streams of a kind may come to hold, by their configurations. */
export function reserved(streams: readonly Stream[], kind: Kind): number {
  return streams.reduce((sum, { config }) => sum + (config.storage === kind ? Math.max(0, config.max_bytes) : 0), 0)
}

/** Throws {@link ApiError}. `others`: all streams but one of the new one's name. */
export function checkStreamLimits({ own: limits }: AccountLimits, others: readonly Stream[], config: StreamConfig): void {
  if (limits === null) throw refusal('noLimits')
  if (limits.streams > 0 && others.length >= limits.streams) throw refusal('streamLimit')
  checkReservation(limits, others, config)
  checkStreamBytes(limits, config)
}

/** The same of what a stream is to become. */
export function checkUpdateLimits({ own: limits }: AccountLimits, others: readonly Stream[], config: StreamConfig): void {
  if (limits === null) throw refusal('noLimits')
  checkStreamBytes(limits, config)
  checkReservation(limits, others, { ...config, max_bytes: Math.max(0, config.max_bytes) })
}

function checkReservation(limits: Limits, others: readonly Stream[], config: StreamConfig): void {
  if (limits.consumers > 0 && config.max_consumers > limits.consumers) throw refusal('consumerLimit')
  const most = bytesMaxOf(limits, config.storage)
  // Who says nothing may hold something.
  const asked = config.max_bytes < 0 ? 1 : config.max_bytes
  if (most >= 0 && reserved(others, config.storage) + asked > most)
    throw refusal(config.storage === 'memory' ? 'memoryExceeded' : 'storageExceeded')
}

function checkStreamBytes(limits: Limits, { storage, max_bytes: bytes }: StreamConfig): void {
  const most = storage === 'memory' ? limits.memoryStreamBytes : limits.diskStreamBytes
  if (limits.bytesRequired && bytes <= 0) throw refusal('streamBytesRequired')
  if (most > 0 && bytes > most) throw refusal('streamBytesExceeded')
}

/** What streams hold. */
export function heldBytes(streams: readonly Stream[]): { readonly memory: number; readonly storage: number } {
  let memory = 0
  let storage = 0
  for (const { config, bytes } of streams) {
    if (config.storage === 'memory') memory += bytes
    else storage += bytes
  }
  return { memory, storage }
}

/** How many consumers a stream may have; -1: any number. */
export function consumersMax({ own }: AccountLimits, { max_consumers: asked }: StreamConfig): number {
  const most = own?.consumers ?? -1
  return asked > 0 && (most <= 0 || asked <= most) ? asked : most > 0 ? most : -1
}

/** As they are shown to clients. */
export function shownLimits(limits: Limits): object {
  return {
    max_memory: limits.memoryBytes,
    max_storage: limits.diskBytes,
    max_streams: limits.streams,
    max_consumers: limits.consumers,
    max_ack_pending: limits.ackPending,
    memory_max_stream_bytes: limits.memoryStreamBytes,
    storage_max_stream_bytes: limits.diskStreamBytes,
    max_bytes_required: limits.bytesRequired,
  }
}

/** What a client sees where limits are said for each number of copies. */
export const shownInTiers: object = shownLimits({
  streams: 0,
  consumers: 0,
  ackPending: 0,
  memoryBytes: 0,
  diskBytes: 0,
  memoryStreamBytes: 0,
  diskStreamBytes: 0,
  bytesRequired: false,
})

/** Others than NATS's clients write, too: what they did is seen after so long, ms. */
const staleMs = 1000

/** Whether what streams of a kind hold together leaves room for a message. The sum is made anew when it is old, or there seems to be no room. */
export class Room {
  readonly #kind: Kind
  readonly #bytesMax: number
  readonly #streams: () => readonly Stream[]
  readonly #clock: Clock
  #used = 0
  #usedAt = Number.NEGATIVE_INFINITY
  /** Let through in this turn: not all of it is stored yet. */
  #underWay = 0

  constructor(limits: Limits, kind: Kind, streams: () => readonly Stream[], clock: Clock) {
    this.#kind = kind
    this.#bytesMax = bytesMaxOf(limits, kind)
    this.#streams = streams
    this.#clock = clock
  }

  /** What refuses a message of that size; null: it is counted. */
  take(bytes: number): ApiError | null {
    if (this.#bytesMax < 0) return null
    if (this.#clock.now() - this.#usedAt >= staleMs || this.#used + bytes > this.#bytesMax) this.#sum()
    if (this.#used + bytes > this.#bytesMax) return refusal('accountExceeded')
    if (this.#underWay === 0) queueMicrotask(() => (this.#underWay = 0))
    this.#underWay += bytes
    this.#used += bytes
    return null
  }

  #sum(): void {
    this.#usedAt = this.#clock.now()
    this.#used = this.#underWay
    for (const stream of this.#streams()) if (stream.config.storage === this.#kind) this.#used += stream.bytes
  }
}

/** What nats-server counts a message as, in the file of a stream or in memory. */
export function storedBytes(kind: Kind, subject: string, messageBytes: number, hasHeaders: boolean): number {
  return subject.length + messageBytes + (kind === 'memory' ? 16 : hasHeaders ? 34 : 30)
}
