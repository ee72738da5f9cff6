/**
 * One MQTT connection: CONNECT, then packets one after the other. Logins are login.ts, messages in inbox.ts, messages out outbox.ts, subscriptions
 * subscribe.ts; here are versions, keep alive, the will and how a connection ends.
 */
import { Buffer } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import type {
  Broker,
  CloseCause,
  Connection,
  CoreErrorCode,
  Principal,
  Session as ProtocolSession,
  Space,
} from '../../broker/face.ts'
import { type Clients, clientsOf, type LiveSession } from './clients.ts'
import {
  type ConnectPacket,
  encodeAuth,
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
  readAuth,
  readConnect,
  readDisconnect,
  readPublish,
  readSubscribe,
  readUnsubscribe,
  UnknownVersion,
  Version,
} from './codec.ts'
import { MqttError, Reason, reasonOf, returnCodeOf } from './errors.ts'
import type { Figure } from './figures.ts'
import { Inbox, type InboxHost, receiveMaximum, topicAliasMaximum } from './inbox.ts'
import { Exchange, logIn } from './login.ts'
import { isTopicName, matches } from './names.ts'
import { Outbox, type OutboxHost } from './outbox.ts'
import { forever, SessionState } from './state.ts'
import { resubscribe, subscribe, unsubscribe } from './subscribe.ts'

const handshakeMs = 10_000
const packetBytesMax = 16 * 1024 * 1024
const connectBytesMax = 256 * 1024

const none = Buffer.alloc(0)

/** Connecting → Authenticating (only where CONNECT names a method) → Open → Closed, which each leads to. */
const State = { Connecting: 0, Authenticating: 1, Open: 2, Closed: 3 } as const

/** What exists from CONNECT on. */
interface Opened {
  readonly state: SessionState
  readonly inbox: Inbox
  readonly outbox: Outbox
}

