// One connection. Frames are handled in order: a request that must wait (a declaration, say) stops the reading of the next one until it is answered.
// A publish goes to the broker at once and is confirmed when the broker says stored.
//
//   Greeting → Authenticated (Tune was sent) → Tuned → Open → Closing (we sent Close) → Closed
//   every state → Closed (the client closed, or the socket did)
import {
  type Broker,
  type Session as BrokerSession,
  type CloseCause,
  type Connection,
  CoreError,
  type Principal,
  type Space,
} from '../../broker/face.ts'
import {
  beginResponse,
  type ConsumerUpdateAnswer,
  closeFrame,
  consumerUpdateFrame,
  emptyTails,
  FrameDecoder,
  FrameTooLarge,
  heartbeatFrame,
  isRequest,
  Key,
  metadataUpdateFrame,
  type RequestKey,
  readConsumerUpdateAnswer,
  readRequest,
  readTune,
  responseBit,
} from './commands.ts'
import { Code, coreCodes, MalformedFrame, Refusal } from './errors.ts'
import { Groups } from './groups.ts'
import { type Answer, handlers } from './handlers/all.ts'
import { onCredit, onStoreOffset } from './handlers/consuming.ts'
import { type ActiveConsumer, stepDown } from './handlers/single-active.ts'
import { Publishers } from './publisher.ts'
import type { Stream } from './streams.ts'
import type { Subscription, SubscriptionHost } from './subscription.ts'
import { Reader } from './wire.ts'

const State = { Greeting: 0, Authenticated: 1, Tuned: 2, Open: 3, Closing: 4, Closed: 5 } as const
type State = (typeof State)[keyof typeof State]

/** Until Open, so that nobody unknown makes us buffer much: RabbitMQ's `stream.initial_frame_max`. */
const initialFrameMax = 8192
export const frameMax = 1024 * 1024
export const heartbeatSeconds = 60
const handshakeMs = 10_000
/** A ConsumerUpdate that is not answered for so long ends the connection. */
const answerMs = 60_000

/** A request of ours that the client has yet to answer. */
interface Outstanding {
  readonly consumer: ActiveConsumer
  readonly active: boolean
  readonly since: number
}

export class Session implements BrokerSession, SubscriptionHost {
  readonly connection: Connection
  readonly broker: Broker
  readonly groups: Groups
  readonly publishers: Publishers
  readonly subscriptions = new Map<number, Subscription>()
  /** Those of {@link subscriptions} that are single active consumers. */
  readonly activeConsumers = new Map<number, ActiveConsumer>()
  principal: Principal
  mechanism = ''
  deliverVersion = 1
  #space: Space | null = null
  #state: State = State.Greeting
  readonly #decoder = new FrameDecoder(initialFrameMax)
  #negotiatedFrameMax = frameMax
  #heartbeatMs = 0
  #waiting = false
  /** How to stop watching each stream that is published to or read. */
  readonly #watched = new Map<string, () => void>()
  readonly #outstanding = new Map<number, Outstanding>()
  #correlationId = 0
  #received = false
  #receivedAt: number
  #sentAt: number
  #since: number

  constructor(connection: Connection, broker: Broker) {
    this.connection = connection
    this.broker = broker
    this.groups = broker.shared('rabbitmq-stream.groups', () => new Groups())
    this.publishers = new Publishers(this)
    this.principal = broker.anonymous
    this.#since = this.#receivedAt = this.#sentAt = broker.clock.now()
    connection.info.protocol = 'rabbitmq-stream'
  }

