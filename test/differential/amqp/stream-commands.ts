/** Stream queues over plain AMQP: declaring, publishing, consuming from an offset, and all that a stream refuses. */
import type { Properties } from '../../../src/protocols/amqp/codec.ts'
import { type FieldValue, text } from '../../../src/protocols/amqp/table.ts'
import type { Command, Commands, Source } from './commands.ts'
import { Dice, int, method, table } from './dice.ts'

export class StreamCommands implements Source {
  readonly #dice: Dice
  readonly #prefix: string
  #bodies = 0
  #tags = 0
  /** The last consumer of each channel, which is its only one: between consumers there is no order to compare. */
  readonly #consumers = new Map<number, string>()

  constructor(seed: number) {
    this.#dice = new Dice(seed)
    this.#prefix = `s${seed}`
  }

  get #stream(): string {
    return `${this.#prefix}.q${this.#dice.below(2)}`
  }
  get #channel(): number {
    return 1 + this.#dice.below(2)
  }

  *sequence(length: number): Commands {
    for (const at of [0, 1]) yield this.#declare(`${this.#prefix}.q${at}`, { 'x-queue-type': text('stream') }, {})
    for (const channel of [1, 2]) yield this.#qos(channel, 20)
    for (let step = 0; step < length; step++) yield this.#next()
  }

  *cleanup(): Commands {
    for (const at of [0, 1]) yield this.#delete(`${this.#prefix}.q${at}`)
  }

  #next(): Command {
    const dice = this.#dice
    const roll = dice.below(100)
    if (roll < 40) return this.#publish()
    if (roll < 55) return this.#consume()
    // 3.10 refuses basic.nack and basic.reject; since 4.0 they are acknowledgements.
    if (roll < 65)
      return { kind: 'settle', channel: this.#channel, how: 'ack', which: dice.below(4), multiple: false, requeue: false }
    if (roll < 70) return this.#qos(this.#channel, dice.one([20, 5, 0]))
    if (roll < 76) return this.#cancel(this.#channel)
    if (roll < 88)
      return this.#declare(this.#stream, this.#arguments(), {
        durable: dice.chance(0.9),
        exclusive: dice.chance(0.1),
        autoDelete: dice.chance(0.1),
      })
    if (roll < 90)
      return method(this.#channel, 'basic.get', { ticket: 0, queue: this.#stream, noAck: false }, [
        'basic.get-ok',
        'basic.get-empty',
      ])
    if (roll < 92)
      return method(this.#channel, 'queue.purge', { ticket: 0, queue: this.#stream, nowait: false }, ['queue.purge-ok'])
    if (roll < 95) return method(this.#channel, 'confirm.select', { nowait: false }, ['confirm.select-ok'])
    if (roll < 98)
      return method(this.#channel, 'channel.close', { replyCode: 200, replyText: '', classId: 0, methodId: 0 }, [
        'channel.close-ok',
      ])
    return this.#delete(this.#stream)
  }

  #arguments(): Record<string, FieldValue> {
    const dice = this.#dice
    const own: Record<string, FieldValue> = { 'x-queue-type': text('stream') }
    const some = (probability: number, name: string, values: readonly FieldValue[]): void => {
      if (dice.chance(probability)) own[name] = dice.one(values)
    }
    some(0.2, 'x-max-age', [text('1h'), text('7D'), text('5x'), int(5)])
    some(0.2, 'x-max-length-bytes', [int(1_000_000_000), int(-1), text('1')])
    some(0.1, 'x-stream-max-segment-size-bytes', [int(1_000_000), int(-2)])
    for (const name of ['x-message-ttl', 'x-max-length', 'x-expires', 'x-max-priority', 'x-delivery-limit'])
      some(0.04, name, [int(5)])
    for (const name of ['x-dead-letter-exchange', 'x-overflow']) some(0.04, name, [text('reject-publish')])
    some(0.05, 'x-single-active-consumer', [{ type: 't', value: true }])
    some(0.05, 'mine', [text('annotation')])
    return own
  }

  #declare(
    queue: string,
    own: Record<string, FieldValue>,
    { durable = true, exclusive = false, autoDelete = false }: { durable?: boolean; exclusive?: boolean; autoDelete?: boolean },
  ): Command {
    const fields = { ticket: 0, queue, passive: false, durable, exclusive, autoDelete, nowait: false, arguments: table(own) }
    return method(this.#channel, 'queue.declare', fields, ['queue.declare-ok'])
  }

  /** Without conditions: RabbitMQ deletes streams whatever they say, and AnyMQ holds to them. */
  #delete(queue: string): Command {
    return method(this.#channel, 'queue.delete', { ticket: 0, queue, ifUnused: false, ifEmpty: false, nowait: false }, [
      'queue.delete-ok',
    ])
  }

  #qos(channel: number, prefetchCount: number): Command {
    return method(channel, 'basic.qos', { prefetchSize: 0, prefetchCount, global: false }, ['basic.qos-ok'])
  }

  #publish(): Command {
    const dice = this.#dice
    const properties: Properties = {}
    if (dice.chance(0.5)) properties.deliveryMode = dice.one([1, 2])
    if (dice.chance(0.3)) properties.messageId = `m${this.#bodies}`
    if (dice.chance(0.3)) properties.headers = table({ color: text('red'), size: int(-7) })
    if (dice.chance(0.2)) properties.contentType = 'text/plain'
    const body = `b${this.#bodies++}`
    return { kind: 'publish', channel: this.#channel, exchange: '', routingKey: this.#stream, mandatory: false, properties, body }
  }

  /** 3.10 breaks down on a place that is none. Where chunks begin and end is each broker's own, so `last` and times are left out. */
  #consume(): Command {
    const dice = this.#dice
    const channel = this.#channel
    if (this.#consumers.has(channel)) return this.#cancel(channel)
    const consumerTag = `c${++this.#tags}`
    this.#consumers.set(channel, consumerTag)
    const own: Record<string, FieldValue> = {}
    if (dice.chance(0.8))
      own['x-stream-offset'] = dice.one<FieldValue>([text('first'), text('first'), text('next'), int(0), int(2), int(-1)])
    const fields = {
      ticket: 0,
      queue: this.#stream,
      consumerTag,
      noLocal: false,
      noAck: dice.chance(0.1),
      exclusive: dice.chance(0.05),
      nowait: false,
      arguments: table(own),
    }
    return method(channel, 'basic.consume', fields, ['basic.consume-ok'])
  }

  #cancel(channel: number): Command {
    const consumerTag = this.#consumers.get(channel) ?? 'none'
    this.#consumers.delete(channel)
    return method(channel, 'basic.cancel', { consumerTag, nowait: false }, ['basic.cancel-ok'])
  }
}
