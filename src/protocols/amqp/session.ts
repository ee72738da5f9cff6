// One connection. The frames of one chunk are handled in order; a method that must wait (a declaration, basic.get, tx.commit) stops
// the reading of the next frame until it is answered, and what a turn published or acknowledged is handed over at its end.
//
//   Opening (handshake.ts) → Open → Closing (we sent connection.close) → Closed
//   every state → Closed (the client closed, or the socket did)
import { Buffer } from 'node:buffer'
import {
  type Broker,
  type Session as BrokerSession,
  type CloseCause,
  type Connection,
  CoreError,
  type Space,
} from '../../broker/face.ts'
import { AccessRefused, QuotaReached } from '../../core/errors.ts'
import { Channel } from './channel.ts'
import { ackKey, FrameDecoder, FrameResult, FrameType, heartbeatFrame, methodFrame, publishKey } from './codec.ts'
import { describe } from './describe.ts'
import { AmqpError, accessRefused, coreReplies, quotaReached } from './errors.ts'
import { handlers, immediateMethods } from './handlers/all.ts'
import { releaseExclusiveQueues } from './handlers/queue.ts'
import { type Capabilities, Handshake, type HandshakeHost } from './handshake.ts'
import { checkChannelLimit, sessionsOf } from './limits.ts'
import { decodeMethod, type Method, type MethodFields, type MethodName, methodName, methods } from './methods.ts'
import { PublishFlow } from './publish-flow.ts'
import type { Table } from './table.ts'
import { checkTimeouts } from './timeouts.ts'

const State = { Opening: 0, Open: 1, Closing: 2, Closed: 3 } as const
type State = (typeof State)[keyof typeof State]

/** For the handshake, and for the answer to our connection.close. */
const answerMs = 10_000

export class Session implements BrokerSession, HandshakeHost {
  readonly connection: Connection
  readonly broker: Broker
  space: Space
  /** As agreed on; kept here because each delivery asks. */
  frameMax: number
  readonly channels = new Map<number, Channel>()
  readonly publishes: PublishFlow
  /** The time of the last tick, ms: near enough for timeouts of seconds. */
  now: number
  /** While a queue is deleted here, what its consumers are told waits for the deletion's own answer; RabbitMQ's order. */
  heldCancels: (() => void)[] | null = null

  #state: State = State.Opening
  readonly #decoder = new FrameDecoder()
  readonly #handshake: Handshake
  /** Methods that wait for an answer of the core; while there is one no frame is read. */
  #waiting = false
  /** Set while a publish is held because the broker is short of something: how to stop listening for the end of that. */
  #held: (() => void) | null = null
  #dirty: Channel[] = []
  /** Since when an answer of the client is waited for. */
  #waitingSince: number
  /** What is still to be told of the closing that the client was asked for. */
  #closeReason = ''
  #receivedAt: number
  #received = false
  #sentAt: number

  constructor(connection: Connection, broker: Broker) {
    this.connection = connection
    this.broker = broker
    this.publishes = new PublishFlow(connection)
    this.#handshake = new Handshake(this)
    this.frameMax = this.#handshake.frameMax
    // Replaced by connection.open before any channel can use it.
    this.space = null as unknown as Space
    this.now = this.#waitingSince = this.#receivedAt = this.#sentAt = broker.clock.now()
    connection.info.protocol = 'amqp 0-9-1'
  }

  get vhost(): string {
    return this.#handshake.vhost
  }
  get userName(): string {
    return this.#handshake.userName
  }
  get capabilities(): Capabilities {
    return this.#handshake.capabilities
  }
  /** What the client said of itself. */
  get clientProperties(): Table {
    return this.#handshake.clientProperties
  }

  // ----------------------------------------------------------------------------------------------------------------- incoming

