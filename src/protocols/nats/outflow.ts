/**
 * What waits to be sent. While it is too much for all clients together, nothing is read from those who publish, so that a publisher that is faster than its
 * many subscribers does not fill the memory; while it is much for one client (behind.ts), nothing is read from those whose messages it gets. Each
 * subscriber has a limit of its own besides (session.ts).
 */
import type { Broker } from '../../broker/face.ts'
import type { Clock } from '../../lib/timers.ts'
import { Behind, isFarBehind } from './behind.ts'

const waitingBytesMax = 128 * 1024 * 1024
/** From here on publishers are read again. */
const waitingBytesLow = 96 * 1024 * 1024
const lookAgainMs = 5
/** For so long publishers wait; then they wait no more for whoever is behind most. */
const patienceMs = 2000

export interface Receiving {
  /** Bytes that it was written and has not taken. */
  readonly outboundBytes: number
  /** Those that it has taken. */
  readonly takenBytes: number
  cutOff(): void
}

export interface Publishing {
  /** Reads nothing until {@link goOn}. */
  hold(): void
  goOn(): void
}

export class Outflow {
  readonly #clock: Clock
  /** As last measured. */
  readonly #waiting = new Map<Receiving, number>()
  readonly #behind = new Map<Receiving, Behind>()
  /** With the id of its connection. */
  readonly #held = new Map<Publishing, number>()
  #bytes = 0
  #measured = false
  /** When it became too much, ms; 0: it is not. */
  #fullSince = 0
  #looking = false
  #releasing = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get full(): boolean {
    return this.#fullSince > 0
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Something was written to a client: messages of `bytes` bytes, published by these connections. */
  wrote(client: Receiving, bytes: number, publishers: readonly number[]): void {
    const now = client.outboundBytes
    this.#bytes += now - (this.#waiting.get(client) ?? 0)
    this.#waiting.set(client, now)
    if (isFarBehind(now)) this.#fallBehind(client, bytes, publishers)
    if (this.#bytes <= waitingBytesMax || this.full) return
    this.#measureOnce()
    if (this.#bytes <= waitingBytesMax) return
    this.#fullSince = this.#clock.now()
    this.#look()
  }

  #fallBehind(client: Receiving, bytes: number, publishers: readonly number[]): void {
    let behind = this.#behind.get(client)
    if (behind === undefined) {
      behind = new Behind(client)
      this.#behind.set(client, behind)
      this.#look()
    }
    behind.wrote(bytes, publishers)
  }

  /** The client is gone, and what waited for it. */
  gone(client: Receiving & Publishing): void {
    this.#bytes -= this.#waiting.get(client) ?? 0
    this.#waiting.delete(client)
    this.#behind.delete(client)
    this.#held.delete(client)
  }

  /** Whether nothing is to be read from the connection for now. */
  mustWait(connection: number): boolean {
    if (this.full) return true
    for (const behind of this.#behind.values()) if (behind.isWaitedForBy(connection)) return true
    return false
  }

  hold(publisher: Publishing, connection: number): void {
    if (this.#held.has(publisher)) return
    this.#held.set(publisher, connection)
    publisher.hold()
  }

  /** Others may have taken theirs meanwhile. Once a turn: there may be many. */
  #measureOnce(): void {
    if (this.#measured) return
    this.#measured = true
    setImmediate(() => {
      this.#measured = false
    })
    this.#measure()
  }

  #measure(): void {
    this.#bytes = 0
    for (const client of this.#waiting.keys()) {
      const now = client.outboundBytes
      this.#bytes += now
      if (now === 0) this.#waiting.delete(client)
      else this.#waiting.set(client, now)
    }
  }

  #look(): void {
    if (this.#looking) return
    this.#looking = true
    // After what the kernel has to tell: when the broker itself stood still, clients may have taken much meanwhile.
    this.#clock.after(lookAgainMs, () => setImmediate(this.#lookNow))
  }

  readonly #lookNow = (): void => {
    this.#looking = false
    if (this.full) this.#lookAtAll()
    for (const [client, behind] of this.#behind) if (!behind.look()) this.#behind.delete(client)
    this.#release()
    if (this.full || this.#behind.size > 0) this.#look()
  }

  #lookAtAll(): void {
    this.#measure()
    if (this.#bytes <= waitingBytesLow) {
      this.#fullSince = 0
      return
    }
    const now = this.#clock.now()
    if (now - this.#fullSince <= patienceMs) return
    this.#fullSince = now
    this.#mostBehind()?.cutOff()
  }

  #mostBehind(): Receiving | undefined {
    let found: Receiving | undefined
    let most = 0
    for (const [client, bytes] of this.#waiting) {
      if (bytes <= most) continue
      found = client
      most = bytes
    }
    return found
  }

  /** One a turn: what it publishes may be too much again. */
  #release(): void {
    if (this.#releasing || this.full) return
    for (const [publisher, connection] of this.#held) {
      if (this.mustWait(connection)) continue
      this.#held.delete(publisher)
      this.#releasing = true
      setImmediate(() => {
        this.#releasing = false
        this.#release()
      })
      return publisher.goOn()
    }
  }
}

export function outflowOf(broker: Broker): Outflow {
  return broker.shared('nats.outflow', () => new Outflow(broker.clock))
}
