/**
 * What waits to be sent to all clients together. While it is too much, nothing is read from those who publish, so that a publisher that is faster than its
 * many subscribers does not fill the memory; each subscriber has a limit of its own besides (session.ts).
 */
import type { Broker } from '../../broker/face.ts'
import type { Clock } from '../../lib/timers.ts'

const waitingBytesMax = 128 * 1024 * 1024
/** From here on publishers are read again. */
const waitingBytesLow = 96 * 1024 * 1024
const lookAgainMs = 5
/** For so long publishers wait; then they wait no more for whoever is behind most. */
const patienceMs = 2000

export interface Receiving {
  /** Bytes that it was written and has not taken. */
  readonly outboundBytes: number
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
  readonly #held = new Set<Publishing>()
  #bytes = 0
  #measured = false
  /** When it became too much, ms; 0: it is not. */
  #fullSince = 0
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

  /** Something was written to a client. */
  wrote(client: Receiving): void {
    const now = client.outboundBytes
    this.#bytes += now - (this.#waiting.get(client) ?? 0)
    this.#waiting.set(client, now)
    if (this.#bytes <= waitingBytesMax || this.full) return
    this.#measureOnce()
    if (this.#bytes <= waitingBytesMax) return
    this.#fullSince = this.#clock.now()
    this.#look()
  }

  /** The client is gone, and what waited for it. */
  gone(client: Receiving & Publishing): void {
    this.#bytes -= this.#waiting.get(client) ?? 0
    this.#waiting.delete(client)
    this.#held.delete(client)
  }

  hold(publisher: Publishing): void {
    if (this.#held.has(publisher)) return
    this.#held.add(publisher)
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
    this.#clock.after(lookAgainMs, () => {
      this.#measure()
      if (this.#bytes <= waitingBytesLow) {
        this.#fullSince = 0
        this.#release()
        return
      }
      const now = this.#clock.now()
      if (now - this.#fullSince > patienceMs) {
        this.#fullSince = now
        this.#mostBehind()?.cutOff()
      }
      this.#look()
    })
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
    const [next] = this.#held
    if (next === undefined) return
    this.#held.delete(next)
    this.#releasing = true
    setImmediate(() => {
      this.#releasing = false
      this.#release()
    })
    next.goOn()
  }
}

export function outflowOf(broker: Broker): Outflow {
  return broker.shared('nats.outflow', () => new Outflow(broker.clock))
}