  onBytes(chunk: Buffer): void {
    this.#received = true
    if (this.#state === State.Closed) return
    const bytes = this.#handshake.awaitsHeader ? this.#handshake.readHeader(chunk) : chunk
    if (bytes === null) return
    this.#decoder.push(bytes)
    this.#pump()
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
    if (this.publishes.settled) return proceed()
    this.#wait()
    this.publishes.whenSettled(this.space, () => {
      this.#waiting = false
      if (this.#state === State.Closed) return
      proceed()
      this.connection.resume()
      this.#pump()
    })
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

  // --------------------------------------------------------------------------------------------------------- connection class

  #onMethod(number: number, key: number, buffer: Buffer, start: number, end: number): void {
    const name = methodName(key)
    if (number !== 0) {
      if (this.#state === State.Closing || this.#state === State.Closed) return
      if (this.#state !== State.Open) throw new AmqpError('CHANNEL_ERROR', 'unexpected method before connection.open')
      if (name === 'channel.open') return this.#openChannel(number)
      // The answer to our close may cross the client's own close of that channel.
      if (name === 'channel.close-ok') return
      if (name === 'channel.close') return this.send(number, 'channel.close-ok', {})
      throw new AmqpError('CHANNEL_ERROR', "expected 'channel.open'")
    }
    const method = this.#decode(key, buffer, start, end)
    if (method.name === 'connection.close') return this.#onClose()
    if (method.name === 'connection.close-ok') return this.end(this.#closeReason)
    switch (this.#state) {
      case State.Opening:
        if (this.#handshake.onMethod(method, key)) return
        break
      case State.Open:
        if (method.name === 'connection.update-secret') return this.#handshake.onUpdateSecret(method.fields.newSecret, key)
        break
      case State.Closing:
      case State.Closed:
        return
    }
    throw new AmqpError('COMMAND_INVALID', `unexpected method ${method.name} on channel 0`)
  }

  frameLimit(bytes: number): void {
    this.#decoder.frameMax = bytes
  }

  opened(space: Space): void {
    this.space = space
    this.frameMax = this.#handshake.frameMax
    this.#state = State.Open
    sessionsOf(this.broker).add(this)
  }

  renewed(space: Space): void {
    this.space = space
  }

  waitFor(pending: Promise<void>, key: number): void {
    this.#await(pending, undefined, key)
  }

  #openChannel(number: number): void {
    const { channelMax } = this.#handshake
    if (channelMax < number || channelMax <= this.channels.size) {
      throw new AmqpError(
        'NOT_ALLOWED',
        `number of channels opened (${this.channels.size}) has reached the negotiated channel_max (${channelMax})`,
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
      this.end('')
    }
    this.#flush()
    if (this.#state === State.Open) this.#afterPublishes(close)
    else close()
  }

  // ----------------------------------------------------------------------------------------------------------------- outgoing

  send<N extends MethodName>(channel: number, name: N, fields: MethodFields<N>): void {
    this.connection.write(methodFrame(channel, name, fields))
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
    if (error.closesConnection || channel === undefined) return this.#closeConnection(error, ids[0], ids[1], '')
    if (!channel.open) return
    channel.release()
    this.send(channel.number, 'channel.close', {
      replyCode: error.code,
      replyText: error.replyText,
      classId: ids[0],
      methodId: ids[1],
    })
  }

  /** `reason` as in {@link Connection.end}. */
  #closeConnection(error: AmqpError, classId: number, methodId: number, reason = error.replyText): void {
    if (!this.#handshake.loggedIn) return this.end(reason)
    this.#closeReason = reason
    this.#releaseAll()
    this.send(0, 'connection.close', { replyCode: error.code, replyText: error.replyText, classId, methodId })
    this.#state = State.Closing
    this.#waitingSince = this.broker.clock.now()
  }

  end(reason: string): void {
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
    if (this.#state === State.Opening || this.#state === State.Closing) {
      if (answerMs < now - this.#waitingSince)
        this.connection.destroy(this.#state === State.Closing ? 'no answer to connection.close' : 'handshake timeout')
      return
    }
    const { heartbeatMs, expiresAt } = this.#handshake
    if (expiresAt !== undefined && expiresAt < now)
      return this.#closeConnection(new AmqpError('CONNECTION_FORCED', 'credential expired'), 0, 0)
    if (heartbeatMs === 0 || this.#state === State.Closed) return
    if (heartbeatMs * 2 + 1000 < now - this.#receivedAt && !this.#waiting && !this.publishes.paused) {
      this.connection.destroy('missed heartbeats from client')
      return
    }
    if (heartbeatMs / 2 <= now - this.#sentAt + 500) {
      this.#sentAt = now
      this.connection.write(heartbeatFrame)
    }
  }

  drain(): void {
    if (this.#state !== State.Open) return this.end('the server is stopping')
    this.#flush()
    this.#release(false)
    this.#closeConnection(new AmqpError('CONNECTION_FORCED', "broker forced connection closure with reason 'shutdown'"), 0, 0)
  }

  get negotiated(): { mechanism: string; channelMax: number; frameMax: number; heartbeatSeconds: number } {
    const { mechanism, channelMax, frameMax, heartbeatMs } = this.#handshake
    return { mechanism, channelMax, frameMax, heartbeatSeconds: heartbeatMs / 1000 }
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
