/** Conversations of several clients: what reaches whom, in what form, and what a session remembers. */
import { Buffer } from 'node:buffer'
import {
  encodeAck,
  encodePublish,
  encodeText,
  Packet,
  type Properties,
  type Qos,
  Version,
} from '../../../src/protocols/mqtt/codec.ts'
import { encodeProperties, encodePropertyList } from '../../../src/protocols/mqtt/properties.ts'
import type { Case } from './packet-cases.ts'
import { type Connect, frame, Wire } from './wire.ts'

interface PublishOptions {
  readonly qos?: Qos
  readonly retain?: boolean
  readonly id?: number
  readonly duplicate?: boolean
  readonly properties?: Properties
}

/** One client of a conversation; what it hears goes into the conversation's notes under its name. */
class Client {
  readonly wire: Wire
  readonly #name: string
  readonly #notes: string[]
  #id = 0

  constructor(wire: Wire, name: string, notes: string[]) {
    this.wire = wire
    this.#name = name
    this.#notes = notes
  }

  get #five(): Buffer[] {
    return this.wire.version === Version.V5 ? [Buffer.of(0)] : []
  }

  /** Notes so many lines, and whatever else has come by then. */
  async hears(lines: number): Promise<void> {
    this.note(await this.wire.settle(lines))
  }

  /** Notes what comes until there is nothing on its way. */
  async rest(): Promise<void> {
    this.note(await this.wire.quiet())
  }

  note(lines: readonly string[]): void {
    this.#notes.push(...lines.map((line) => `${this.#name}: ${line}`))
  }

  async subscribe(filter: string, options = 0, properties: Properties = {}): Promise<void> {
    const list = this.wire.version === Version.V5 ? [encodeProperties(properties)] : []
    this.wire.send(frame(Packet.Subscribe, 2, [0, ++this.#id], ...list, encodeText(filter), [options]))
    await this.hears(1)
  }

  async unsubscribe(filter: string): Promise<void> {
    this.wire.send(frame(Packet.Unsubscribe, 2, [0, ++this.#id], ...this.#five, encodeText(filter)))
    await this.hears(1)
  }

  /** Publishes and notes the first answer, if there is one. */
  async publish(topic: string, text: string, options: PublishOptions = {}): Promise<void> {
    const { qos = 0, retain = false, id = ++this.#id, duplicate = false, properties = {} } = options
    const list = encodePropertyList(properties)
    const payload = Buffer.from(text)
    this.wire.send(encodePublish({ topic, qos, retain, duplicate, packetId: id, properties: list, payload }, this.wire.version))
    if (qos > 0) await this.hears(1)
    else await this.rest()
  }

  ack(type: Packet, id: number, reason = 0): void {
    this.wire.send(encodeAck(type, id, reason, this.wire.version))
  }

  async disconnect(reason?: number, properties: Properties = {}): Promise<void> {
    this.wire.send(frame(Packet.Disconnect, 0, ...(reason === undefined ? [] : [[reason], encodeProperties(properties)])))
    await this.hears(1)
  }
}

class Conversation {
  readonly notes: string[] = []
  readonly #port: number
  readonly #clients: Client[] = []

  constructor(port: number) {
    this.#port = port
  }

  async join(name: string, options: Connect = {}): Promise<Client> {
    const wire = await Wire.open(this.#port, options.version)
    const client = new Client(wire, name, this.notes)
    this.#clients.push(client)
    wire.greet({ clientId: `conversation-${name}`, ...options })
    await client.hears(1)
    return client
  }

  async end(): Promise<void> {
    for (const client of this.#clients) await client.wire.destroy()
  }
}

function conversation(name: string, run: (talk: Conversation) => Promise<void>): Case {
  return {
    name: `conversation: ${name}`,
    run: async (port) => {
      const talk = new Conversation(port)
      try {
        await run(talk)
      } finally {
        await talk.end()
      }
      return talk.notes
    },
  }
}

const versions = { '3.1': Version.V31, '3.1.1': Version.V311, '5.0': Version.V5 } as const
const keeps = { clean: false, properties: { sessionExpiry: 600 } } as const

export function conversationCases(): Case[] {
  const cases: Case[] = []
  for (const [name, version] of Object.entries(versions)) {
    for (const sent of [0, 1, 2] as const) {
      for (const taken of [0, 1, 2] as const)
        cases.push(
          conversation(`${name} QoS ${sent} to ${taken}`, async (talk) => {
            const [reader, writer] = [await talk.join('reader', { version }), await talk.join('writer', { version })]
            await reader.subscribe('c/qos', taken)
            await writer.publish('c/qos', 'x', { qos: sent, id: 1 })
            if (sent === 2) {
              writer.ack(Packet.Pubrel, 1)
              await writer.hears(1)
            }
            await reader.hears(1)
            const qos = Math.min(sent, taken)
            if (qos === 1) reader.ack(Packet.Puback, 1)
            if (qos === 2) {
              reader.ack(Packet.Pubrec, reader.wire.lastPacketId)
              await reader.wire.settle(1)
              reader.ack(Packet.Pubcomp, reader.wire.lastPacketId)
            }
            await reader.rest()
          }),
        )
    }
    cases.push(...sessions(name, version), ...retained(name, version), ...wills(name, version))
  }
  return [...cases, ...ofFive()]
}

function sessions(name: string, version: Version): Case[] {
  const options = (talker: string): Connect => ({ version, clientId: `s-${name}-${talker}`, ...keeps })
  return [
    conversation(`${name} a session that was away`, async (talk) => {
      const first = await talk.join('reader', options('away'))
      await first.subscribe('c/away', 1)
      await first.disconnect()
      const writer = await talk.join('writer', { version })
      for (const text of ['1', '2', '3']) await writer.publish('c/away', text, { qos: 1 })
      await writer.publish('c/away', '4', { qos: 0 })
      const again = await talk.join('reader', options('away'))
      await again.hears(3)
      await again.wire.destroy()
      const third = await talk.join('reader', options('away'))
      await third.hears(3)
      await third.disconnect()
      await (await talk.join('reader', { ...options('away'), clean: true, properties: {} })).rest()
    }),
    conversation(`${name} a message with QoS 2 over a reconnection`, async (talk) => {
      const first = await talk.join('reader', options('twice'))
      await first.subscribe('c/twice', 2)
      const writer = await talk.join('writer', options('writes-twice'))
      await writer.publish('c/twice', 'x', { qos: 2, id: 7 })
      await writer.wire.destroy()
      const back = await talk.join('writer', options('writes-twice'))
      await back.publish('c/twice', 'x', { qos: 2, id: 7, duplicate: true })
      back.ack(Packet.Pubrel, 7)
      await back.hears(1)
      await first.hears(1)
      first.ack(Packet.Pubrec, first.wire.lastPacketId)
      await first.wire.settle(1)
      await first.wire.destroy()
      const again = await talk.join('reader', options('twice'))
      await again.rest()
      again.ack(Packet.Pubcomp, again.wire.lastPacketId)
      await again.rest()
    }),
    conversation(`${name} two subscriptions to the same message`, async (talk) => {
      const reader = await talk.join('reader', { version })
      await reader.subscribe('c/over/+', 1)
      await reader.subscribe('c/over/#', 0)
      const writer = await talk.join('writer', { version })
      await writer.publish('c/over/a', 'x', { qos: 1 })
      await reader.hears(1)
      await reader.rest()
    }),
    conversation(`${name} an end of subscribing`, async (talk) => {
      const reader = await talk.join('reader', { version })
      await reader.subscribe('c/ends', 0)
      await reader.unsubscribe('c/ends')
      await reader.unsubscribe('c/ends')
      await reader.publish('c/ends', 'x')
      await reader.rest()
    }),
    conversation(`${name} a second connection with the same client id`, async (talk) => {
      const first = await talk.join('first', { version, clientId: `same-${name}` })
      const second = await talk.join('second', { version, clientId: `same-${name}` })
      await first.hears(2)
      await second.rest()
    }),
    conversation(`${name} topics that begin with $, and wildcards`, async (talk) => {
      const reader = await talk.join('reader', { version })
      await reader.subscribe('+/c/dollar', 0)
      await reader.subscribe('$own/#', 0)
      await reader.publish('$own/c/dollar', 'x')
      await reader.hears(1)
      await reader.publish('c/c/dollar', 'y')
      await reader.rest()
    }),
    conversation(`${name} a filter that ends with # matches its parent, empty levels are levels`, async (talk) => {
      const reader = await talk.join('reader', { version })
      await reader.subscribe('c/parent/#', 0)
      await reader.publish('c/parent', '1')
      await reader.publish('c/parent/', '2')
      await reader.publish('c//parent', '3')
      await reader.subscribe('c/+/empty', 0)
      await reader.publish('c//empty', '4')
      await reader.rest()
    }),
  ]
}

function retained(name: string, version: Version): Case[] {
  return [
    conversation(`${name} retained: kept, replaced, forgotten`, async (talk) => {
      const writer = await talk.join('writer', { version })
      const topic = `c/retained/${name}`
      const live = await talk.join('live', { version })
      await live.subscribe(topic, 1)
      for (const text of ['one', 'two', '']) {
        await writer.publish(topic, text, { qos: 1, retain: true })
        await live.hears(1)
        const reader = await talk.join('reader', { version })
        await reader.subscribe(`c/retained/${name}`, 1)
        await reader.hears(text === '' ? 0 : 1)
        await reader.rest()
        // 3.1.1, 3.8.4: an equal filter has it sent again.
        await reader.subscribe(`c/retained/${name}`, 0)
        await reader.rest()
        await reader.wire.destroy()
      }
    }),
  ]
}

function wills(name: string, version: Version): Case[] {
  const will = (qos: number, retain: boolean): Connect => ({
    version,
    will: { topic: `c/will/${name}`, payload: 'gone', qos, retain },
  })
  return [
    conversation(`${name} a will, unless the client says goodbye`, async (talk) => {
      const watcher = await talk.join('watcher', { version })
      await watcher.subscribe(`c/will/${name}`, 2)
      await (await talk.join('polite', will(0, false))).disconnect()
      await watcher.rest()
      for (const qos of [0, 1]) {
        await (await talk.join('rude', will(qos, false))).wire.destroy()
        await watcher.hears(1)
      }
    }),
    conversation(`${name} a will of a connection that breaks the rules`, async (talk) => {
      const watcher = await talk.join('watcher', { version })
      await watcher.subscribe(`c/will/${name}`, 0)
      const breaks = await talk.join('breaks', will(0, false))
      breaks.wire.send(frame(Packet.Subscribe, 2, [0, 0]))
      await watcher.hears(1)
    }),
    conversation(`${name} a will that is retained`, async (talk) => {
      const watcher = await talk.join('watcher', { version })
      await watcher.subscribe(`c/will/${name}`, 1)
      await (await talk.join('rude', will(1, true))).wire.destroy()
      await watcher.hears(1)
      const late = await talk.join('late', { version })
      await late.subscribe(`c/will/${name}`, 0)
      await late.hears(1)
      await (await talk.join('writer', { version })).publish(`c/will/${name}`, '', { qos: 1, retain: true })
    }),
  ]
}

/** Of version 5 alone. */
function ofFive(): Case[] {
  const rich: Properties = {
    payloadFormat: 1,
    contentType: 'text/plain',
    responseTopic: 'c/answers',
    correlationData: Buffer.from([0, 255, 1]),
    userProperties: [
      ['a', '1'],
      ['b', '2'],
      ['a', '3'],
    ],
  }
  return [
    conversation('5.0 properties are passed on', async (talk) => {
      const reader = await talk.join('reader')
      for (const qos of [0, 1] as const) {
        await reader.subscribe('c/rich', qos)
        const writer = await talk.join('writer')
        await writer.publish('c/rich', 'text', { qos, properties: rich })
        await reader.hears(1)
      }
    }),
    conversation('5.0 a message that expires says what is left', async (talk) => {
      const reader = await talk.join('reader')
      await reader.subscribe('c/expires', 1)
      await reader.publish('c/expires', 'x', { qos: 1, properties: { messageExpiry: 60 } })
      await reader.hears(1)
      await reader.rest()
    }),
    conversation('5.0 retain handling', async (talk) => {
      const writer = await talk.join('writer')
      await writer.publish('c/handling', 'kept', { qos: 1, retain: true })
      const reader = await talk.join('reader')
      for (const handling of [2, 1, 1, 0, 2]) {
        await reader.subscribe('c/handling', handling << 4)
        await reader.rest()
      }
      await writer.publish('c/handling', '', { qos: 1, retain: true })
    }),
    conversation('5.0 retain as published, and no local', async (talk) => {
      const reader = await talk.join('reader')
      await reader.subscribe('c/rap/a', 8)
      await reader.subscribe('c/rap/b', 0)
      await reader.subscribe('c/rap/c', 4)
      for (const topic of ['c/rap/a', 'c/rap/b', 'c/rap/c']) await reader.publish(topic, 'x', { qos: 0, retain: true })
      await reader.rest()
      for (const topic of ['c/rap/a', 'c/rap/b', 'c/rap/c']) await reader.publish(topic, '', { qos: 0, retain: true })
      await reader.rest()
    }),
    conversation('5.0 subscription identifiers', async (talk) => {
      const reader = await talk.join('reader')
      await reader.subscribe('c/ids/+', 1, { subscriptionIds: [1] })
      await reader.publish('c/ids/a', 'x', { qos: 1 })
      await reader.hears(1)
      await reader.subscribe('c/ids/+', 1, { subscriptionIds: [200_000] })
      await reader.publish('c/ids/a', 'y', { qos: 1 })
      await reader.hears(1)
      await reader.rest()
    }),
    conversation('5.0 shares', async (talk) => {
      const members = [await talk.join('member', { clientId: 'm1' }), await talk.join('member', { clientId: 'm2' })]
      for (const member of members) await member.subscribe('$share/g/c/shared', 1)
      const writer = await talk.join('writer')
      for (const text of ['1', '2']) await writer.publish('c/shared', text, { qos: 1 })
      for (const member of members) await member.hears(1)
      for (const member of members) {
        await member.unsubscribe('$share/g/c/shared')
        await member.rest()
      }
    }),
    conversation('5.0 a receive maximum of one', async (talk) => {
      const reader = await talk.join('reader', { properties: { receiveMaximum: 1 } })
      await reader.subscribe('c/window', 1)
      const writer = await talk.join('writer')
      for (const text of ['1', '2', '3']) await writer.publish('c/window', text, { qos: 1 })
      for (let i = 0; i < 3; i++) {
        await reader.hears(1)
        await reader.rest()
        reader.ack(Packet.Puback, reader.wire.lastPacketId)
      }
    }),
    conversation('5.0 a packet that is larger than the client takes', async (talk) => {
      const reader = await talk.join('reader', { properties: { maximumPacketSize: 40 } })
      await reader.subscribe('c/large', 1)
      const writer = await talk.join('writer')
      await writer.publish('c/large', 'x'.repeat(100), { qos: 1 })
      await writer.publish('c/large', 'small', { qos: 1 })
      await reader.hears(1)
      await reader.rest()
    }),
    conversation('5.0 a goodbye that asks for the will', async (talk) => {
      const watcher = await talk.join('watcher')
      await watcher.subscribe('c/goodbye', 0)
      const options = {
        will: { topic: 'c/goodbye', payload: 'gone', properties: { contentType: 't', userProperties: [['a', 'b']] } },
      }
      await (await talk.join('asks', options as Connect)).disconnect(4)
      await watcher.hears(1)
    }),
    conversation('5.0 a will that waits, and its client is back', async (talk) => {
      const watcher = await talk.join('watcher')
      await watcher.subscribe('c/waits', 0)
      const options: Connect = {
        ...keeps,
        clientId: 'waits',
        will: { topic: 'c/waits', payload: 'gone', properties: { willDelay: 60 } },
      }
      await (await talk.join('waits', options)).wire.destroy()
      await (await talk.join('waits', options)).disconnect()
      await watcher.rest()
      await (await talk.join('waits', { ...options, clean: true })).disconnect(0, { sessionExpiry: 0 })
    }),
    conversation('5.0 a session whose expiry is changed with the goodbye', async (talk) => {
      const options: Connect = { ...keeps, clientId: 'shortens' }
      await (await talk.join('client', options)).disconnect(0, { sessionExpiry: 0 })
      await (await talk.join('client', options)).disconnect(0, { sessionExpiry: 0 })
    }),
  ]
}