  /** Only after Open. */
  get space(): Space {
    if (this.#space === null) throw new Refusal(Code.InternalError, 'no virtual host is open')
    return this.#space
  }

  get opened(): boolean {
    return this.#state === State.Open
  }

  get closed(): boolean {
    return this.#state === State.Closed
  }

  // ----------------------------------------------------------------------------------------------------------------- incoming

  onBytes(chunk: Buffer): void {
    this.#received = true
    if (this.#state === State.Closed) return
    this.#decoder.push(chunk)
    this.#pump()
  }

  #pump(): void {
    try {
      while (!this.#waiting && this.#state !== State.Closed) {
        const frame = this.#decoder.next()
        if (frame === undefined) return
        this.#onFrame(new Reader(frame))
      }
    } catch (cause) {
      if (cause instanceof FrameTooLarge) return this.fail(Code.FrameTooLarge, 'frame too large', cause.message)
      if (!(cause instanceof MalformedFrame)) throw cause
      this.fail(Code.UnknownFrame, 'unknown frame', cause.message)
    }
  }

  #onFrame(reader: Reader): void {
    const key = reader.u16()
    const version = reader.u16()
    if (this.#state === State.Closing) {
      // What was on its way when we closed is passed over.
      if (key === (Key.Close | responseBit) || key === Key.Close) this.#end('')
      return
    }
    switch (key) {
      case Key.Heartbeat:
        return
      case Key.Tune:
      case Key.Tune | responseBit:
        return this.#onTune(reader)
      case Key.Publish:
        if (version !== 1 && version !== 2) break
        if (this.#state === State.Open) return this.publishers.onPublish(reader, version)
        break
      case Key.Credit:
        if (this.#state === State.Open) return onCredit(this, reader)
        break
      case Key.StoreOffset:
        if (this.#state === State.Open) return onStoreOffset(this, reader)
        break
      case Key.ConsumerUpdate | responseBit:
        if (this.#state === State.Open) return this.#onConsumerUpdateAnswer(readConsumerUpdateAnswer(reader))
        break
      default:
        if (isRequest(key) && this.#isDue(key)) return this.#onRequest(key, reader)
    }
    throw new MalformedFrame(`a frame of key ${key}, version ${version} is not expected now`)
  }

  /** What may come when: the way of the handshake, and then everything but it. */
  #isDue(key: RequestKey): boolean {
    switch (key) {
      case Key.PeerProperties:
      case Key.SaslHandshake:
        return this.#state === State.Greeting
      case Key.SaslAuthenticate:
        return this.#state === State.Greeting || this.#state === State.Open
      case Key.Open:
        return this.#state === State.Tuned
      case Key.Close:
        return true
      default:
        return this.#state === State.Open
    }
  }

  #onRequest(key: RequestKey, reader: Reader): void {
    const correlationId = reader.u32()
    const fields = readRequest(key, reader)
    // The table of handlers has for each key the function that takes its fields.
    const handler = handlers[key] as (session: Session, fields: unknown) => Answer | Promise<Answer>
    try {
      const answer = handler(this, fields)
      if (answer instanceof Promise) this.#await(answer, key, correlationId)
      else this.#answer(key, correlationId, answer)
    } catch (cause) {
      this.#refuse(key, correlationId, cause)
    }
  }

  #await(answer: Promise<Answer>, key: RequestKey, correlationId: number): void {
    this.#waiting = true
    this.connection.pause()
    const proceed = (): void => {
      this.#waiting = false
      if (this.#state === State.Closed) return
      this.connection.resume()
      this.#pump()
    }
    answer.then(
      (given) => {
        if (this.#state !== State.Closed) this.#answer(key, correlationId, given)
        proceed()
      },
      (cause: unknown) => {
        if (this.#state !== State.Closed) this.#refuse(key, correlationId, cause)
        proceed()
      },
    )
  }

  #answer(key: RequestKey, correlationId: number, answer: Answer): void {
    const writer = beginResponse(key, correlationId, answer.bare === true ? null : Code.Ok)
    answer.tail?.(writer)
    this.connection.write(writer.frame())
    answer.after?.()
  }

  #refuse(key: RequestKey, correlationId: number, cause: unknown): void {
    const code = codeOf(cause)
    const reason = cause instanceof Error ? cause.message : String(cause)
    const level = code === Code.InternalError ? 'error' : 'warn'
    this.broker.log[level]({ protocol: 'rabbitmq-stream', peer: this.peer, key, code, reason }, 'a request was refused')
    const writer = beginResponse(key, correlationId, code)
    emptyTails[key]?.(writer)
    this.connection.write(writer.frame())
    if (cause instanceof Refusal && cause.closes) this.#end('')
  }

  get peer(): string {
    return `${this.connection.remoteAddress}:${this.connection.remotePort}`
  }

  // ---------------------------------------------------------------------------------------------------------------- handshake

  authenticated(principal: Principal, mechanism: string): void {
    this.principal = principal
    this.mechanism = mechanism
    this.connection.info.user = principal.user
    if (this.#state === State.Greeting) this.#state = State.Authenticated
  }

  #onTune(reader: Reader): void {
    if (this.#state !== State.Authenticated) throw new MalformedFrame('Tune is not expected now')
    const tune = readTune(reader)
    // 0 is no limit of the client's; ours stays.
    this.#negotiatedFrameMax = tune.frameMax === 0 ? frameMax : Math.min(tune.frameMax, frameMax)
    this.#heartbeatMs = tune.heartbeat * 1000
    this.#state = State.Tuned
  }

  /** Throws Full where the virtual host, or the user, has all the connections it may have. */
  open(space: Space): void {
    this.connection.info.namespace = space.namespace
    this.broker.admit(this.connection)
    this.#space = space
    this.#state = State.Open
    this.#decoder.frameMax = this.#negotiatedFrameMax
  }

  /** A second login may have other rights: they are asked for again with each request. */
  reopen(space: Space): void {
    this.#space = space
  }

  // ---------------------------------------------------------------------------------------------------- streams that come and go

  /** Tells the client when the stream goes, for as long as it publishes to it or reads it. */
  watch(stream: Stream): void {
    if (this.#watched.has(stream.name)) return
    const gone = (): void => {
      if (this.#watched.delete(stream.name) && this.#state === State.Open) this.#onStreamGone(stream.name)
    }
    this.#watched.set(stream.name, this.space.whenReadable(stream.topic.name, stream.partition, Infinity, gone))
  }

  unwatch(name: string): void {
    const used = [...this.subscriptions.values()].some(({ stream }) => stream.name === name) || this.publishers.uses(name)
    if (used) return
    this.#watched.get(name)?.()
    this.#watched.delete(name)
  }

  #onStreamGone(name: string): void {
    this.publishers.forget(name)
    for (const subscription of [...this.subscriptions.values()]) {
      if (subscription.stream.name === name) this.removeSubscription(subscription)
    }
    this.connection.write(metadataUpdateFrame(Code.StreamNotAvailable, name))
  }

  removeSubscription(subscription: Subscription): void {
    subscription.close()
    this.subscriptions.delete(subscription.id)
    const consumer = this.activeConsumers.get(subscription.id)
    if (consumer === undefined) return
    this.activeConsumers.delete(subscription.id)
    for (const [correlationId, each] of this.#outstanding) if (each.consumer === consumer) this.#outstanding.delete(correlationId)
    this.groups.leave(consumer.group, consumer)
  }

  subscriptionFailed(subscription: Subscription, reason: string): void {
    const { stream } = subscription
    this.broker.log.error(
      { protocol: 'rabbitmq-stream', peer: this.peer, stream: stream.name, reason },
      'a stream can not be read',
    )
    this.removeSubscription(subscription)
    this.connection.write(metadataUpdateFrame(Code.StreamNotAvailable, stream.name))
  }

  // ----------------------------------------------------------------------------------------------------- single active consumers

  sendConsumerUpdate(consumer: ActiveConsumer, active: boolean): void {
    const correlationId = this.#correlationId++
    this.#outstanding.set(correlationId, { consumer, active, since: this.broker.clock.now() })
    this.connection.write(consumerUpdateFrame(correlationId, consumer.subscription.id, active))
  }

  #onConsumerUpdateAnswer({ correlationId, offset }: ConsumerUpdateAnswer): void {
    const asked = this.#outstanding.get(correlationId)
    if (asked === undefined) return
    this.#outstanding.delete(correlationId)
    if (asked.active) asked.consumer.begin(offset)
    else stepDown(this, asked.consumer)
  }

  // -------------------------------------------------------------------------------------------------------------------- ending

  /** Closes with the protocol's code and words; before Open, as RabbitMQ, without. */
  fail(code: Code, reason: string, detail: string): void {
    if (this.#state === State.Closed || this.#state === State.Closing) return
    this.broker.log.warn(
      { protocol: 'rabbitmq-stream', peer: this.peer, code, reason: detail },
      'connection closed with an error',
    )
    if (this.#state !== State.Open) return this.#end('')
    this.#release()
    this.connection.write(closeFrame(1, code, reason))
    this.#state = State.Closing
    this.#since = this.broker.clock.now()
  }

  /** The client said Close, and was answered. */
  leave(): void {
    this.#end('')
  }

  #end(reason: string): void {
    this.#state = State.Closed
    this.#release()
    this.connection.end(reason)
  }

  #release(): void {
    for (const cancel of this.#watched.values()) cancel()
    this.#watched.clear()
    this.#outstanding.clear()
    for (const subscription of [...this.subscriptions.values()]) this.removeSubscription(subscription)
    this.publishers.clear()
  }

  // -------------------------------------------------------------------------------------------------------- called by the loop

  onWritable(): void {
    for (const subscription of this.subscriptions.values()) subscription.pump()
  }

  onTick(now: number): void {
    if (this.#received) {
      this.#received = false
      this.#receivedAt = now
    }
    if (this.#state !== State.Open) {
      if (handshakeMs < now - this.#since && this.#state !== State.Closed) this.connection.destroy('no end of the handshake')
      return
    }
    const { expiresAt } = this.principal
    if (expiresAt !== undefined && expiresAt < now) return this.#end('the token of the login has expired')
    for (const { since } of this.#outstanding.values()) {
      if (answerMs < now - since) return this.connection.destroy('no answer to a consumer update')
    }
    if (this.#heartbeatMs === 0) return
    if (this.#heartbeatMs * 2 + 1000 < now - this.#receivedAt && !this.#waiting && !this.publishers.paused)
      return this.connection.destroy('missed heartbeats from client')
    if (this.#heartbeatMs / 2 <= now - this.#sentAt + 500) {
      this.#sentAt = now
      this.connection.write(heartbeatFrame)
    }
  }

  drain(): void {
    this.#end('the server is stopping')
  }

  onClose(_cause: CloseCause): void {
    this.#state = State.Closed
    this.#release()
  }
}

function codeOf(cause: unknown): Code {
  if (cause instanceof Refusal) return cause.code
  if (cause instanceof CoreError) return coreCodes[cause.code]
  return Code.InternalError
}
