// One connection. The frames of one chunk are handled in order; a method that must wait (a declaration, basic.get, tx.commit) stops
// the reading of the next frame until it is answered, and what a turn published or acknowledged is handed over at its end.
//
//   AwaitHeader → AwaitStartOk → AwaitTuneOk → AwaitOpen → Open → Closing (we sent connection.close) → Closed
//   every state → Closed (the client closed, or the socket did)
import { Buffer } from 'node:buffer'
import {
  type Broker,
  type Session as BrokerSession,
  type CloseCause,
  type Connection,
  CoreError,
  type Principal,
  type Space,
} from '../../broker/face.ts'
import { AccessRefused, asCoreError, QuotaReached } from '../../core/errors.ts'
import { Channel } from './channel.ts'
import {
  ackKey,
  FrameDecoder,
  FrameResult,
  FrameType,
  frameEnd,
  frameMinBytes,
  frameOverhead,
  heartbeatFrame,
  methodFrame,
  protocolHeader,
  publishKey,
  writeContentHeader,
  writeU32,
} from './codec.ts'
import { describe } from './describe.ts'
import { AmqpError, accessRefused, coreReplies, quotaReached } from './errors.ts'
import { handlers, immediateMethods } from './handlers/all.ts'
import { declareStandardExchanges } from './handlers/exchange.ts'
import { releaseExclusiveQueues } from './handlers/queue.ts'
import { checkChannelLimit, sessionsOf } from './limits.ts'
import { credentialOf, mechanismsFor, serverProperties } from './login.ts'
import { EnvelopeView, namespaceOf } from './mapping.ts'
import { decodeMethod, type Method, type MethodFields, type MethodName, methodName, methods } from './methods.ts'
import { flagOf, type Table, textOf } from './table.ts'
import { checkTimeouts } from './timeouts.ts'

const State = { AwaitHeader: 0, AwaitStartOk: 1, AwaitTuneOk: 2, AwaitOpen: 3, Open: 4, Closing: 5, Closed: 6 } as const
type State = (typeof State)[keyof typeof State]

const frameBytesMax = 131_072
const channelMax = 2047
const heartbeatSeconds = 60
const handshakeMs = 10_000
/** Published and not yet answered bytes of one connection, above which its socket is not read. */
const publishingBytesMax = 8 * 1024 * 1024

export class Session implements BrokerSession {
  readonly connection: Connection
  readonly broker: Broker
  space: Space
  vhost = '/'
  userName = ''
  frameMax = frameBytesMax
  capabilities = { cancelNotify: false, authenticationFailureClose: false, blocked: false }
  readonly channels = new Map<number, Channel>()
  /** What the client said of itself. */
  clientProperties: Table = new Map()
  #mechanism = ''
  /** The time of the last tick, ms: near enough for timeouts of seconds. */
  now: number
  /** Transient messages went to a topic on disk, so they were answered before they can be read. */
  unreadPublishes = false
  /** While a queue is deleted here, what its consumers are told waits for the deletion's own answer; RabbitMQ's order. */
  heldCancels: (() => void)[] | null = null

  #state: State = State.AwaitHeader
  readonly #decoder = new FrameDecoder()
  #header: Buffer = Buffer.alloc(0)
  #principal: Principal
  #channelMax = channelMax
  /** Methods that wait for an answer of the core; while there is one no frame is read. */
  #waiting = false
  #pausedForPublishing = false
  /** Set while a publish is held because the broker is short of something: how to stop listening for the end of that. */
  #held: (() => void) | null = null
  #publishing = 0
  #publishingBytes = 0
  /** What goes on once everything published has been answered. */
  #afterPublishing: (() => void) | null = null
  #dirty: Channel[] = []
  #heartbeatMs = 0
  #openedAt: number
  #receivedAt: number
  #received = false
  #sentAt: number

  constructor(connection: Connection, broker: Broker) {
    this.connection = connection
    this.broker = broker
    this.#principal = broker.anonymous
    // Replaced by connection.open before any channel can use it.
    this.space = null as unknown as Space
    this.now = this.#openedAt = this.#receivedAt = this.#sentAt = broker.clock.now()
    connection.info.protocol = 'amqp 0-9-1'
  }

  // ----------------------------------------------------------------------------------------------------------------- incoming

