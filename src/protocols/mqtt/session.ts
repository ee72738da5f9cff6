/**
 * One MQTT connection: CONNECT, then packets one after the other. Messages in are inbox.ts, messages out outbox.ts, subscriptions subscribe.ts;
 * here are versions, login, keep alive, the will and how a connection ends.
 */
import { randomUUID } from 'node:crypto'
import type { Broker, CloseCause, Connection, CoreErrorCode, Session as ProtocolSession, Space } from '../../broker/face.ts'
import { type Clients, clientsOf, type LiveSession } from './clients.ts'
import {
  type ConnectPacket,
  encodeConnack,
  encodeDisconnect,
  encodeSuback,
  encodeUnsuback,
  Packet,
  PacketDecoder,
  type Properties,
  pingresp,
  type RawPacket,
  readAck,
  readConnect,
  readDisconnect,
  readPublish,
  readSubscribe,
  readUnsubscribe,
  Version,
  type Will,
} from './codec.ts'
import { MqttError, Reason, reasonOf, returnCodeOf } from './errors.ts'
import { Inbox, receiveMaximum, topicAliasMaximum } from './inbox.ts'
import { isTopicName, matches } from './names.ts'
import { Outbox } from './outbox.ts'
import { forever, SessionState } from './state.ts'
import { resubscribe, subscribe, unsubscribe } from './subscribe.ts'

const handshakeMs = 10_000
const packetBytesMax = 16 * 1024 * 1024
const connectBytesMax = 256 * 1024

const State = { Connecting: 0, Open: 1, Closed: 2 } as const

/** What exists from CONNECT on. */
interface Opened {
  readonly state: SessionState
  readonly inbox: Inbox
  readonly outbox: Outbox
}

export class Session implements ProtocolSession, LiveSession {
  readonly connection: Connection
  readonly broker: Broker
  readonly clients: Clients
  version: Version = Version.V311
  space: Space
  receiveMaximum = 0xffff
  packetBytesMax = Number.POSITIVE_INFINITY
  #clientAliasMaximum = 0
  #state: number = State.Connecting
  #decoder: PacketDecoder
  #opened: Opened | null = null
  #will: Will | null = null
  #keepAliveMs = 0
  #explains = true
  #busy = false
  readonly #openedAt: number
  #receivedAt: number
  #whenWritable: (() => void)[] = []

  constructor(connection: Connection, broker: Broker) {
    this.connection = connection
    this.broker = broker
    this.clients = clientsOf(broker)
    this.#openedAt = this.#receivedAt = broker.clock.now()
    this.#decoder = new PacketDecoder(packetBytesMax)
    this.space = broker.space(broker.anonymous, 'default', { anyone: true, protocol: 'mqtt' })
    connection.info.protocol = 'mqtt'
  }

  get state(): SessionState {
    return this.#open.state
  }

  get outbox(): Outbox {
    return this.#open.outbox
  }

  get #open(): Opened {
    if (this.#opened === null) throw new MqttError(Reason.ProtocolError, 'CONNECT must be first')
    return this.#opened
  }

  // ----------------------------------------------------------------------------------------------------------------- incoming

  onBytes(chunk: Buffer): void {
    this.#receivedAt = this.broker.clock.now()
    if (this.#state === State.Closed) return
    this.#decoder.push(chunk)
    this.#pump()
  }

  #pump(): void {
    try {
      while (!this.#busy && this.#state !== State.Closed) {
        const packet = this.#decoder.next()
        if (packet === null) break
        this.#onPacket(packet)
      }
    } catch (cause) {
      this.#fail(cause)
    }
    this.#opened?.inbox.flush()
    this.#opened?.outbox.flush()
  }

