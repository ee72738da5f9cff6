/** Random sequences of commands, the same for the same seed: queues and exchanges of every sort, and everything that is done to messages in them. */

import type { Properties } from '../../../src/protocols/amqp/codec.ts'
import type { MethodFields, MethodName } from '../../../src/protocols/amqp/methods.ts'
import { type FieldValue, flag, long, type Table, text } from '../../../src/protocols/amqp/table.ts'
import { Dice, int, method, table } from './dice.ts'
import { PluginCommands } from './plugin-commands.ts'
import { StreamCommands } from './stream-commands.ts'

export type Command =
  | {
      readonly kind: 'method'
      readonly channel: number
      readonly name: MethodName
      readonly fields: object
      /** What ends the waiting; empty: nothing is answered. */
      readonly answers: readonly string[]
    }
  | {
      readonly kind: 'publish'
      readonly channel: number
      readonly exchange: string
      readonly routingKey: string
      readonly mandatory: boolean
      readonly properties: Properties
      readonly body: string
    }
  | { readonly kind: 'wait'; readonly ms: number }
  /** Settles one of the deliveries that the channel holds, the `which`th; a tag that nobody gave when there is none. */
  | {
      readonly kind: 'settle'
      readonly channel: number
      readonly how: 'ack' | 'nack' | 'reject'
      readonly which: number
      readonly multiple: boolean
      readonly requeue: boolean
    }

/** Longer than anything else waits, so that what expires has expired. */
const ttlMs = 40
const waitMs = 200

export type Commands = globalThis.Generator<Command, void, undefined>

/** Random commands of one sort. */
export interface Source {
  sequence(length: number): Commands
  /** Deletes what a sequence may have made. */
  cleanup(): Commands
}

/** Up to 1000: queues and exchanges of every sort. From 1001: the exchanges of plug-ins. From 2001: streams. */
export function sourceOf(seed: number): Source {
  if (seed > 2000) return new StreamCommands(seed)
  return seed > 1000 ? new PluginCommands(seed) : new QueueCommands(seed)
}

class QueueCommands implements Source {
  readonly #dice: Dice
  readonly #prefix: string
  /** Quorum queues of 3.10 know no priorities and count each return, which later versions changed: where they are, these are left out. */
  readonly #quorum: boolean
  #bodies = 0
  #tags = 0

  constructor(seed: number) {
    this.#dice = new Dice(seed)
    this.#prefix = `d${seed}`
    this.#quorum = seed % 2 === 0
  }