  onBytes(chunk: Buffer): void {
    this.#received = true
    if (this.#state === State.Closed) return
    if (this.#state === State.AwaitHeader) {
      const rest = this.#readHeader(chunk)
      if (rest === null) return
      this.#decoder.push(rest)
    } else {
      this.#decoder.push(chunk)
    }
    this.#pump()
  }

  #readHeader(chunk: Buffer): Buffer | null {
    this.#header = this.#header.length === 0 ? chunk : Buffer.concat([this.#header, chunk])
    const known = Math.min(8, this.#header.length)
    if (!this.#header.subarray(0, known).equals(protocolHeader.subarray(0, known))) {
      // AMQP 0-9-1, 4.2.2: say which version is spoken, then close.
      this.connection.write(protocolHeader)
      this.#state = State.Closed
      this.connection.end(`not an AMQP 0-9-1 header: ${this.#header.subarray(0, 8).toString('hex')}`)
      return null
    }
    if (known < 8) return null
    const rest = this.#header.subarray(8)
    this.#header = protocolHeader
    this.#state = State.AwaitStartOk
    this.send(0, 'connection.start', {
      versionMajor: 0,
      versionMinor: 9,
      serverProperties: serverProperties(this.broker),
      mechanisms: Buffer.from(mechanismsFor(this.connection)),
      locales: Buffer.from('en_US'),
    })
    return rest.length === 0 ? null : rest
  }

  #pump(): void {
    const decoder = this.#decoder
    while (!this.#waiting && this.#state !== State.Closed) {
      const result = decoder.next()
      if (result === FrameResult.NeedBytes) break
      if (result === FrameResult.Error) {
        this.#closeConnection(new AmqpError('FRAME_ERROR', decoder.error), 0, 0)
        this.#state = State.Closed
        this.connection.end(`bad frame: ${decoder.error}`)
        break
      }
      this.#onFrame()
    }
    this.#flush()
  }

  #flush(): void {
    if (this.#dirty.length === 0) return
    const dirty = this.#dirty
    this.#dirty = []
    for (const channel of dirty) channel.flush()
  }

  markDirty(channel: Channel): void {
    if (channel.dirty) return
    channel.dirty = true
    this.#dirty.push(channel)
  }

  #onFrame(): void {
    const { type, channel: number, buffer, start, end } = this.#decoder
    const channel = number === 0 ? undefined : this.channels.get(number)
    let key = 0
    try {
      switch (type) {
        case FrameType.Method:
          if (end - start < 4) throw new AmqpError('FRAME_ERROR', 'method frame is too short')
          key = buffer.readUInt32BE(start)
          if (channel !== undefined && this.#state === State.Open) return this.#onChannelMethod(channel, key, buffer, start, end)
          return this.#onMethod(number, key, buffer, start, end)
        case FrameType.Header:
          key = publishKey
          if (channel === undefined) throw new AmqpError('CHANNEL_ERROR', "expected 'channel.open'")
          if (channel.open) channel.publisher.onHeader(buffer, start, end)
          return
        case FrameType.Body:
          key = publishKey
          if (channel === undefined) throw new AmqpError('CHANNEL_ERROR', "expected 'channel.open'")
          if (channel.open) channel.publisher.onBody(buffer, start, end)
          return
        case FrameType.Heartbeat:
          if (number !== 0) throw new AmqpError('FRAME_ERROR', `heartbeat frame on channel ${number}`)
          return
        default:
          throw new AmqpError('FRAME_ERROR', `unknown frame type ${type}`)
      }
    } catch (cause) {
      this.fail(channel, this.#errorOf(cause), key >>> 16, key & 0xffff)
    }
  }

  #onChannelMethod(channel: Channel, key: number, buffer: Buffer, start: number, end: number): void {
    if (!channel.open) {
      // AMQP 0-9-1, 1.5.2.5: after channel.close everything but the close handshake is discarded.
      const name = methodName(key)
      if (name === 'channel.close-ok') this.channels.delete(channel.number)
      else if (name === 'channel.close') this.send(channel.number, 'channel.close-ok', {})
      return
    }
    if (channel.publisher.assembling) {
      throw new AmqpError('UNEXPECTED_FRAME', `expected content header for class 60, got non content header frame instead`)
    }
    if (key === publishKey) {
      if (this.broker.pressure !== 'none') return this.#hold()
      return channel.publisher.onMethod(buffer, start, end)
    }
    if (key === ackKey) return channel.onAck(buffer, start, end)
    const method = this.#decode(key, buffer, start, end)
    const handler = handlers[method.name as keyof typeof handlers] as
      | ((channel: Channel, fields: unknown) => void | Promise<void>)
      | undefined
    if (handler === undefined) throw new AmqpError('COMMAND_INVALID', 'unimplemented method')
    channel.flush()
    if (immediateMethods.has(method.name)) return this.#run(channel, key, handler, method)
    this.#afterPublishes(() => this.#run(channel, key, handler, method))
  }

