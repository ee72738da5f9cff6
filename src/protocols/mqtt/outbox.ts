/**
 * Messages to a client: live ones at once, those of its session and of shared subscriptions through consumers, in flight until they are
 * acknowledged. A packet identifier follows from the offset in the session's topic, so that it is the same after a reconnection or a restart.
 */
import { Buffer } from 'node:buffer'
import {
  accept,
  type Connection,
  type Consumer,
  type CoreErrorCode,
  type DeliveryBatch,
  type Listener,
  type LiveBatch,
  type Outcome,
  type Sink,
  type Space,
} from '../../broker/face.ts'
import { formats } from '../../core/record.ts'
import type { Clients } from './clients.ts'
import { encodeAck, encodePublish, type OutgoingPublish, Packet, type Qos, Version } from './codec.ts'
import { Reason } from './errors.ts'
import { decodeEnvelope, type Envelope, formatId, messageFormat } from './mapping.ts'
import { isLoose, matches, swap } from './names.ts'
import { encodePropertyList } from './properties.ts'
import type { SessionState, Subscription } from './state.ts'

const release: Outcome = { kind: 'release', countsAsAttempt: false }

/** Identifiers of the session's own topic are 1 to this; those above are for shared subscriptions. */
const ownIds = 49_152
/** In flight to one client, whatever it allows. */
const windowMax = 1024
/** Topics that a number stands for, whatever the client allows. */
const aliasesMax = 256
const none = Buffer.alloc(0)

export interface OutboxHost {
  readonly connection: Connection
  readonly clients: Clients
  readonly version: Version
  /** What the client may read is asked here. */
  readonly space: Space
  /** Of the client. */
  readonly receiveMaximum: number
  readonly packetBytesMax: number
  readonly topicAliasMaximum: number
  consumerEnded(topic: string, reason: CoreErrorCode): void
}

interface Message {
  readonly source: Source
  readonly handle: number
  readonly offset: number
  readonly publish: Omit<OutgoingPublish, 'packetId'>
}

/** One consumer, and the subscriptions that its records are for. */
interface Source {
  readonly consumer: Consumer
  /** Of a shared subscription. */
  readonly shared: Subscription | null
  /** Granted and not delivered yet. */
  granted: number
  /** Delivered and not settled. */
  unsettled: number
  settled: number[]
  /** It takes nothing more, and ends when what is in flight is acknowledged. */
  leaving: boolean
}

export class Outbox implements Sink {
  readonly #host: OutboxHost
  readonly #state: SessionState
  readonly #window: number
  readonly #sources = new Map<Consumer, Source>()
  readonly #listeners = new Map<string, { readonly listener: Listener; subscription: Subscription }>()
  readonly #inFlight = new Map<number, Message>()
  /** Delivered by the broker, and not sent for want of an identifier or of room in the client's window. */
  #waiting: Message[] = []
  #nextSharedId = ownIds + 1
  #closed = false
  /** null: the client takes none. */
  readonly #aliases: Map<string, number> | null
  readonly #aliasesMax: number

  constructor(host: OutboxHost, state: SessionState) {
    this.#host = host
    this.#state = state
    this.#window = Math.min(host.receiveMaximum, windowMax)
    this.#aliasesMax = Math.min(host.topicAliasMaximum, aliasesMax)
    this.#aliases = this.#aliasesMax === 0 ? null : new Map()
  }

  // ----------------------------------------------------------------------------------------------------------- live messages

  /** Hears live messages of a subscription with QoS 0; throws AccessDenied. */
  listen(subscription: Subscription): void {
    if (this.#closed) return
    const { filter } = subscription
    const present = this.#listeners.get(filter.text)
    if (present !== undefined) {
      present.subscription = subscription
      return
    }
    const group = filter.group === null ? {} : { group: `mqtt/${filter.group}/${filter.filter}` }
    const loose = isLoose(filter)
    const listener = this.#host.space.listen(
      { pattern: filter.pattern, ...group },
      { onRecords: (_, batch) => this.#onRecords(entry.subscription, loose, batch) },
    )
    const entry = { listener, subscription }
    this.#listeners.set(filter.text, entry)
  }

  unlisten(filter: string): void {
    this.#listeners.get(filter)?.listener.close()
    this.#listeners.delete(filter)
  }

  #onRecords(subscription: Subscription, loose: boolean, batch: LiveBatch): void {
    const { connection } = this.#host
    const { filter, noLocal } = subscription
    for (let i = 0; i < batch.length; i++) {
      if (noLocal && batch.connection[i] === connection.id) continue
      const address = batch.subject[i] as string // i < length, as in all columns
      const topic = swap(address)
      if (loose && !matches(filter.filter, topic)) continue
      // At most once: a client that does not read loses live messages, not the broker its memory.
      if (connection.congested) return
      this.#sendLive(subscription, topic, batch.format[i] as number, batch.bytes[i] as Buffer, batch.timestamp[i] as number)
    }
  }

