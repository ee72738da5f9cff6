/** One of the two brokers: carries out commands, keeps what is needed to settle deliveries, and says what came in comparable words. */
import type { Properties } from '../../../src/protocols/amqp/codec.ts'
import type { MethodFields, MethodName } from '../../../src/protocols/amqp/methods.ts'
import type { FieldValue, Table } from '../../../src/protocols/amqp/table.ts'
import type { Command } from './commands.ts'
import { comparableFields, comparableHeaders, comparableText } from './expected.ts'
import { type Event, Wire } from './wire.ts'

const unknownTag = 4242

class ChannelState {
  /** Delivery tags that are not settled. */
  tags: number[] = []
  noAck = new Set<string>()
  confirmed = 0
}

export class Side {
  readonly #port: number
  #wire: Wire | null = null
  #channels = new Map<number, ChannelState>()

  /** How long nothing must come before nothing more is expected, ms. */
  readonly #quietMs: number

  constructor(port: number, quietMs: number) {
    this.#port = port
    this.#quietMs = quietMs
  }

  /** What came, as lines, by channel and sort: between sorts no order is promised. */
  async run(command: Command): Promise<Record<string, string[]>> {
    if (command.kind === 'wait') {
      await new Promise((resolve) => setTimeout(resolve, command.ms))
      return await this.#take([], this.#quietMs)
    }
    const wire = await this.#ready(command.channel)
    if (command.kind === 'publish') {
      wire.publish(command.channel, command.exchange, command.routingKey, command.mandatory, command.properties, command.body)
      await wire.barrier(command.channel)
      return await this.#take([], this.#quietMs)
    }
    if (command.kind === 'settle') {
      this.#settle(wire, command)
      await wire.barrier(command.channel)
      return await this.#take([], this.#quietMs)
    }
    const { channel, name, fields } = command
    const state = this.#state(channel)
    if (name === 'basic.consume') {
      const { consumerTag, noAck } = fields as MethodFields<'basic.consume'>
      if (noAck) state.noAck.add(consumerTag)
    }
    wire.send(channel, name, fields as MethodFields<MethodName>)
    const taken = await this.#take(command.answers, quickly.has(name) ? 0 : this.#quietMs)
    const gotWithoutAck = name === 'basic.get' && (fields as MethodFields<'basic.get'>).noAck
    if (gotWithoutAck) state.tags.pop()
    if (name === 'channel.close') {
      this.#channels.delete(channel)
      wire.open.delete(channel)
    }
    return taken
  }

  async #ready(channel: number): Promise<Wire> {
    if (this.#wire === null || this.#wire.closed) {
      this.#wire = await Wire.connect(this.#port)
      this.#channels = new Map()
    }
    if (!this.#wire.open.has(channel)) {
      this.#channels.set(channel, new ChannelState())
      this.#wire.send(channel, 'channel.open', { outOfBand: '' } as unknown as MethodFields<'channel.open'>)
      await this.#wire.take(['channel.open-ok'], 0)
      this.#wire.open.add(channel)
    }
    return this.#wire
  }

  #state(channel: number): ChannelState {
    let state = this.#channels.get(channel)
    if (state === undefined) {
      state = new ChannelState()
      this.#channels.set(channel, state)
    }
    return state
  }

  #settle(wire: Wire, command: Extract<Command, { kind: 'settle' }>): void {
    const { channel, how, which, multiple, requeue } = command
    const state = this.#state(channel)
    const deliveryTag = state.tags[which % Math.max(1, which < 1000 ? state.tags.length : 1001)] ?? unknownTag
    state.tags = state.tags.filter((tag) => (multiple ? deliveryTag < tag : tag !== deliveryTag))
    if (how === 'ack') wire.send(channel, 'basic.ack', { deliveryTag, multiple })
    else if (how === 'nack') wire.send(channel, 'basic.nack', { deliveryTag, multiple, requeue })
    else wire.send(channel, 'basic.reject', { deliveryTag, requeue })
  }

  async #take(answers: readonly string[], quietMs: number): Promise<Record<string, string[]>> {
    const lines: Record<string, string[]> = {}
    if (this.#wire === null) return lines
    for (const event of await this.#wire.take(answers, quietMs)) {
      const [sort, ...said] = this.#say(event)
      const key = `channel ${event.channel} ${sort}`
      lines[key] = [...(lines[key] ?? []), ...said]
    }
    return lines
  }

  /** Its sort, then its lines. */
  #say(event: Event): string[] {
    const { channel, method, properties, body } = event
    const { name } = method
    const state = this.#state(channel)
    if (name === 'basic.ack' || name === 'basic.nack') {
      const { deliveryTag, multiple } = method.fields
      const tags: number[] = []
      for (let tag = multiple ? state.confirmed + 1 : deliveryTag; tag <= deliveryTag; tag++) tags.push(tag)
      state.confirmed = Math.max(state.confirmed, deliveryTag)
      return ['confirms', ...tags.map((tag) => `${name} ${tag}`)]
    }
    const fields: Record<string, unknown> = { ...method.fields }
    if (name === 'channel.close' || name === 'connection.close') {
      if (name === 'channel.close') this.#channels.delete(channel)
      const { replyCode, replyText, classId, methodId } = method.fields
      return ['answers', `${name} ${replyCode} ${comparableText(replyText)} ${classId}.${methodId}`]
    }
    if (name === 'basic.deliver' && !state.noAck.has(method.fields.consumerTag)) state.tags.push(method.fields.deliveryTag)
    if (name === 'basic.get-ok') state.tags.push(method.fields.deliveryTag)
    const content = properties === undefined ? '' : ` ${sayProperties(properties)} ${JSON.stringify(body)}`
    const sort = name === 'basic.deliver' || name === 'basic.return' ? name : 'answers'
    return [sort, `${name} ${JSON.stringify(comparableFields(name, fields))}${content}`]
  }

  end(): void {
    this.#wire?.end()
  }
}

/** Commands behind which nothing else follows. */
const quickly: ReadonlySet<MethodName> = new Set<MethodName>([
  'queue.declare',
  'exchange.declare',
  'queue.bind',
  'queue.unbind',
  'exchange.bind',
  'exchange.unbind',
  'basic.get',
  'confirm.select',
  'tx.select',
])

function sayProperties(properties: Properties): string {
  const { headers, ...others } = properties
  const said = headers === undefined ? {} : comparableHeaders(sayTable(headers))
  return JSON.stringify(Object.keys(said).length === 0 ? others : { ...others, headers: said })
}

const sayTable = (table: Table): Record<string, unknown> =>
  Object.fromEntries(
    [...table]
      .filter(([name]) => name !== 'time')
      .sort()
      .map(([name, value]) => [name, say(value)]),
  )

function say(field: FieldValue): unknown {
  switch (field.type) {
    case 'S':
    case 'x':
      return `${field.type} ${field.value.toString()}`
    case 'F':
      return sayTable(field.value)
    case 'A':
      return field.value.map(say)
    case 'V':
      return null
    case 'D':
      return `D ${field.scale} ${field.value}`
    default:
      return `${field.type} ${field.value}`
  }
}
