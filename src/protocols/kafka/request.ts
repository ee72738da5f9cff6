// One request on its way through its handler (handlers/), and what it counts towards its client's quotas (quotas.ts).
import { type Api, beginResponse, encodeResponse, finishResponse } from './codec.ts'
import { KafkaError } from './errors.ts'
import type { ClientQuotaKey } from './quotas.ts'
import { Refused } from './refused.ts'
import type { Message } from './schema.ts'
import type { KafkaSession } from './session.ts'
import type { Reader, Writer } from './wire.ts'

/** One request and the place of its answer in the order of answers. */
export class Request {
  readonly session: KafkaSession
  readonly api: Api
  readonly version: number
  readonly correlationId: number
  readonly clientId: string | null
  readonly reader: Reader
  /** null: not answered yet. An empty list: answered with silence (acks=0). */
  answer: Buffer[] | null = null
  /** Runs once the answer has left. */
  whenSent: (() => void) | null = null
  #throttleTimeMs = 0
  /** Since when what is done for it now is done, ms; null: it waits, or nobody wants to know. */
  #startedAt: number | null = null

  constructor(session: KafkaSession, api: Api, version: number, correlationId: number, clientId: string | null, reader: Reader) {
    this.session = session
    this.api = api
    this.version = version
    this.correlationId = correlationId
    this.clientId = clientId
    this.reader = reader
  }

  body(): Message {
    return this.api.request.decode(this.reader, this.version)
  }

  /** The time to be silent is told wherever the answer has a place for it. */
  respond(body: Message): void {
    this.#countTime()
    const throttleTimeMs = this.#throttleTimeMs
    const told = throttleTimeMs === 0 ? body : { ...body, throttleTimeMs }
    this.finish(encodeResponse(this.api, this.version, this.correlationId, told))
  }

  /** For the answers written by hand. */
  begin(bytes?: number): Writer {
    return beginResponse(this.api, this.version, this.correlationId, bytes)
  }

  respondWritten(writer: Writer): void {
    this.finish(finishResponse(writer))
  }

  silent(): void {
    this.finish([])
  }

  /**
   * Counts towards a quota of the client. Who goes beyond is told with the answer how long to be silent, and not read for so long: the time so far, ms.
   */
  throttle(key: ClientQuotaKey, amount: number): number {
    this.#countTime()
    this.#record(key, amount)
    return this.#throttleTimeMs
  }

  #record(key: ClientQuotaKey, amount: number): void {
    const { session, clientId } = this
    const ms = session.quotas.record(key, session.principal.user, clientId ?? '', amount, session.broker.clock.now())
    this.#throttleTimeMs = Math.max(this.#throttleTimeMs, ms)
  }

  /**
   * Counts partitions made or deleted, before they are. Throws Refused for a client that made too many before, in versions whose clients know that
   * answer; one of an older version is only kept silent (KIP-599).
   */
  countMutations(partitions: number, strictFrom: number): void {
    const { session, clientId } = this
    const key = 'controller_mutation_rate'
    if (strictFrom <= this.version) {
      const owed = session.quotas.owed(key, session.principal.user, clientId ?? '', session.broker.clock.now())
      this.#throttleTimeMs = Math.max(this.#throttleTimeMs, owed)
      if (owed > 0) throw new Refused(KafkaError.ThrottlingQuotaExceeded, 'The throttling quota has been exceeded.')
      session.quotas.record(key, session.principal.user, clientId ?? '', partitions, session.broker.clock.now())
    } else this.#record(key, partitions)
  }

  /** Runs a part of what is done for the request, whose time counts towards a quota. */
  timed(run: () => void): void {
    if (!this.session.quotas.areTimed || this.#startedAt !== null) return run()
    this.#startedAt = performance.now()
    try {
      run()
    } finally {
      this.#countTime()
      this.#startedAt = null
    }
  }

  #countTime(): void {
    if (this.#startedAt === null) return
    const now = performance.now()
    this.#record('request_percentage', now - this.#startedAt)
    this.#startedAt = now
  }

  finish(answer: Buffer[]): void {
    if (this.answer !== null) return
    this.answer = answer
    if (this.#throttleTimeMs > 0) this.session.mute(this.#throttleTimeMs)
    this.session.onAnswered()
  }
}