  #onPacket(packet: RawPacket): void {
    if (this.#state === State.Connecting) {
      if (packet.type !== Packet.Connect) throw new MqttError(Reason.ProtocolError, 'CONNECT must be first')
      if (packet.body.length > connectBytesMax) throw new MqttError(Reason.PacketTooLarge, 'CONNECT is too large')
      return this.#wait(this.#connect(packet))
    }
    const { inbox, outbox } = this.#open
    const { version } = this
    switch (packet.type) {
      case Packet.Publish:
        return inbox.onPublish(readPublish(packet, version))
      case Packet.Puback:
        return outbox.onPuback(readAck(packet, version).packetId)
      case Packet.Pubrec: {
        const { packetId, reason } = readAck(packet, version)
        return outbox.onPubrec(packetId, reason)
      }
      case Packet.Pubrel:
        return inbox.onPubrel(readAck(packet, version).packetId)
      case Packet.Pubcomp:
        return outbox.onPubcomp(readAck(packet, version).packetId)
      case Packet.Subscribe:
        return this.#wait(this.#subscribe(packet))
      case Packet.Unsubscribe:
        return this.#wait(this.#unsubscribe(packet))
      case Packet.Pingreq:
        if (packet.flags !== 0 || packet.body.length > 0) throw new MqttError(Reason.MalformedPacket, 'PINGREQ has a body')
        return this.connection.write(pingresp)
      case Packet.Disconnect:
        return this.#disconnect(packet)
      default:
        throw new MqttError(Reason.ProtocolError, `packet type ${packet.type} is not for a server, or not now`)
    }
  }

  /** Packets are done one after the other. */
  #wait(pending: Promise<void>): void {
    this.#busy = true
    this.#opened?.inbox.flush()
    this.connection.pause()
    pending
      .catch((cause: unknown) => this.#fail(cause))
      .finally(() => {
        this.#busy = false
        this.connection.resume()
        this.#pump()
      })
  }

  // ------------------------------------------------------------------------------------------------------------------ CONNECT

  async #connect(packet: RawPacket): Promise<void> {
    let connect: ConnectPacket
    try {
      connect = readConnect(packet)
    } catch (cause) {
      if (!(cause instanceof MqttError)) throw cause
      // 5.0, 3.1.2.2 lets a server answer a version that it does not speak; what else is malformed gets its reason in version 5 alone.
      if (cause.reason === Reason.UnsupportedVersion) this.version = (packet.body[6] ?? 0) > 5 ? Version.V5 : Version.V311
      else if (packet.body[6] === 5) this.version = Version.V5
      if (this.version === Version.V5 || cause.reason === Reason.UnsupportedVersion) return this.#refuse(cause)
      return this.#end(cause.message)
    }
    this.version = connect.version
    try {
      await this.#logIn(connect)
      await this.#enter(connect)
    } catch (cause) {
      this.#refuse(cause)
    }
  }

  async #logIn({ user, password, properties, will }: ConnectPacket): Promise<void> {
    const { broker, connection } = this
    if (properties.authMethod !== undefined)
      throw new MqttError(Reason.BadAuthenticationMethod, `the authentication method ${properties.authMethod} is not known here`)
    let principal = broker.anonymous
    if (user === null && connection.peerName !== undefined)
      principal = await broker.authenticate({ kind: 'certificate', user: connection.peerName })
    else if (user !== null || broker.authenticationRequired)
      principal = await broker.authenticate({ kind: 'password', user: user ?? '', password: password?.toString('utf8') ?? '' })
    this.space = broker.space(principal, 'default', { protocol: 'mqtt' })
    if (will !== null && !isTopicName(will.topic))
      throw new MqttError(Reason.TopicNameInvalid, "the will's topic is no topic name")
    connection.info.user = principal.user
    connection.info.namespace = this.space.namespace
    broker.admit(connection)
  }

  async #enter(connect: ConnectPacket): Promise<void> {
    const { version, cleanStart, properties, keepAlive } = connect
    const five = version === Version.V5
    if (connect.clientId === '' && !cleanStart && !five)
      throw new MqttError(Reason.ClientIdNotValid, 'a session that is to be kept needs a client id')
    const clientId = connect.clientId === '' ? `auto-${randomUUID()}` : connect.clientId
    const expirySeconds = five ? (properties.sessionExpiry ?? 0) : cleanStart ? 0 : forever
    this.receiveMaximum = properties.receiveMaximum ?? 0xffff
    this.packetBytesMax = properties.maximumPacketSize ?? Number.POSITIVE_INFINITY
    this.#clientAliasMaximum = properties.topicAliasMaximum ?? 0
    this.#explains = properties.requestProblemInformation !== 0
    this.#keepAliveMs = keepAlive * 1500
    const state = new SessionState(this.clients, this.space.namespace, clientId, expirySeconds)
    this.clients.enter(state.key, this, cleanStart)
    const present = await state.open(cleanStart)
    if (this.#isClosed) return this.clients.leave(state.key, this)
    this.#will = connect.will
    this.#describe(clientId)
    this.#state = State.Open
    const opened: Opened = { state, inbox: this.#inboxOf(state), outbox: this.#outboxOf(state) }
    this.#opened = opened
    const answer: Properties = {
      receiveMaximum,
      topicAliasMaximum,
      maximumPacketSize: packetBytesMax,
      ...(connect.clientId === '' && { assignedClientId: clientId }),
    }
    this.connection.write(encodeConnack(version, present && version !== Version.V31, 0, answer))
    if (!present) return
    opened.outbox.resume()
    await resubscribe(this)
  }

  // Another connection may have taken over while this one waited.
  get #isClosed(): boolean {
    return this.#state === State.Closed
  }

  #describe(clientId: string): void {
    this.connection.info.clientName = clientId
    this.connection.info.clientVersion = { 3: 'MQTT 3.1', 4: 'MQTT 3.1.1', 5: 'MQTT 5.0' }[this.version]
  }

  #inboxOf(state: SessionState): Inbox {
    const { connection, clients, version, space } = this
    const refused = (reason: Reason, message: string): void => this.#fail(new MqttError(reason, message))
    return new Inbox({ connection, clients, version, space, state, refused })
  }

  #outboxOf(state: SessionState): Outbox {
    const { connection, clients, version, space } = this
    const consumerEnded = (topic: string, reason: CoreErrorCode): void =>
      this.#fail(new MqttError(Reason.Unspecified, `the broker ended "${topic}": ${reason}`))
    const { receiveMaximum: clientReceiveMaximum, packetBytesMax: clientBytesMax } = this
    const limits = {
      receiveMaximum: clientReceiveMaximum,
      packetBytesMax: clientBytesMax,
      topicAliasMaximum: this.#clientAliasMaximum,
    }
    return new Outbox({ connection, clients, version, space, state, consumerEnded, ...limits })
  }

  #refuse(cause: unknown): void {
    const reason = cause instanceof MqttError ? cause.reason : reasonOf(cause)
    const code = this.version === Version.V5 ? reason : returnCodeOf(reason)
    const message = cause instanceof Error ? cause.message : String(cause)
    this.connection.write(encodeConnack(this.version, false, code, { reasonString: message }))
    this.#end(message)
  }

  // ------------------------------------------------------------------------------------------------------------- subscriptions

  async #subscribe(packet: RawPacket): Promise<void> {
    const request = readSubscribe(packet, this.version)
    const { codes, after } = await subscribe(this, request)
    if (this.#state !== State.Open) return
    this.connection.write(encodeSuback(request.packetId, codes, this.version))
    await after()
  }

  async #unsubscribe(packet: RawPacket): Promise<void> {
    const { packetId, filters } = readUnsubscribe(packet, this.version)
    const codes = await unsubscribe(this, filters)
    this.connection.write(encodeUnsuback(packetId, codes, this.version))
  }

  writable(): Promise<void> {
    if (!this.connection.congested || this.#state === State.Closed) return Promise.resolve()
    return new Promise((resolve) => this.#whenWritable.push(resolve))
  }

  /** Figures of the broker, every few seconds, to whoever subscribes to them. */
  figures(values: readonly (readonly [string, string])[]): void {
    if (this.#opened === null || this.connection.congested) return
    const { state, outbox } = this.#opened
    for (const { filter } of state.subscriptions.values()) {
      if (!filter.filter.startsWith('$SYS')) continue
      for (const [topic, text] of values) if (matches(filter.filter, topic)) outbox.sendFigure(topic, text, false)
    }
  }

  // ------------------------------------------------------------------------------------------------------------------- ending

  #disconnect(packet: RawPacket): void {
    const { reason, properties } = readDisconnect(packet, this.version)
    const { state } = this.#open
    if (properties.sessionExpiry !== undefined) {
      if (state.expirySeconds === 0 && properties.sessionExpiry > 0)
        throw new MqttError(Reason.ProtocolError, 'a session that ends with its connection cannot be prolonged')
      state.expirySeconds = properties.sessionExpiry
    }
    if (reason === Reason.Success) this.#will = null
    this.#end('closed by the client')
  }

  /** Ends the connection; version 5 is told why (4.13). */
  #fail(cause: unknown): void {
    if (this.#state === State.Closed) return
    const message = cause instanceof Error ? cause.message : String(cause)
    if (!(cause instanceof MqttError)) this.broker.log.warn({ error: message }, 'mqtt: a packet could not be done')
    if (this.version === Version.V5 && this.#state === State.Open) {
      const explains = this.#explains && message !== ''
      this.connection.write(encodeDisconnect(reasonOf(cause), explains ? { reasonString: message } : {}))
    }
    this.#end(message)
  }

  takeOver(): void {
    this.#fail(new MqttError(Reason.SessionTakenOver, 'another connection has this client id'))
  }

  #end(reason: string): void {
    this.#release()
    this.connection.end(reason)
  }

  #release(): void {
    if (this.#state === State.Closed) return
    this.#state = State.Closed
    for (const resume of this.#whenWritable.splice(0)) resume()
    const opened = this.#opened
    if (opened === null) return
    const { state, inbox, outbox } = opened
    inbox.flush()
    outbox.close()
    const will = this.#will
    this.#will = null
    if (will !== null) {
      const send = (): void => inbox.publishWill(will)
      const delaySeconds = Math.min(will.properties.willDelay ?? 0, state.expirySeconds)
      if (delaySeconds > 0) this.clients.delayWill(state.key, delaySeconds * 1000, send)
      else send()
    }
    state.close()
    this.clients.leave(state.key, this)
  }

  // ------------------------------------------------------------------------------------------------------- called by the loop

  onWritable(): void {
    for (const resume of this.#whenWritable.splice(0)) resume()
    this.#opened?.outbox.flush()
  }

  onTick(now: number): void {
    if (this.#state === State.Connecting && now - this.#openedAt > handshakeMs) this.connection.destroy('handshake timeout')
    if (this.#state !== State.Open || this.#keepAliveMs === 0 || this.#busy) return
    // 3.1.2.10: one and a half times the keep alive; ticks come once a second.
    if (now - this.#receivedAt > this.#keepAliveMs + 500) this.#fail(new MqttError(Reason.KeepAliveTimeout, 'keep alive timeout'))
  }

  drain(): void {
    this.#fail(new MqttError(Reason.ServerShuttingDown, 'the broker is stopping'))
  }

  onClose(_cause: CloseCause): void {
    this.#release()
  }
}