  get #channel(): number {
    return 1 + this.#dice.below(2)
  }
  get #queue(): string {
    return `${this.#prefix}.q${this.#dice.below(4)}`
  }
  get #exchange(): string {
    return `${this.#prefix}.e${this.#dice.below(3)}`
  }
  get #key(): string {
    return this.#dice.one(['a', 'b', 'a.b', 'a.b.c', 'b.c', '', 'a.*', '#', '*.b'])
  }

  *sequence(length: number): Commands {
    for (const queue of [0, 1, 2]) yield this.#declareQueue(`${this.#prefix}.q${queue}`)
    for (const exchange of [0, 1]) yield this.#declareExchange(`${this.#prefix}.e${exchange}`)
    for (let step = 0; step < length; step++) yield this.#next()
  }

  *cleanup(): Commands {
    for (let at = 0; at < 4; at++) {
      const fields = { ticket: 0, queue: `${this.#prefix}.q${at}`, ifUnused: false, ifEmpty: false, nowait: false }
      yield this.#method('queue.delete', fields, ['queue.delete-ok'])
      const exchange = { ticket: 0, exchange: `${this.#prefix}.e${at}`, ifUnused: false, nowait: false }
      yield this.#method('exchange.delete', exchange, ['exchange.delete-ok'])
    }
  }

  #next(): Command {
    const roll = this.#dice.below(100)
    if (roll < 32) return this.#publish()
    if (roll < 44) return this.#get()
    if (roll < 60) return this.#settle()
    if (roll < 65) return this.#consume()
    if (roll < 67)
      return this.#method('basic.cancel', { consumerTag: `c${this.#dice.below(3)}`, nowait: false }, ['basic.cancel-ok'])
    if (roll < 69)
      return this.#method('basic.qos', { prefetchSize: 0, prefetchCount: this.#dice.below(4), global: this.#dice.chance(0.2) }, [
        'basic.qos-ok',
      ])
    if (roll < 71) return this.#method('basic.recover', { requeue: this.#dice.chance(0.9) }, ['basic.recover-ok'])
    if (roll < 78) return this.#bind()
    if (roll < 81) return this.#declareQueue(this.#queue)
    if (roll < 84) return this.#declareExchange(this.#exchange)
    if (roll < 86) return this.#passive()
    if (roll < 88) return this.#method('queue.purge', { ticket: 0, queue: this.#queue, nowait: false }, ['queue.purge-ok'])
    if (roll < 90) return this.#delete()
    if (roll < 93) return this.#modes()
    if (roll < 95)
      return this.#method('channel.close', { replyCode: 200, replyText: '', classId: 0, methodId: 0 }, ['channel.close-ok'])
    return { kind: 'wait', ms: waitMs }
  }

  #method<N extends MethodName>(name: N, fields: MethodFields<N>, answers: readonly string[]): Command {
    return method(this.#channel, name, fields, answers)
  }

  #declareQueue(queue: string): Command {
    const fields = {
      ticket: 0,
      queue: this.#dice.chance(0.03) ? 'amq.mine' : queue,
      passive: false,
      durable: this.#dice.chance(0.8),
      exclusive: this.#dice.chance(0.05),
      autoDelete: this.#dice.chance(0.1),
      nowait: false,
      arguments: this.#queueArguments(),
    }
    return this.#method('queue.declare', fields, ['queue.declare-ok'])
  }

  #queueArguments(): Table {
    const own: Record<string, FieldValue> = {}
    const some = (probability: number, name: string, value: () => FieldValue): void => {
      if (this.#dice.chance(probability)) own[name] = value()
    }
    some(0.2, 'x-queue-type', () =>
      text(this.#dice.one(this.#quorum ? ['classic', 'quorum', 'quorum', 'nothing'] : ['classic', 'nothing'])),
    )
    some(0.15, 'x-message-ttl', () => int(this.#dice.one([ttlMs, ttlMs, 0, -1])))
    some(0.2, 'x-max-length', () => this.#dice.one([int(2), int(1), long(3), text('2')]))
    some(0.15, 'x-overflow', () => text(this.#dice.one(['drop-head', 'reject-publish', 'reject-publish-dlx', 'other'])))
    some(0.35, 'x-dead-letter-exchange', () => text(this.#dice.one(['', this.#exchange, `${this.#prefix}.missing`])))
    some(0.25, 'x-dead-letter-routing-key', () => text(this.#dice.one([this.#queue, 'a'])))
    some(0.1, 'x-max-priority', () => this.#dice.one([int(5), int(300), flag(true)]))
    some(0.05, 'x-delivery-limit', () => int(2))
    some(0.05, 'x-single-active-consumer', () => flag(true))
    some(0.05, 'x-expires', () => int(this.#dice.one([600_000, 0])))
    some(0.05, 'mine', () => text('annotation'))
    return table(own)
  }

  #declareExchange(exchange: string): Command {
    const own: Record<string, FieldValue> = {}
    if (this.#dice.chance(0.2)) own['alternate-exchange'] = this.#dice.one([text(this.#exchange), text('amq.fanout'), int(5)])
    const fields = {
      ticket: 0,
      exchange: this.#dice.chance(0.03) ? this.#dice.one(['amq.mine', '']) : exchange,
      type: this.#dice.chance(0.02) ? 'unheard-of' : this.#dice.one(['direct', 'fanout', 'topic', 'headers']),
      passive: false,
      durable: this.#dice.chance(0.8),
      autoDelete: this.#dice.chance(0.1),
      internal: this.#dice.chance(0.05),
      nowait: false,
      arguments: table(own),
    }
    return this.#method('exchange.declare', fields, ['exchange.declare-ok'])
  }

  #bind(): Command {
    const source = this.#dice.chance(0.05) ? this.#dice.one(['', `${this.#prefix}.missing`]) : this.#exchange
    const own: Record<string, FieldValue> = {}
    if (this.#dice.chance(0.4)) own['color'] = text(this.#dice.one(['red', 'blue']))
    if (this.#dice.chance(0.3)) own['x-match'] = text(this.#dice.one(['all', 'any', 'any-with-x', 'some']))
    const shared = { ticket: 0, routingKey: this.#key, nowait: false, arguments: table(own) }
    const roll = this.#dice.below(10)
    if (roll < 6) return this.#method('queue.bind', { ...shared, queue: this.#queue, exchange: source }, ['queue.bind-ok'])
    if (roll < 8) {
      const { nowait: _, ...fields } = shared
      return this.#method('queue.unbind', { ...fields, queue: this.#queue, exchange: source }, ['queue.unbind-ok'])
    }
    const ends = { destination: this.#exchange, source }
    if (roll < 9) return this.#method('exchange.bind', { ...shared, ...ends }, ['exchange.bind-ok'])
    return this.#method('exchange.unbind', { ...shared, ...ends }, ['exchange.unbind-ok'])
  }

  #publish(): Command {
    const properties: Properties = {}
    if (this.#dice.chance(0.6)) properties.deliveryMode = this.#dice.one([1, 2])
    if (!this.#quorum && this.#dice.chance(0.3)) properties.priority = this.#dice.below(8)
    if (this.#dice.chance(0.1)) properties.expiration = this.#dice.one([String(ttlMs), String(ttlMs), '0', 'soon', '-5', '5s'])
    if (this.#dice.chance(0.2)) properties.messageId = `m${this.#bodies}`
    if (this.#dice.chance(0.1)) properties.timestamp = 1_700_000_000
    if (this.#dice.chance(0.05)) properties.userId = this.#dice.one(['guest', 'guest', 'somebody'])
    const headers: Record<string, FieldValue> = {}
    if (this.#dice.chance(0.3)) headers['color'] = text(this.#dice.one(['red', 'blue', 'green']))
    if (this.#dice.chance(0.1)) headers['x-color'] = text('red')
    if (this.#dice.chance(0.1))
      headers['mixed'] = {
        type: 'A',
        value: [int(1), flag(false), { type: 'F', value: table({ deep: long(-7) }) }, { type: 'V' }],
      }
    if (this.#dice.chance(0.05))
      headers['CC'] = this.#dice.one<FieldValue>([{ type: 'A', value: [text(this.#queue), text('b')] }, text('b')])
    if (this.#dice.chance(0.05)) headers['BCC'] = { type: 'A', value: [text(this.#queue)] }
    if (0 < Object.keys(headers).length) properties.headers = table(headers)
    const direct = this.#dice.chance(0.6)
    return {
      kind: 'publish',
      channel: this.#channel,
      exchange: direct ? '' : this.#dice.chance(0.03) ? `${this.#prefix}.missing` : this.#exchange,
      routingKey: direct ? this.#queue : this.#key,
      mandatory: this.#dice.chance(0.3),
      properties,
      body: this.#dice.chance(0.05) ? '' : `b${this.#bodies++}`,
    }
  }

  #get(): Command {
    const fields = { ticket: 0, queue: this.#queue, noAck: this.#dice.chance(0.3) }
    return this.#method('basic.get', fields, ['basic.get-ok', 'basic.get-empty'])
  }

  #settle(): Command {
    const how = this.#dice.one(['ack', 'ack', 'nack', 'reject'] as const)
    return {
      kind: 'settle',
      channel: this.#channel,
      how,
      which: this.#dice.chance(0.05) ? 1000 : this.#dice.below(6),
      multiple: how !== 'reject' && this.#dice.chance(0.2),
      requeue: this.#dice.chance(0.5) && !(this.#quorum && how === 'nack'),
    }
  }

  /** One consumer for each channel at most: between queues there is no order to compare. */
  #consume(): Command {
    const channel = this.#channel
    const fields = {
      ticket: 0,
      queue: this.#queue,
      consumerTag: `c${channel}.${this.#dice.chance(0.1) ? 0 : this.#tags++}`,
      noLocal: false,
      noAck: this.#dice.chance(0.3),
      exclusive: this.#dice.chance(0.1),
      nowait: false,
      arguments: this.#dice.chance(0.1) ? table({ 'x-priority': this.#dice.one([int(5), text('high')]) }) : new Map(),
    }
    return { kind: 'method', channel, name: 'basic.consume', fields, answers: ['basic.consume-ok'] }
  }

  #passive(): Command {
    if (this.#dice.chance(0.5)) {
      const fields = {
        ticket: 0,
        queue: this.#queue,
        passive: true,
        durable: false,
        exclusive: false,
        autoDelete: false,
        nowait: false,
        arguments: new Map(),
      }
      return this.#method('queue.declare', fields, ['queue.declare-ok'])
    }
    const fields = {
      ticket: 0,
      exchange: this.#exchange,
      type: '',
      passive: true,
      durable: false,
      autoDelete: false,
      internal: false,
      nowait: false,
      arguments: new Map(),
    }
    return this.#method('exchange.declare', fields, ['exchange.declare-ok'])
  }

  #delete(): Command {
    if (this.#dice.chance(0.6)) {
      const fields = {
        ticket: 0,
        queue: this.#queue,
        ifUnused: this.#dice.chance(0.2),
        ifEmpty: this.#dice.chance(0.3),
        nowait: false,
      }
      return this.#method('queue.delete', fields, ['queue.delete-ok'])
    }
    const fields = {
      ticket: 0,
      exchange: this.#dice.chance(0.1) ? 'amq.direct' : this.#exchange,
      ifUnused: this.#dice.chance(0.4),
      nowait: false,
    }
    return this.#method('exchange.delete', fields, ['exchange.delete-ok'])
  }

  #modes(): Command {
    const roll = this.#dice.below(6)
    if (roll === 0) return this.#method('tx.select', {}, ['tx.select-ok'])
    if (roll === 1) return this.#method('tx.commit', {}, ['tx.commit-ok'])
    if (roll === 2) return this.#method('tx.rollback', {}, ['tx.rollback-ok'])
    return this.#method('confirm.select', { nowait: false }, ['confirm.select-ok'])
  }
}
