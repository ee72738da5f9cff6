/**
 * Exchanges of RabbitMQ's plug-ins. Which queue a hash or a chance chooses is each broker's own affair, so such an exchange has one queue; a
 * recent-history exchange has several.
 */
import type { Properties } from '../../../src/protocols/amqp/codec.ts'
import { type FieldValue, text } from '../../../src/protocols/amqp/table.ts'
import type { Command, Commands, Source } from './commands.ts'
import { Dice, int, method, table } from './dice.ts'

/** Those of Debian's package that AnyMQ has exchanges of. */
export const exchangePlugins = [
  'rabbitmq_consistent_hash_exchange',
  'rabbitmq_random_exchange',
  'rabbitmq_recent_history_exchange',
  'rabbitmq_sharding',
] as const

const types = ['x-consistent-hash', 'x-random', 'x-recent-history', 'x-modulus-hash'] as const
const channel = 1

export class PluginCommands implements Source {
  readonly #dice: Dice
  readonly #prefix: string
  /** What the hash exchange's queue may be bound with. */
  readonly #weights = new Set<string>()
  #bodies = 0

  constructor(seed: number) {
    this.#dice = new Dice(seed)
    this.#prefix = `p${seed}`
  }

  #exchange(type: (typeof types)[number]): string {
    return `${this.#prefix}.${type}`
  }

  *sequence(length: number): Commands {
    for (const type of types) {
      yield this.#declareQueue(type)
      yield this.#declare(type, {})
      yield this.#bind(type, '1')
    }
    yield this.#declareQueue('second')
    for (let step = 0; step < length; step++) yield* this.#next()
  }

  *cleanup(): Commands {
    for (const name of [...types, 'second']) {
      const fields = { ticket: 0, queue: `${this.#prefix}.q.${name}`, ifUnused: false, ifEmpty: false, nowait: false }
      yield method(channel, 'queue.delete', fields, ['queue.delete-ok'])
    }
    for (const type of types) yield this.#delete(type, false)
  }

  *#next(): Commands {
    const dice = this.#dice
    const type = dice.one(types)
    const roll = dice.below(100)
    if (roll < 40) yield this.#publish(type)
    else if (roll < 60) yield this.#get(type)
    else if (roll < 80) yield this.#bind(type, this.#bindingKey(type))
    else if (roll < 85) yield this.#mayUnbind(type) ? this.#unbind(type) : this.#publish(type)
    else if (roll < 88)
      yield method(channel, 'queue.purge', { ticket: 0, queue: `${this.#prefix}.q.${type}`, nowait: false }, ['queue.purge-ok'])
    else if (roll < 90) yield this.#delete(type, true)
    else {
      // Anew: of an exchange that is there RabbitMQ does not compare what its type's arguments say.
      yield this.#delete(type, false)
      yield this.#declare(type, this.#arguments(type))
      yield this.#bind(type, '1')
    }
  }

  #get(type: (typeof types)[number]): Command {
    const name = type === 'x-recent-history' && this.#dice.chance(0.5) ? 'second' : type
    const fields = { ticket: 0, queue: `${this.#prefix}.q.${name}`, noAck: true }
    return method(channel, 'basic.get', fields, ['basic.get-ok', 'basic.get-empty'])
  }

  #bindingKey(type: (typeof types)[number]): string {
    return this.#dice.one(type === 'x-consistent-hash' ? ['1', '1', '20', '0', '-3', 'x', ''] : ['a', '', 'b.c'])
  }

  #declareQueue(name: string): Command {
    const flags = { passive: false, durable: true, exclusive: false, autoDelete: false, nowait: false }
    const fields = { ticket: 0, queue: `${this.#prefix}.q.${name}`, ...flags, arguments: table({}) }
    return method(channel, 'queue.declare', fields, ['queue.declare-ok'])
  }

  #arguments(type: (typeof types)[number]): Record<string, FieldValue> {
    const dice = this.#dice
    const own: Record<string, FieldValue> = {}
    if (type === 'x-recent-history' && dice.chance(0.5))
      own['x-recent-history-length'] = dice.one([int(2), int(1), int(0), int(-1), text('3')])
    if (type === 'x-consistent-hash' && dice.chance(0.3)) own['hash-header'] = text('color')
    if (type === 'x-consistent-hash' && dice.chance(0.3))
      own['hash-property'] = text(dice.one(['message_id', 'correlation_id', 'timestamp', 'app_id']))
    if (dice.chance(0.1)) own['alternate-exchange'] = text('amq.fanout')
    return own
  }

  #declare(type: (typeof types)[number], own: Record<string, FieldValue>): Command {
    const flags = { passive: false, durable: true, autoDelete: false, internal: false, nowait: false }
    const fields = { ticket: 0, exchange: this.#exchange(type), type, ...flags, arguments: table(own) }
    return method(channel, 'exchange.declare', fields, ['exchange.declare-ok'])
  }

  #bind(type: (typeof types)[number], routingKey: string): Command {
    if (type === 'x-consistent-hash') this.#weights.add(routingKey)
    const name = type === 'x-recent-history' && this.#dice.chance(0.5) ? 'second' : type
    const ends = { queue: `${this.#prefix}.q.${name}`, exchange: this.#exchange(type) }
    return method(channel, 'queue.bind', { ticket: 0, ...ends, routingKey, nowait: false, arguments: table({}) }, [
      'queue.bind-ok',
    ])
  }

  /** RabbitMQ's hash exchange gives a queue nothing more once one of its bindings is gone, though another is still there. */
  #mayUnbind(type: (typeof types)[number]): boolean {
    return type !== 'x-consistent-hash' || this.#weights.size < 2
  }

  #unbind(type: (typeof types)[number]): Command {
    const ends = { queue: `${this.#prefix}.q.${type}`, exchange: this.#exchange(type) }
    const fields = { ticket: 0, ...ends, routingKey: this.#bindingKey(type), arguments: table({}) }
    return method(channel, 'queue.unbind', fields, ['queue.unbind-ok'])
  }

  #delete(type: (typeof types)[number], ifUnused: boolean): Command {
    if (type === 'x-consistent-hash' && !ifUnused) this.#weights.clear()
    const fields = { ticket: 0, exchange: this.#exchange(type), ifUnused, nowait: false }
    return method(channel, 'exchange.delete', fields, ['exchange.delete-ok'])
  }

  #publish(type: (typeof types)[number]): Command {
    const dice = this.#dice
    const properties: Properties = { deliveryMode: 2 }
    if (dice.chance(0.3)) properties.messageId = `m${this.#bodies}`
    const headers: Record<string, FieldValue> = {}
    if (dice.chance(0.3)) headers['color'] = text(dice.one(['red', 'blue']))
    if (type === 'x-recent-history' && dice.chance(0.2)) headers['x-recent-history-no-store'] = { type: 't', value: true }
    if (0 < Object.keys(headers).length) properties.headers = table(headers)
    return {
      kind: 'publish',
      channel,
      exchange: this.#exchange(type),
      routingKey: dice.one(['a', 'b', '']),
      mandatory: dice.chance(0.5),
      properties,
      body: `b${this.#bodies++}`,
    }
  }
}