export class Session implements ProtocolSession, LiveSession, InboxHost, OutboxHost {
  readonly connection: Connection
  readonly broker: Broker
  readonly clients: Clients
  version: Version = Version.V311
  space: Space
  receiveMaximum = 0xffff
  packetBytesMax = Number.POSITIVE_INFINITY
  topicAliasMaximum = 0
  #state: number = State.Connecting
  #decoder: PacketDecoder
  #opened: Opened | null = null
  /** Under which its will is kept. */
  #willKey: string | null = null
  /** What waits for the exchange that its login is. */
  #connectPacket: ConnectPacket | null = null
  #exchange: Exchange | null = null
  /** Of CONNECT. */
  #method: string | null = null
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
    this.#decoder = new PacketDecoder(connectBytesMax)
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
      return this.#wait(this.#connect(packet))
    }
    if (packet.type === Packet.Auth && this.version === Version.V5) return this.#wait(this.#authenticate(packet))
    if (this.#state === State.Authenticating) {
      if (packet.type !== Packet.Disconnect) throw new MqttError(Reason.ProtocolError, 'AUTH must be next')
      return this.#end('')
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
      if (cause instanceof UnknownVersion) this.version = cause.likely
      // What else is malformed gets its reason in version 5 alone.
      else if (packet.body[6] === 5) this.version = Version.V5
      return this.#refuse(cause)
    }
    this.version = connect.version
    const { authMethod, authData } = connect.properties
    try {
      if (connect.will !== null && !isTopicName(connect.will.topic))
        throw new MqttError(Reason.TopicNameInvalid, "the will's topic is no topic name")
      if (authMethod === undefined) {
        if (authData !== undefined) throw new MqttError(Reason.ProtocolError, 'authentication data without a method')
        return await this.#enter(connect, await logIn(this.broker, this.connection, connect), {})
      }
      this.#exchange = new Exchange(this.broker, this.connection.remoteAddress, authMethod)
      this.#method = authMethod
      this.#connectPacket = connect
      await this.#step(authData)
    } catch (cause) {
      this.#refuse(cause)
    }
  }

  /** 4.12: AUTH goes on with the login, or, on an open connection, proves once more who the client is. */
  async #authenticate(packet: RawPacket): Promise<void> {
    const { reason, properties } = readAuth(packet)
    const again = reason === Reason.Reauthenticate && this.#state === State.Open
    if (this.#method === null) throw new MqttError(Reason.ProtocolError, 'AUTH without a method in CONNECT')
    if (properties.authMethod !== this.#method) throw new MqttError(Reason.ProtocolError, 'AUTH with another method than CONNECT')
    if (again) this.#exchange = new Exchange(this.broker, this.connection.remoteAddress, this.#method)
    else if (reason !== Reason.ContinueAuthentication || this.#exchange === null)
      throw new MqttError(Reason.ProtocolError, `AUTH with the reason ${reason} is not for a server, or not now`)
    await this.#step(properties.authData)
  }

  async #step(data: Buffer | undefined): Promise<void> {
    const [exchange, connect, authMethod] = [this.#exchange, this.#connectPacket, this.#method]
    if (exchange === null || authMethod === null) return
    const { answer, principal } = await exchange.step(data ?? none)
    if (this.#isClosed) return
    const properties = { authMethod, authData: answer }
    if (principal === null) {
      if (connect !== null) this.#state = State.Authenticating
      this.connection.write(encodeAuth(Reason.ContinueAuthentication, properties))
      return
    }
    this.#exchange = null
    this.#connectPacket = null
    const expected = connect === null ? this.connection.info.user : (connect.user ?? principal.user)
    if (principal.user !== expected) throw new MqttError(Reason.NotAuthorized, 'the user is another')
    if (connect === null) this.connection.write(encodeAuth(Reason.Success, properties))
    else await this.#enter(connect, principal, properties)
  }

  async #enter(connect: ConnectPacket, principal: Principal, login: Properties): Promise<void> {
    const { version, cleanStart, properties, keepAlive } = connect
    const { broker, connection } = this
    this.space = broker.space(principal, 'default', { protocol: 'mqtt' })
    connection.info.user = principal.user
    connection.info.namespace = this.space.namespace
    broker.admit(connection)
    const five = version === Version.V5
    // 3.1 needs one of a client in any case.
    if (connect.clientId === '' && (version === Version.V31 || (!cleanStart && !five)))
      throw new MqttError(Reason.ClientIdNotValid, 'a session that is to be kept needs a client id')
    const clientId = connect.clientId === '' ? `auto-${randomUUID()}` : connect.clientId
    const expirySeconds = five ? (properties.sessionExpiry ?? 0) : cleanStart ? 0 : forever
    this.receiveMaximum = properties.receiveMaximum ?? 0xffff
    this.packetBytesMax = properties.maximumPacketSize ?? Number.POSITIVE_INFINITY
    this.topicAliasMaximum = properties.topicAliasMaximum ?? 0
    this.#explains = properties.requestProblemInformation !== 0
    this.#keepAliveMs = keepAlive * 1500
    const state = new SessionState(this.clients, this.space.namespace, clientId, expirySeconds)
    this.clients.enter(state.key, this)
    let present: boolean
    try {
      present = await this.#takeUp(state, connect)
    } catch (cause) {
      this.clients.leave(state.key, this)
      throw cause
    }
    if (this.#isClosed) return this.clients.leave(state.key, this)
    this.#describe(clientId)
    this.#state = State.Open
    this.#decoder.bytesMax = packetBytesMax
    const opened: Opened = { state, inbox: new Inbox(this, state), outbox: new Outbox(this, state) }
    this.#opened = opened
    const answer: Properties = {
      receiveMaximum,
      topicAliasMaximum,
      maximumPacketSize: packetBytesMax,
      ...login,
      ...(connect.clientId === '' && { assignedClientId: clientId }),
    }
    this.connection.write(encodeConnack(version, present && version !== Version.V31, 0, answer))
    if (!present) return
    opened.outbox.resume()
    await resubscribe(this)
  }

  /** Resolves to whether there was a session; its will is kept from here on. */
  async #takeUp(state: SessionState, { will, cleanStart }: ConnectPacket): Promise<boolean> {
    const { wills } = this.clients
    await wills.back(state.key, cleanStart)
    const present = await state.open(cleanStart)
    if (will !== null && !this.#isClosed) {
      const { namespace, principal } = this.space
      this.#willKey = state.key
      const user = principal === this.broker.anonymous ? '' : principal.user
      const author = {
        clientId: state.clientId,
        namespace,
        user,
        from: this.connection.remoteAddress,
        byToken: principal.expiresAt !== undefined,
      }
      await wills.put(state.key, author, will, state.expirySeconds)
    }
    return present
  }

  // Another connection may have taken over while this one waited.
  get #isClosed(): boolean {
    return this.#state === State.Closed
  }

  #describe(clientId: string): void {
    const { info } = this.connection
    info.clientName = clientId
    info.clientVersion = { 3: 'MQTT 3.1', 4: 'MQTT 3.1.1', 5: 'MQTT 5.0' }[this.version]
  }

  refused(reason: Reason, message: string): void {
    this.#fail(new MqttError(reason, message))
  }

  consumerEnded(topic: string, reason: CoreErrorCode): void {
    this.#fail(new MqttError(Reason.Unspecified, `the broker ended "${topic}": ${reason}`))
  }

  #refuse(cause: unknown): void {
    const reason = cause instanceof MqttError ? cause.reason : reasonOf(cause)
    const code = this.version === Version.V5 ? reason : returnCodeOf(reason)
    const message = cause instanceof Error ? cause.message : String(cause)
    if (code !== null) this.connection.write(encodeConnack(this.version, false, code, { reasonString: message }))
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

  get subscriptionCount(): number {
    return this.#opened?.state.subscriptions.size ?? 0
  }

  hear(figures: readonly Figure[]): void {
    if (this.#opened === null || this.connection.congested) return
    const { state, outbox } = this.#opened
    for (const { filter } of state.subscriptions.values()) {
      if (!filter.filter.startsWith('$SYS')) continue
      for (const [topic, text] of figures) if (matches(filter.filter, topic)) outbox.sendFigure(topic, text, false)
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
    if (reason === Reason.Success) this.#forgetWill()
    this.#end('')
  }

  #forgetWill(): void {
    if (this.#willKey !== null) this.clients.wills.forget(this.#willKey)
    this.#willKey = null
  }

  /** Ends the connection; version 5 is told why (4.13). */
  #fail(cause: unknown): void {
    if (this.#state === State.Closed) return
    const message = cause instanceof Error ? cause.message : String(cause)
    if (this.#state === State.Authenticating) return this.#refuse(cause)
    if (!(cause instanceof MqttError)) this.broker.log.warn({ error: message }, 'mqtt: a packet could not be done')
    if (this.version === Version.V5 && this.#state === State.Open) {
      const explained = encodeDisconnect(reasonOf(cause), { reasonString: message })
      // 3.14.2.2.3: no reason for a client that asks for none, or takes no packet as large as that.
      const explains = this.#explains && message !== '' && explained.length <= this.packetBytesMax
      this.connection.write(explains ? explained : encodeDisconnect(reasonOf(cause), {}))
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
    // A client whose CONNECT was not answered yet has no will.
    if (opened === null) return this.#forgetWill()
    const { state, inbox, outbox } = opened
    inbox.flush()
    outbox.close()
    if (this.#willKey !== null) this.clients.wills.ended(this.#willKey, state.expirySeconds, this.space)
    this.#willKey = null
    state.close()
    this.clients.leave(state.key, this)
  }

  // ------------------------------------------------------------------------------------------------------- called by the loop

  onWritable(): void {
    for (const resume of this.#whenWritable.splice(0)) resume()
    this.#opened?.outbox.flush()
  }

  onTick(now: number): void {
    if (this.#state < State.Open && now - this.#openedAt > handshakeMs) this.connection.destroy('handshake timeout')
    if (this.#state !== State.Open) return
    const { expiresAt } = this.space.principal
    if (expiresAt !== undefined && expiresAt < now)
      return this.#fail(new MqttError(Reason.MaximumConnectTime, 'credential expired'))
    if (this.#keepAliveMs === 0 || this.#busy) return
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
