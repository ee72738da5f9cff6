/** The figures under `$SYS/broker/`, by the names and in the units that Mosquitto gave them: told every ten seconds to whoever subscribes to them. */
import type { Broker } from '../../broker/face.ts'

const tellEveryMs = 10_000
/** Averages by the minute, over so many of them. */
const spans = [1, 5, 15] as const

export type Figure = readonly [topic: string, text: string]

/** A live session. */
export interface Reader {
  readonly subscriptionCount: number
  hear(figures: readonly Figure[]): void
}

export class Figures {
  readonly #broker: Broker
  readonly #live: ReadonlyMap<string, Reader>
  readonly #startedAt: number
  /** PUBLISH packets of clients, and to them. */
  received = 0
  sent = 0
  #most = 0
  readonly #loads = { received: new Load(), sent: new Load(), connections: new Load() }
  /** Since the start. */
  connections = 0

  constructor(broker: Broker, live: ReadonlyMap<string, Reader>) {
    this.#broker = broker
    this.#live = live
    this.#startedAt = broker.clock.now()
  }

  start(): void {
    this.#broker.clock.after(tellEveryMs, () => {
      this.#loads.received.note(this.received)
      this.#loads.sent.note(this.sent)
      this.#loads.connections.note(this.connections)
      const now = this.now()
      for (const session of this.#live.values()) session.hear(now)
      this.start()
    })
  }

  /** As they are at this moment. */
  now(): readonly Figure[] {
    this.#most = Math.max(this.#most, this.#live.size)
    let subscriptions = 0
    for (const { subscriptionCount } of this.#live.values()) subscriptions += subscriptionCount
    const { received, sent } = this
    const figures: [string, string | number][] = [
      ['version', 'AnyMQ'],
      ['uptime', `${Math.floor((this.#broker.clock.now() - this.#startedAt) / 1000)} seconds`],
      ['clients/connected', this.#live.size],
      ['clients/active', this.#live.size],
      ['clients/maximum', this.#most],
      ['subscriptions/count', subscriptions],
      ['messages/received', received],
      ['messages/sent', sent],
      ['publish/messages/received', received],
      ['publish/messages/sent', sent],
      ...this.#loads.received.figures('load/messages/received'),
      ...this.#loads.sent.figures('load/messages/sent'),
      ...this.#loads.connections.figures('load/connections'),
    ]
    return figures.map(([name, value]) => [`$SYS/broker/${name}`, String(value)])
  }
}

/** Exponential averages of how much a count grows in a minute. */
class Load {
  #before = 0
  readonly #averages = spans.map(() => 0)

  note(count: number): void {
    const perMinute = ((count - this.#before) * 60_000) / tellEveryMs
    this.#before = count
    for (const [at, minutes] of spans.entries()) {
      const weight = Math.exp(-tellEveryMs / 60_000 / minutes)
      this.#averages[at] = perMinute + weight * ((this.#averages[at] ?? 0) - perMinute)
    }
  }

  figures(name: string): [string, string][] {
    return spans.map((minutes, at) => [`${name}/${minutes}min`, (this.#averages[at] ?? 0).toFixed(2)])
  }
}
