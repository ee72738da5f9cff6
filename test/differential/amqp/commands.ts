/** Random sequences of commands, the same for the same seed: queues and exchanges of every sort, and everything that is done to messages in them. */

import type { Properties } from '../../../src/protocols/amqp/codec.ts'
import type { MethodFields, MethodName } from '../../../src/protocols/amqp/methods.ts'
import { type FieldValue, flag, long, type Table, text } from '../../../src/protocols/amqp/table.ts'
import { Random } from '../../simulation/disk.ts'

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

const int = (value: number): FieldValue => ({ type: 'I', value })
const table = (entries: Record<string, FieldValue>): Table => new Map(Object.entries(entries))

/** Longer than anything else waits, so that what expires has expired. */
const ttlMs = 40
const waitMs = 200

export class CommandSource {
  readonly #random: Random
  readonly #prefix: string
  /** Quorum queues of 3.10 know no priorities and count each return, which later versions changed: where they are, these are left out. */
  readonly #quorum: boolean
  #bodies = 0
  #tags = 0

  constructor(seed: number) {
    this.#random = new Random(seed)
    this.#prefix = `d${seed}`
    this.#quorum = seed % 2 === 0
  }

  #below(limit: number): number {
    return Math.floor(this.#random.next() * limit)
  }
  #chance(probability: number): boolean {
    return this.#random.next() < probability
  }
  #one<T>(of: readonly T[]): T {
    return of[this.#below(of.length)] as T // not empty
  }

  get #channel(): number {
    return 1 + this.#below(2)
  }
  get #queue(): string {
    return `${this.#prefix}.q${this.#below(4)}`
  }
  get #exchange(): string {
    return `${this.#prefix}.e${this.#below(3)}`
  }
  get #key(): string {
    return this.#one(['a', 'b', 'a.b', 'a.b.c', 'b.c', '', 'a.*', '#', '*.b'])
  }

  *sequence(length: number): Commands {
    for (const queue of [0, 1, 2]) yield this.#declareQueue(`${this.#prefix}.q${queue}`)
    for (const exchange of [0, 1]) yield this.#declareExchange(`${this.#prefix}.e${exchange}`)
    for (let step = 0; step < length; step++) yield this.#next()
  }

  /** Deletes what a sequence may have made. */
  *cleanup(): Commands {
    for (let at = 0; at < 4; at++) {
      const fields = { ticket: 0, queue: `${this.#prefix}.q${at}`, ifUnused: false, ifEmpty: false, nowait: false }
      yield this.#method('queue.delete', fields, ['queue.delete-ok'])
      const exchange = { ticket: 0, exchange: `${this.#prefix}.e${at}`, ifUnused: false, nowait: false }
      yield this.#method('exchange.delete', exchange, ['exchange.delete-ok'])
    }
  }

  #next(): Command {
    const roll = this.#below(100)
    if (roll < 32) return this.#publish()
    if (roll < 44) return this.#get()
    if (roll < 60) return this.#settle()
    if (roll < 65) return this.#consume()
    if (roll < 67) return this.#method('basic.cancel', { consumerTag: `c${this.#below(3)}`, nowait: false }, ['basic.cancel-ok'])
    if (roll < 69)
      return this.#method('basic.qos', { prefetchSize: 0, prefetchCount: this.#below(4), global: this.#chance(0.2) }, [
        'basic.qos-ok',
      ])
    if (roll < 71) return this.#method('basic.recover', { requeue: this.#chance(0.9) }, ['basic.recover-ok'])
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
    return { kind: 'method', channel: this.#channel, name, fields, answers }
  }

  #declareQueue(queue: string): Command {
    const fields = {
      ticket: 0,
      queue: this.#chance(0.03) ? 'amq.mine' : queue,
      passive: false,
      durable: this.#chance(0.8),
      exclusive: this.#chance(0.05),
      autoDelete: this.#chance(0.1),
      nowait: false,
      arguments: this.#queueArguments(),
    }
    return this.#method('queue.declare', fields, ['queue.declare-ok'])
  }

  #queueArguments(): Table {
    const own: Record<string, FieldValue> = {}
    const some = (probability: number, name: string, value: () => FieldValue): void => {
      if (this.#chance(probability)) own[name] = value()
    }
    some(0.2, 'x-queue-type', () =>
      text(this.#one(this.#quorum ? ['classic', 'quorum', 'quorum', 'nothing'] : ['classic', 'nothing'])),
    )
    some(0.15, 'x-message-ttl', () => int(this.#one([ttlMs, ttlMs, 0, -1])))
    some(0.2, 'x-max-length', () => this.#one([int(2), int(1), long(3), text('2')]))
    some(0.15, 'x-overflow', () => text(this.#one(['drop-head', 'reject-publish', 'reject-publish-dlx', 'other'])))
    some(0.35, 'x-dead-letter-exchange', () => text(this.#one(['', this.#exchange, `${this.#prefix}.missing`])))
    some(0.25, 'x-dead-letter-routing-key', () => text(this.#one([this.#queue, 'a'])))
    some(0.1, 'x-max-priority', () => this.#one([int(5), int(300), flag(true)]))
    some(0.05, 'x-delivery-limit', () => int(2))
    some(0.05, 'x-single-active-consumer', () => flag(true))
    some(0.05, 'x-expires', () => int(this.#one([600_000, 0])))
    some(0.05, 'mine', () => text('annotation'))
    return table(own)
  }

  #declareExchange(exchange: string): Command {
    const own: Record<string, FieldValue> = {}
    if (this.#chance(0.2)) own['alternate-exchange'] = this.#one([text(this.#exchange), text('amq.fanout'), int(5)])
    const fields = {
      ticket: 0,
      exchange: this.#chance(0.03) ? this.#one(['amq.mine', '']) : exchange,
      type: this.#chance(0.02) ? 'unheard-of' : this.#one(['direct', 'fanout', 'topic', 'headers']),
      passive: false,
      durable: this.#chance(0.8),
      autoDelete: this.#chance(0.1),
      internal: this.#chance(0.05),
      nowait: false,
      arguments: table(own),
    }
    return this.#method('exchange.declare', fields, ['exchange.declare-ok'])
  }

  #bind(): Command {
    const source = this.#chance(0.05) ? this.#one(['', `${this.#prefix}.missing`]) : this.#exchange
    const own: Record<string, FieldValue> = {}
    if (this.#chance(0.4)) own['color'] = text(this.#one(['red', 'blue']))
    if (this.#chance(0.3)) own['x-match'] = text(this.#one(['all', 'any', 'any-with-x', 'some']))
    const shared = { ticket: 0, routingKey: this.#key, nowait: false, arguments: table(own) }
    const roll = this.#below(10)
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
    if (this.#chance(0.6)) properties.deliveryMode = this.#one([1, 2])
    if (!this.#quorum && this.#chance(0.3)) properties.priority = this.#below(8)
    if (this.#chance(0.1)) properties.expiration = this.#one([String(ttlMs), String(ttlMs), '0', 'soon', '-5', '5s'])
    if (this.#chance(0.2)) properties.messageId = `m${this.#bodies}`
    if (this.#chance(0.1)) properties.timestamp = 1_700_000_000
    if (this.#chance(0.05)) properties.userId = this.#one(['guest', 'guest', 'somebody'])
    const headers: Record<string, FieldValue> = {}
    if (this.#chance(0.3)) headers['color'] = text(this.#one(['red', 'blue', 'green']))
    if (this.#chance(0.1)) headers['x-color'] = text('red')
    if (this.#chance(0.1))
      headers['mixed'] = {
        type: 'A',
        value: [int(1), flag(false), { type: 'F', value: table({ deep: long(-7) }) }, { type: 'V' }],
      }
    if (this.#chance(0.05))
      headers['CC'] = this.#one<FieldValue>([{ type: 'A', value: [text(this.#queue), text('b')] }, text('b')])
    if (this.#chance(0.05)) headers['BCC'] = { type: 'A', value: [text(this.#queue)] }
    if (0 < Object.keys(headers).length) properties.headers = table(headers)
    const direct = this.#chance(0.6)
    return {
      kind: 'publish',
      channel: this.#channel,
      exchange: direct ? '' : this.#chance(0.03) ? `${this.#prefix}.missing` : this.#exchange,
      routingKey: direct ? this.#queue : this.#key,
      mandatory: this.#chance(0.3),
      properties,
      body: this.#chance(0.05) ? '' : `b${this.#bodies++}`,
    }
  }

  #get(): Command {
    const fields = { ticket: 0, queue: this.#queue, noAck: this.#chance(0.3) }
    return this.#method('basic.get', fields, ['basic.get-ok', 'basic.get-empty'])
  }

  #settle(): Command {
    const how = this.#one(['ack', 'ack', 'nack', 'reject'] as const)
    return {
      kind: 'settle',
      channel: this.#channel,
      how,
      which: this.#chance(0.05) ? 1000 : this.#below(6),
      multiple: how !== 'reject' && this.#chance(0.2),
      requeue: this.#chance(0.5) && !(this.#quorum && how === 'nack'),
    }
  }

  /** One consumer for each channel at most: between queues there is no order to compare. */
  #consume(): Command {
    const channel = this.#channel
    const fields = {
      ticket: 0,
      queue: this.#queue,
      consumerTag: `c${channel}.${this.#chance(0.1) ? 0 : this.#tags++}`,
      noLocal: false,
      noAck: this.#chance(0.3),
      exclusive: this.#chance(0.1),
      nowait: false,
      arguments: this.#chance(0.1) ? table({ 'x-priority': this.#one([int(5), text('high')]) }) : new Map(),
    }
    return { kind: 'method', channel, name: 'basic.consume', fields, answers: ['basic.consume-ok'] }
  }

  #passive(): Command {
    if (this.#chance(0.5)) {
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
    if (this.#chance(0.6)) {
      const fields = { ticket: 0, queue: this.#queue, ifUnused: this.#chance(0.2), ifEmpty: this.#chance(0.3), nowait: false }
      return this.#method('queue.delete', fields, ['queue.delete-ok'])
    }
    const fields = {
      ticket: 0,
      exchange: this.#chance(0.1) ? 'amq.direct' : this.#exchange,
      ifUnused: this.#chance(0.4),
      nowait: false,
    }
    return this.#method('exchange.delete', fields, ['exchange.delete-ok'])
  }

  #modes(): Command {
    const roll = this.#below(6)
    if (roll === 0) return this.#method('tx.select', {}, ['tx.select-ok'])
    if (roll === 1) return this.#method('tx.commit', {}, ['tx.commit-ok'])
    if (roll === 2) return this.#method('tx.rollback', {}, ['tx.rollback-ok'])
    return this.#method('confirm.select', { nowait: false }, ['confirm.select-ok'])
  }
}

type Commands = globalThis.Generator<Command, void, undefined>