  #decode(key: number, buffer: Buffer, start: number, end: number): Method {
    let method: Method | undefined
    try {
      method = decodeMethod(buffer, start, end)
    } catch (cause) {
      throw new AmqpError('SYNTAX_ERROR', cause instanceof Error ? cause.message : 'malformed method')
    }
    if (method === undefined) throw new AmqpError('COMMAND_INVALID', `unknown method ${key >>> 16}.${key & 0xffff}`)
    return method
  }

  /** A method after publishes sees what they did: it waits until they are answered and can be read. */
  #afterPublishes(proceed: () => void): void {
    if (this.#publishing === 0 && !this.unreadPublishes) return proceed()
    this.#wait()
    const resume = (): void => {
      this.#waiting = false
      if (this.#state === State.Closed) return
      proceed()
      this.connection.resume()
      this.#pump()
    }
    const readable = (): void => {
      if (!this.unreadPublishes) return resume()
      this.unreadPublishes = false
      // What is answered early is read only once it is on disk; an empty transaction comes after it.
      this.space.begin().commit(resume)
    }
    if (this.#publishing === 0) readable()
    else this.#afterPublishing = readable
  }

  /** Like RabbitMQ with an alarm: this publish, and what follows it on the connection, waits until there is room again. */
  #hold(): void {
    this.#wait()
    const { pressure } = this.broker
    if (this.capabilities.blocked)
      this.send(0, 'connection.blocked', { reason: pressure === 'disk' ? 'low on disk' : 'low on memory' })
    this.#held = this.broker.onPressure((now) => {
      if (now === 'none') this.#release(true)
    })
  }

  /** Goes on behind {@link #hold}, with the publish that was held when there is room for it. */
  #release(retry: boolean): void {
    if (this.#held === null) return
    this.#held()
    this.#held = null
    this.#waiting = false
    if (this.#state === State.Closed) return
    if (retry && this.capabilities.blocked) this.send(0, 'connection.unblocked', {})
    this.connection.resume()
    if (retry) this.#onFrame()
    this.#pump()
  }

  #wait(): void {
    this.#waiting = true
    this.connection.pause()
  }

  #run(
    channel: Channel,
    key: number,
    handler: (channel: Channel, fields: unknown) => void | Promise<void>,
    method: Method,
  ): void {
    let pending: void | Promise<void>
    if (!channel.open) return
    try {
      pending = handler(channel, method.fields)
    } catch (cause) {
      this.fail(channel, this.#errorOf(cause), key >>> 16, key & 0xffff)
      return
    }
    if (pending !== undefined) this.#await(pending, channel, key)
  }

  #await(pending: Promise<void>, channel: Channel | undefined, key: number): void {
    this.#wait()
    pending.then(
      () => this.#proceed(),
      (cause: unknown) => {
        this.fail(channel, this.#errorOf(cause), key >>> 16, key & 0xffff)
        this.#proceed()
      },
    )
  }

  #proceed(): void {
    this.#waiting = false
    if (this.#state === State.Closed) return
    this.connection.resume()
    this.#pump()
  }

  publishStarted(bytes: number): void {
    this.#publishing++
    this.#publishingBytes += bytes
    if (!this.#pausedForPublishing && publishingBytesMax < this.#publishingBytes) {
      this.#pausedForPublishing = true
      this.connection.pause()
    }
  }

  publishEnded(bytes: number): void {
    this.#publishing--
    this.#publishingBytes -= bytes
    if (this.#state === State.Closed) return
    if (this.#pausedForPublishing && this.#publishingBytes < publishingBytesMax / 2) {
      this.#pausedForPublishing = false
      this.connection.resume()
    }
    if (this.#publishing === 0 && this.#afterPublishing !== null) {
      const proceed = this.#afterPublishing
      this.#afterPublishing = null
      // After the caller has sent its confirms: they come before what this method answers.
      queueMicrotask(proceed)
    }
  }

  // --------------------------------------------------------------------------------------------------------- connection class

  #onMethod(number: number, key: number, buffer: Buffer, start: number, end: number): void {
    const name = methodName(key)
    if (number !== 0) {
      if (this.#state === State.Closing || this.#state === State.Closed) return
      if (this.#state !== State.Open) throw new AmqpError('CHANNEL_ERROR', `unexpected method in connection state ${this.#state}`)
      if (name === 'channel.open') return this.#openChannel(number)
      // The answer to our close may cross the client's own close of that channel.
      if (name === 'channel.close-ok') return
      if (name === 'channel.close') return this.send(number, 'channel.close-ok', {})
      throw new AmqpError('CHANNEL_ERROR', "expected 'channel.open'")
    }
    const method = this.#decode(key, buffer, start, end)
    if (method.name === 'connection.close') return this.#onClose()
    if (method.name === 'connection.close-ok') return this.#end('closed by the server')
    switch (this.#state) {
      case State.AwaitStartOk:
        if (method.name === 'connection.start-ok') return this.#onStartOk(method.fields, key)
        break
      case State.AwaitTuneOk:
        if (method.name === 'connection.tune-ok') return this.#onTuneOk(method.fields)
        break
      case State.AwaitOpen:
        if (method.name === 'connection.open') return this.#onOpen(method.fields, key)
        break
      case State.Open:
        if (method.name === 'connection.update-secret') return this.#onUpdateSecret(method.fields.newSecret, key)
        break
      case State.Closing:
      case State.Closed:
        return
      case State.AwaitHeader:
        break
    }
    throw new AmqpError('COMMAND_INVALID', `unexpected method ${method.name} on channel 0`)
  }

  #onStartOk(fields: MethodFields<'connection.start-ok'>, key: number): void {
    this.#learnClient(fields.clientProperties)
    this.#mechanism = fields.mechanism
    const credential = credentialOf(fields.mechanism, fields.response, this.connection.peerName)
    if (credential === undefined) return this.#refuseLogin(fields.mechanism)
    this.#await(
      this.broker.authenticate(credential).then(
        (principal) => {
          this.#principal = principal
          this.userName = credential.user
          this.connection.info.user = credential.user
          this.#state = State.AwaitTuneOk
          this.#decoder.frameMax = frameBytesMax
          this.send(0, 'connection.tune', {
            channelMax: this.#limitedChannels(),
            frameMax: frameBytesMax,
            heartbeat: heartbeatSeconds,
          })
        },
        () => this.#refuseLogin(fields.mechanism),
      ),
      undefined,
      key,
    )
  }

  #learnClient(properties: Table): void {
    this.clientProperties = properties
    const capabilities = properties.get('capabilities')
    const has = (name: string): boolean => capabilities?.type === 'F' && flagOf(capabilities.value.get(name)) === true
    this.capabilities = {
      cancelNotify: has('consumer_cancel_notify'),
      authenticationFailureClose: has('authentication_failure_close'),
      blocked: has('connection.blocked'),
    }
    this.connection.info.clientName = textOf(properties.get('connection_name')) ?? textOf(properties.get('product')) ?? ''
    this.connection.info.clientVersion = textOf(properties.get('version')) ?? ''
  }

  #refuseLogin(mechanism: string): void {
    const text = `Login was refused using authentication mechanism ${mechanism}. For details see the broker logfile.`
    if (this.capabilities.authenticationFailureClose) {
      this.send(0, 'connection.close', { replyCode: 403, replyText: `ACCESS_REFUSED - ${text}`, classId: 0, methodId: 0 })
    }
    this.#end(`login refused using ${mechanism}`)
  }

  #limitedChannels(): number {
    return Math.min(channelMax, this.broker.limits.channelsMax)
  }

  #onTuneOk(fields: MethodFields<'connection.tune-ok'>): void {
    const channels = negotiated('channel_max', 1, this.#limitedChannels(), fields.channelMax)
    const frameMax = negotiated('frame_max', frameMinBytes, frameBytesMax, fields.frameMax)
    this.#channelMax = channels
    this.frameMax = frameMax
    this.#decoder.frameMax = frameMax
    this.#heartbeatMs = fields.heartbeat * 1000
    this.#state = State.AwaitOpen
  }

  #onOpen(fields: MethodFields<'connection.open'>, key: number): void {
    this.vhost = fields.virtualHost
    try {
      this.space = this.broker.space(this.#principal, namespaceOf(fields.virtualHost), { protocol: 'amqp' })
    } catch (cause) {
      const code = asCoreError(cause).code
      throw new AmqpError(
        'NOT_ALLOWED',
        code === 'NotFound'
          ? `vhost ${this.vhost} not found`
          : `access to vhost '${this.vhost}' refused for user '${this.userName}'`,
      )
    }
    this.connection.info.namespace = this.space.namespace
    this.broker.admit(this.connection)
    sessionsOf(this.broker).add(this)
    const opened = (): void => {
      this.#state = State.Open
      this.send(0, 'connection.open-ok', { knownHosts: '' })
    }
    const declaring = declareStandardExchanges(this.space)
    if (declaring === null) opened()
    else this.#await(declaring.then(opened), undefined, key)
  }

  #onUpdateSecret(secret: Buffer, key: number): void {
    const credential = { kind: 'password', user: this.userName, password: secret.toString() } as const
    this.#await(
      this.broker.authenticate(credential).then(
        () => this.send(0, 'connection.update-secret-ok', {}),
        () => {
          throw new AmqpError('NOT_ALLOWED', 'New secret was refused by one of the backends')
        },
      ),
      undefined,
      key,
    )
  }

  #openChannel(number: number): void {
    if (this.#channelMax < number || this.#channelMax <= this.channels.size) {
      throw new AmqpError(
        'NOT_ALLOWED',
        `number of channels opened (${this.channels.size}) has reached the negotiated channel_max (${this.#channelMax})`,
      )
    }
    checkChannelLimit(this)
    this.channels.set(number, new Channel(this, number))
    this.send(number, 'channel.open-ok', { channelId: Buffer.alloc(0) })
  }

  /** The client closes a channel. */
  closeChannel(channel: Channel): void {
    channel.release()
    this.channels.delete(channel.number)
    this.send(channel.number, 'channel.close-ok', {})
  }

  #onClose(): void {
    const close = (): void => {
      this.#releaseAll()
      this.send(0, 'connection.close-ok', {})
      this.#end('closed by the client')
    }
    this.#flush()
    if (this.#state === State.Open) this.#afterPublishes(close)
    else close()
  }

  // ----------------------------------------------------------------------------------------------------------------- outgoing

  send<N extends MethodName>(channel: number, name: N, fields: MethodFields<N>): void {
    this.connection.write(methodFrame(channel, name, fields))
  }

  /** A method with content, for the cold ones; the content is an envelope's. */
  writeContent<N extends MethodName>(channel: number, name: N, fields: MethodFields<N>, envelope: Buffer): void {
    const view = new EnvelopeView()
    if (!view.read(envelope, 0, envelope.length)) return
    this.send(channel, name, fields)
    const bytes = 7 + 12 + view.propertiesEnd - view.properties + 1
    const at = this.connection.reserve(bytes)
    writeContentHeader(
      this.connection.slab,
      at,
      channel >> 8,
      channel & 0xff,
      envelope,
      view.properties,
      view.propertiesEnd,
      envelope.length - view.body,
    )
    this.connection.commit(bytes)
    if (view.body < envelope.length) this.writeBody(channel, envelope, view.body, envelope.length)
  }

  /** Body frames by reference, split at the negotiated size. */
  writeBody(channel: number, buffer: Buffer, start: number, end: number): void {
    const { connection } = this
    const most = this.frameMax - frameOverhead
    for (let from = start; from < end; from += most) {
      const to = Math.min(end, from + most)
      const at = connection.reserve(7)
      const slab = connection.slab
      slab[at] = FrameType.Body
      slab[at + 1] = channel >> 8
      slab[at + 2] = channel
      writeU32(slab, at + 3, to - from)
      connection.commit(7)
      connection.write(buffer.subarray(from, to))
      const tail = connection.reserve(1)
      connection.slab[tail] = frameEnd
      connection.commit(1)
    }
  }

  // ------------------------------------------------------------------------------------------------------------------- errors

  fail(channel: Channel | undefined, error: AmqpError, classId: number, methodId: number): void {
    if (this.#state === State.Closed || this.#state === State.Closing) return
    const named = methodName((classId << 16) | methodId)
    const ids = named === undefined ? ([0, 0] as const) : methods[named].id
    this.broker.log.warn(
      {
        protocol: 'amqp',
        peer: `${this.connection.remoteAddress}:${this.connection.remotePort}`,
        channel: channel?.number ?? 0,
        method: named,
        reply: error.replyText,
      },
      error.closesConnection || channel === undefined ? 'connection closed with an error' : 'channel closed with an error',
    )
    if (error.closesConnection || channel === undefined) return this.#closeConnection(error, ids[0], ids[1])
    if (!channel.open) return
    channel.release()
    this.send(channel.number, 'channel.close', {
      replyCode: error.code,
      replyText: error.replyText,
      classId: ids[0],
      methodId: ids[1],
    })
  }

  #closeConnection(error: AmqpError, classId: number, methodId: number): void {
    if (this.#state < State.AwaitTuneOk) {
      this.#end(error.replyText)
      return
    }
    this.#releaseAll()
    this.send(0, 'connection.close', { replyCode: error.code, replyText: error.replyText, classId, methodId })
    this.#state = State.Closing
    this.#openedAt = this.broker.clock.now()
  }

  #end(reason: string): void {
    this.#state = State.Closed
    this.connection.end(reason)
  }

  // -------------------------------------------------------------------------------------------------------- called by the loop

  onWritable(): void {
    for (const channel of this.channels.values()) channel.topUp()
  }

  onTick(now: number): void {
    this.now = now
    // Pressure that came and went within a turn is told to nobody.
    if (this.#held !== null && this.broker.pressure === 'none') this.#release(true)
    for (const channel of this.channels.values()) checkTimeouts(channel, now)
    if (this.#received) {
      this.#received = false
      this.#receivedAt = now
    }
    if (this.#state < State.Open || this.#state === State.Closing) {
      if (handshakeMs < now - this.#openedAt)
        this.connection.destroy(this.#state === State.Closing ? 'no answer to connection.close' : 'handshake timeout')
      return
    }
    if (this.#heartbeatMs === 0 || this.#state === State.Closed) return
    if (this.#heartbeatMs * 2 + 1000 < now - this.#receivedAt && !this.#waiting && !this.#pausedForPublishing) {
      this.connection.destroy('missed heartbeats from client')
      return
    }
    if (this.#heartbeatMs / 2 <= now - this.#sentAt + 500) {
      this.#sentAt = now
      this.connection.write(heartbeatFrame)
    }
  }

  drain(): void {
    if (this.#state !== State.Open) return this.#end('the server is stopping')
    this.#flush()
    this.#release(false)
    this.#closeConnection(new AmqpError('CONNECTION_FORCED', "broker forced connection closure with reason 'shutdown'"), 0, 0)
  }

  get negotiated(): { mechanism: string; channelMax: number; frameMax: number; heartbeatSeconds: number } {
    const heartbeatSeconds = this.#heartbeatMs / 1000
    return { mechanism: this.#mechanism, channelMax: this.#channelMax, frameMax: this.frameMax, heartbeatSeconds }
  }

  describe(): object {
    return describe(this)
  }

  onClose(_cause: CloseCause): void {
    this.#state = State.Closed
    sessionsOf(this.broker).delete(this)
    this.#release(false)
    this.#releaseAll()
  }

  #errorOf(cause: unknown): AmqpError {
    if (cause instanceof AmqpError) return cause
    if (cause instanceof AccessRefused) return accessRefused(cause.access, this.vhost)
    if (cause instanceof QuotaReached) return quotaReached(cause, this.vhost, this.userName)
    if (cause instanceof CoreError) return new AmqpError(coreReplies[cause.code], cause.message)
    if (cause instanceof RangeError) return new AmqpError('SYNTAX_ERROR', cause.message)
    return new AmqpError('INTERNAL_ERROR', cause instanceof Error ? cause.message : String(cause))
  }

  #releaseAll(): void {
    for (const channel of this.channels.values()) channel.release()
    this.channels.clear()
    if (this.space !== null) releaseExclusiveQueues(this)
  }
}

function negotiated(field: string, least: number, most: number, asked: number): number {
  if (asked !== 0 && asked < least)
    throw new AmqpError('NOT_ALLOWED', `negotiated ${field} = ${asked} is lower than the minimum allowed value (${least})`)
  if (asked === 0 || most < asked)
    throw new AmqpError('NOT_ALLOWED', `negotiated ${field} = ${asked} is higher than the maximum allowed value (${most})`)
  return asked
}
