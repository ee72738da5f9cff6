/** What a consumer says of itself to whoever watches: advisories, and the metric of sampled acknowledgements. */
import type { Clock } from '../../../lib/timers.ts'
import type { ConsumerConfig } from './consumer-config.ts'
import type { Outbox } from './outbox.ts'
import { nanosOf } from './times.ts'

interface Of {
  readonly stream: string
  readonly name: string
  readonly config: ConsumerConfig
}

export class ConsumerEvents {
  readonly #of: Of
  readonly #outbox: Outbox
  readonly #clock: Clock
  #acknowledged = 0

  constructor(of: Of, outbox: Outbox, clock: Clock) {
    this.#of = of
    this.#outbox = outbox
    this.#clock = clock
  }

  advise(word: string, type: string, fields: object): void {
    const { stream, name } = this.#of
    const all = { stream, consumer: name, ...fields }
    this.#outbox.advise(`$JS.EVENT.ADVISORY.CONSUMER.${word}.${stream}.${name}`, type, all, this.#clock.now())
  }

  advisePin(group: string, id: string, pinned: boolean): void {
    if (pinned) this.advise('PINNED', 'advisory.v1.consumer_group_pinned', { group, pinned_id: id })
    else this.advise('UNPINNED', 'advisory.v1.consumer_group_unpinned', { group, reason: 'timeout' })
  }

  /** Of so many acknowledgements as its configuration says one is told. `at`: when the message was delivered, ms. */
  acknowledged(sequence: number, at: number, consumerSequence: () => number): void {
    const { stream, name, config } = this.#of
    if (config.sample_freq === '') return
    const rate = Number(config.sample_freq.replace('%', ''))
    if (!(rate > 0) || this.#acknowledged++ % Math.max(1, Math.round(100 / rate)) !== 0) return
    const now = this.#clock.now()
    const fields = {
      stream,
      consumer: name,
      consumer_seq: consumerSequence(),
      stream_seq: sequence,
      ack_time: nanosOf(now - at),
      deliveries: 1,
    }
    this.#outbox.advise(`$JS.EVENT.METRIC.CONSUMER.ACK.${stream}.${name}`, 'metric.v1.consumer_ack', fields, now)
  }
}