  #sendLive(subscription: Subscription, topic: string, format: number, bytes: Buffer, timestamp: number): void {
    const { version } = this.#host
    const envelope = envelopeOf(format, bytes)
    const retain = subscription.retainAsPublished && envelope.retain
    const plain =
      !retain && this.#aliasesMax === 0 && (version !== Version.V5 || (subscription.id === 0 && envelope.expirySeconds < 0))
    if (plain) {
      this.#write(livePacket(envelope, bytes, topic, version))
      return
    }
    const properties = this.#properties(envelope, timestamp, subscription.id === 0 ? [] : [subscription.id])
    const { payload } = envelope
    this.#publish({ topic, qos: 0, retain, duplicate: false, packetId: 0, properties, payload })
  }

  /** A retained message with QoS 0 for a subscription that is new. */
  sendRetained(subscription: Subscription, topic: string, bytes: Buffer, timestamp: number): void {
    const envelope = envelopeOf(formatId, bytes)
    const properties = this.#properties(envelope, timestamp, subscription.id === 0 ? [] : [subscription.id])
    const { payload } = envelope
    const message = { topic, qos: 0, retain: true, duplicate: false, packetId: 0, properties, payload } as const
    this.#publish(message)
  }

  /** A figure of the broker: never stored, and nobody's publish. */
  sendFigure(topic: string, text: string, retain: boolean): void {
    const payload = Buffer.from(text)
    const message = { topic, qos: 0, retain, duplicate: false, packetId: 0, properties: none, payload } as const
    this.#publish(message)
  }

  #properties(envelope: Envelope, timestamp: number, ids: number[]): Buffer {
    if (this.#host.version !== Version.V5) return none
    const { expirySeconds, properties } = envelope
    if (expirySeconds < 0 && ids.length === 0) return properties
    const expiry = expirySeconds < 0 ? {} : { messageExpiry: this.#left(envelope, timestamp) }
    return Buffer.concat([properties, encodePropertyList({ ...expiry, ...(ids.length > 0 && { subscriptionIds: ids }) })])
  }

  /** What is left of its expiry (3.3.2.3.3). */
  #left({ expirySeconds, clientId }: Envelope, timestamp: number): number {
    const age = Math.max(0, Math.floor((this.#host.clients.broker.clock.now() - timestamp) / 1000))
    if (age < expirySeconds) return expirySeconds - age
    // A record of another protocol that is still here has a time that its producer gave it.
    return clientId === '' ? expirySeconds : 1
  }

  /** As {@link #write}; the first topics get a number that stands for them from then on (5.0, 3.3.2.3.4). */
  #publish(message: OutgoingPublish): boolean {
    const { topic, properties } = message
    const { version } = this.#host
    const aliases = this.#aliases
    const known = aliases?.get(topic)
    if (aliases === null || (known === undefined && aliases.size >= this.#aliasesMax))
      return this.#write(encodePublish(message, version))
    const topicAlias = known ?? aliases.size + 1
    const named = known === undefined ? topic : ''
    const extended = Buffer.concat([properties, encodePropertyList({ topicAlias })])
    const sent = this.#write(encodePublish({ ...message, topic: named, properties: extended }, version))
    if (sent) aliases.set(topic, topicAlias)
    return sent
  }

  /** False when it is larger than the client takes: it counts as sent (5.0, 3.1.2.11.4). */
  #write(packet: Buffer): boolean {
    if (packet.length > this.#host.packetBytesMax) return false
    this.#host.connection.write(packet)
    this.#host.clients.figures.sent++
    return true
  }

  // -------------------------------------------------------------------------------------------------------- stored messages

  /** Consumes a topic: the session's own, or (`shared`) that of a shared subscription. */
  consume(topic: string, shared: Subscription | null): void {
    // The connection may have ended while its SUBSCRIBE was under way.
    if (this.#closed) return
    for (const { consumer, leaving } of this.#sources.values()) if (consumer.topic === topic && !leaving) return
    const { clients, space, connection } = this.#host
    const state = this.#state
    const spec = { topic, subscription: '', autoSettle: false, name: state.clientId, connection: connection.id }
    const consumer = clients.space(space.namespace).subscribe(spec, this)
    this.#sources.set(consumer, { consumer, shared, granted: 0, unsettled: 0, settled: [], leaving: false })
    this.flush()
  }

  /** Consumes it no longer. What was not sent goes back; what is in flight is still acknowledged [3.10.4-3]. */
  leave(topic: string): void {
    for (const source of this.#sources.values()) {
      if (source.consumer.topic !== topic || source.leaving) continue
      source.leaving = true
      source.consumer.stop()
      const unsent = this.#waiting.filter((message) => message.source === source).map(({ handle }) => handle)
      this.#waiting = this.#waiting.filter((message) => message.source !== source)
      source.unsettled -= unsent.length
      source.consumer.settle(unsent, release)
      this.#settle(source)
    }
  }

  onDeliveries(consumer: Consumer, batch: DeliveryBatch): void {
    const source = this.#sources.get(consumer)
    if (source === undefined || source.leaving) return
    source.granted -= batch.length
    source.unsettled += batch.length
    for (let i = 0; i < batch.length; i++) this.#onDelivery(source, batch, i)
    this.flush()
  }

  #onDelivery(source: Source, batch: DeliveryBatch, i: number): void {
    const handle = batch.id[i] as number // i < length, as in all columns
    const bytes = (batch.buffer[i] as Buffer).subarray(batch.start[i], batch.end[i])
    const envelope = envelopeOf(batch.format[i] as number, bytes)
    const address = batch.subject[i] ?? source.consumer.topic
    const topic = swap(address)
    const wanted = source.shared === null ? this.#wanted(topic, envelope) : [source.shared]
    const { space, version } = this.#host
    if (wanted.length === 0 || !space.principal.may('consume', space.namespace, address)) {
      source.settled.push(handle)
      return
    }
    const qos = Math.min(envelope.qos, Math.max(...wanted.map((each) => each.qos))) as Qos
    const retain = envelope.fromStore || (envelope.retain && wanted.some((each) => each.retainAsPublished))
    const ids = wanted.flatMap(({ id }) => (id === 0 ? [] : [id]))
    const properties = version === Version.V5 ? this.#properties(envelope, batch.timestamp[i] as number, ids) : none
    const duplicate = qos > 0 && (batch.handedOut[i] as number) > 0 && source.shared === null
    const publish = { topic, qos, retain, duplicate, properties, payload: envelope.payload }
    if (qos === 0) {
      this.#publish({ ...publish, packetId: 0 })
      source.settled.push(handle)
      return
    }
    const message: Message = { source, handle, offset: batch.offset[i] as number, publish }
    if (this.#waiting.length > 0 || !this.#send(message)) this.#waiting.push(message)
  }

  /**
   * The subscriptions that a record of the session's topic is for. Those with QoS 0 hear live messages otherwise; what waits here for none but them
   * came for a subscription that they replaced, and is not lost by that [3.8.4-4].
   */
  #wanted(topic: string, envelope: Envelope): Subscription[] {
    const state = this.#state
    const wanted: Subscription[] = []
    const replaced: Subscription[] = []
    for (const each of state.subscriptions.values()) {
      if (each.filter.group !== null || !matches(each.filter.filter, topic)) continue
      if (each.noLocal && envelope.clientId === state.clientId) continue
      if (each.qos > 0) wanted.push(each)
      else replaced.push(each)
    }
    return wanted.length > 0 ? wanted : replaced
  }

  /** False when it has to wait. */
  #send(message: Message): boolean {
    const { source, handle, offset, publish } = message
    const released = this.#released
    if (this.#inFlight.size + released.size >= this.#window) return false
    const packetId = source.shared === null ? (offset % ownIds) + 1 : this.#sharedId()
    // As long as the message before it that had this identifier is not done.
    if (this.#inFlight.has(packetId) || released.has(packetId)) return false
    if (this.#publish({ ...publish, packetId })) this.#inFlight.set(packetId, message)
    else source.settled.push(handle)
    return true
  }

  /** There are more of them than can be in flight. */
  #sharedId(): number {
    while (this.#inFlight.has(this.#nextSharedId)) this.#stepSharedId()
    const id = this.#nextSharedId
    this.#stepSharedId()
    return id
  }

  #stepSharedId(): void {
    this.#nextSharedId = this.#nextSharedId === 0xffff ? ownIds + 1 : this.#nextSharedId + 1
  }

  get #released(): Set<number> {
    return this.#host.clients.ids(this.#state.key).out
  }

  // -------------------------------------------------------------------------------------------------------- acknowledgements

  onPuback(packetId: number): void {
    const message = this.#inFlight.get(packetId)
    if (message === undefined || message.publish.qos !== 1) return
    this.#inFlight.delete(packetId)
    message.source.settled.push(message.handle)
  }

  /** The client has it: that is written down before it is told to forget the identifier, or a restart would send it once more. */
  onPubrec(packetId: number, reason: number): void {
    const { connection, clients, version } = this.#host
    const state = this.#state
    const message = this.#inFlight.get(packetId)
    if (message === undefined) {
      const known = this.#released.has(packetId)
      if (known || reason < 0x80)
        connection.write(encodeAck(Packet.Pubrel, packetId, known ? 0 : Reason.PacketIdNotFound, version))
      return
    }
    if (message.publish.qos !== 2) return
    this.#inFlight.delete(packetId)
    message.source.settled.push(message.handle)
    if (reason >= 0x80) return
    this.#settle(message.source)
    const release = (): void => connection.write(encodeAck(Packet.Pubrel, packetId, 0, version))
    if (!state.durable) {
      this.#released.add(packetId)
      return release()
    }
    clients.note(state.key, 'out', packetId)
    clients.durable().then(release, () => connection.destroy('nothing can be stored'))
  }

  onPubcomp(packetId: number): void {
    const { clients } = this.#host
    const state = this.#state
    if (this.#released.has(packetId)) clients.drop(state.key, 'out', packetId)
  }

  /** A client is back: what it has received and not completed is released again. */
  resume(): void {
    const { connection, version } = this.#host
    for (const id of this.#released) connection.write(encodeAck(Packet.Pubrel, id, 0, version))
  }

  // ------------------------------------------------------------------------------------------------------------------- upkeep

  /** Settles what is done, sends what waited, and asks for more: after each batch of packets or deliveries. */
  flush(): void {
    while (this.#waiting[0] !== undefined && this.#send(this.#waiting[0])) this.#waiting.shift()
    for (const source of this.#sources.values()) {
      this.#settle(source)
      if (source.leaving || this.#host.connection.congested) continue
      const more = this.#window - source.granted - source.unsettled
      if (more <= 0) continue
      source.granted += more
      source.consumer.credit(more)
    }
  }

  #settle(source: Source): void {
    const { settled, consumer } = source
    if (settled.length > 0) {
      source.settled = []
      source.unsettled -= settled.length
      consumer.settle(settled, accept)
    }
    if (!source.leaving || source.unsettled > 0) return
    this.#sources.delete(consumer)
    consumer.close()
  }

  close(): void {
    this.#closed = true
    for (const { listener } of this.#listeners.values()) listener.close()
    this.#listeners.clear()
    for (const source of this.#sources.values()) {
      this.#settle(source)
      source.consumer.close()
    }
    this.#sources.clear()
    this.#inFlight.clear()
    this.#waiting = []
  }

  onConsumerClosed(consumer: Consumer, reason: CoreErrorCode): void {
    const source = this.#sources.get(consumer)
    this.#sources.delete(consumer)
    for (const [id, message] of this.#inFlight) if (message.source === source) this.#inFlight.delete(id)
    if (source?.leaving === false) this.#host.consumerEnded(consumer.topic, reason)
  }
}

// One record often goes to many subscribers: the last one's envelope and packet are kept.
let lastBytes: Buffer | null = null
let lastEnvelope: Envelope | null = null
let packetBytes: Buffer | null = null
let packetTopic = ''
let packetVersion: Version | null = null
let lastPacket: Buffer = none

function envelopeOf(format: number, bytes: Buffer): Envelope {
  if (bytes === lastBytes && lastEnvelope !== null) return lastEnvelope
  const own = format === formatId ? bytes : messageFormat.fromAttributes(formats.get(format).toAttributes(bytes))
  lastBytes = bytes
  lastEnvelope = decodeEnvelope(own)
  return lastEnvelope
}

function livePacket({ properties, payload }: Envelope, bytes: Buffer, topic: string, version: Version): Buffer {
  const same = version === packetVersion || (version !== Version.V5 && packetVersion !== Version.V5 && packetVersion !== null)
  if (bytes === packetBytes && topic === packetTopic && same) return lastPacket
  lastPacket = encodePublish({ topic, qos: 0, retain: false, duplicate: false, packetId: 0, properties, payload }, version)
  packetBytes = bytes
  packetTopic = topic
  packetVersion = version
  return lastPacket
}
