/**
 * One connection of nsqd's protocol V2: commands are read (codec.ts), answered in their order (replies.ts); what it consumes is in subscription.ts.
 *
 * State: Open → Subscribed (SUB) → Closing (CLS); Busy (a login or a handshake goes on) → the one before; each → Closed (a fatal error, or the end).
 */
import { Buffer } from 'node:buffer'
import {
  type Broker,
  type Session as BrokerSession,
  type CloseCause,
  type Connection,
  CoreError,
  type CoreErrorCode,
  type Principal,
  PublishItem,
  PublishStatus,
  type Space,
} from '../../broker/face.ts'
import { Decoder, FrameType, isId, type Output, type Place, parseNumber, placeOfId, writeMessage, writeText } from './codec.ts'
import { Compressing, type Opening, openingOf } from './compression.ts'
import { NsqError, refused } from './errors.ts'
import { type Identity, identifyAnswer, parseIdentify, unnamed } from './identify.ts'
import { limits } from './limits.ts'
import { admitted, logIn, logInByCertificate } from './login.ts'
import { encodeMessage, messageFormatId } from './mapping.ts'
import { isName, quoted } from './names.ts'
import { Replies } from './replies.ts'
import { Subscription } from './subscription.ts'
import { namespace, Topics } from './topics.ts'

const State = { Open: 0, Subscribed: 3, Closing: 4, Closed: 5 } as const
/** Numbers as the reference server's statistics have them. */
type State = (typeof State)[keyof typeof State]

/** What is read next of a command whose line was read. */
type Reading = 'line' | 'size' | 'body' | 'count' | 'itemSize' | 'item'
type WithBody = 'IDENTIFY' | 'AUTH' | 'PUB' | 'DPUB' | 'MPUB'

/** Bytes that were published and are not confirmed, above which a client has to wait. */
const unconfirmedBytesMax = 16 * 1024 * 1024
const messagesMax = Math.floor((limits.bodyBytesMax - 4) / 5)

/** What statistics show of a client. */
export interface ClientStats {
  readonly topic: string
  readonly channel: string
  readonly identity: Identity
  readonly state: number
  readonly rdy: number
  readonly inFlight: number
  readonly messages: number
  readonly finished: number
  readonly requeued: number
  readonly published: ReadonlyMap<string, number>
  readonly snappy: boolean
  readonly deflate: boolean
  /** Empty: nobody has logged in. */
  readonly user: string
}

export class Session implements BrokerSession {
  readonly #connection: Connection
  readonly #broker: Broker
  readonly #topics: Topics
  readonly #decoder = new Decoder()
  readonly #replies = new Replies()
  #state: State = State.Open
  #busy = false
  #identity: Identity
  #principal: Principal | null
  #space: Space | null
  #authed = false
  #output: Output
  #compressing: Compressing | null = null
  #opening: Opening | null = null
  #subscription: Subscription | null = null
  #isReading = false

  #reading: Reading = 'line'
  #command: WithBody = 'PUB'
  #topic = ''
  #delayMs = 0
  #bytes = 0
  #left = 0
  #index = 0
  #total = 0
  #messages: PublishItem[] = []

  /** Published in this turn. */
  #items: PublishItem[] = []
  #publishes: { command: string; topic: string; from: number; to: number; answer: (act: () => void) => void }[] = []
  #unconfirmedBytes = 0
  #waitsForDisk = false
  readonly #published = new Map<string, number>()

  #heardAt: number
  #beatAt: number

  constructor(connection: Connection, broker: Broker) {
    this.#connection = connection
    this.#broker = broker
    this.#topics = Topics.of(broker)
    this.#output = connection
    this.#identity = unnamed(connection.remoteAddress)
    this.#heardAt = this.#beatAt = broker.clock.now()
    this.#principal = broker.authenticationRequired ? null : admitted(broker, connection, broker.anonymous)
    this.#space = this.#principal === null ? null : this.#spaceOf(this.#principal)
  }

  #spaceOf(principal: Principal): Space {
    return this.#broker.space(principal, namespace, { protocol: 'nsq', anyone: true })
  }

  // ------------------------------------------------------------------------------------------------------------- connection

  onBytes(chunk: Buffer): void {
    if (this.#opening === null) this.#onOpened(chunk)
    else this.#opening.push(Buffer.from(chunk))
  }

  #onOpened(chunk: Buffer): void {
    if (this.#state === State.Closed) return
    this.#decoder.push(chunk)
    this.#read()
  }

  onWritable(): void {
    this.#subscription?.refresh()
  }

  onTick(now: number): void {
    const { heartbeatMs } = this.#identity
    if (heartbeatMs === 0 || this.#state === State.Closed) return
    if (now - this.#heardAt >= 2 * heartbeatMs) return this.#connection.end('the client was not heard of for two heartbeats')
    if (now - this.#beatAt < heartbeatMs || this.#busy) return
    this.#beatAt = now
    writeText(this.#output, FrameType.Response, '_heartbeat_')
  }

  drain(): void {
    this.#end('the broker shuts down')
  }

  onClose(_cause: CloseCause): void {
    this.#state = State.Closed
    this.#subscription?.close()
    this.#subscription = null
    this.#opening?.close()
    this.#replies.clear()
  }

  readonly describe = (): ClientStats => ({
    topic: this.#subscription?.settings.topic ?? '',
    channel: this.#subscription?.settings.channel ?? '',
    identity: this.#identity,
    state: this.#state,
    rdy: this.#subscription?.rdy ?? 0,
    inFlight: this.#subscription?.inFlight ?? 0,
    messages: this.#subscription?.messages ?? 0,
    finished: this.#subscription?.finished ?? 0,
    requeued: this.#subscription?.requeued ?? 0,
    published: this.#published,
    snappy: this.#compressing !== null && this.#identity.snappy,
    deflate: this.#compressing !== null && this.#identity.deflate,
    user: this.#authed ? (this.#principal?.user ?? '') : '',
  })

  #end(reason: string): void {
    this.#compressing?.flush()
    this.#state = State.Closed
    this.#connection.end(reason)
  }

  #respond(text: string): void {
    this.#replies.now(() => this.#write(FrameType.Response, text))
  }

  #write(type: FrameType, text: string): void {
    if (this.#state !== State.Closed) writeText(this.#output, type, text)
  }

  /** What is no error of the protocol is a bug: it goes on up. */
  #refuse(cause: unknown): void {
    if (!(cause instanceof NsqError)) throw cause
    if (!cause.fatal) return this.#replies.now(() => this.#write(FrameType.Error, cause.text))
    // Nothing that follows is looked at, but what came before is answered.
    this.#busy = true
    this.#publish()
    this.#replies.now(() => this.#fail(cause))
  }

  #fail(error: NsqError): void {
    this.#write(FrameType.Error, error.text)
    if (this.#state !== State.Closed) this.#end(Buffer.from(error.text, 'latin1').toString())
  }

  // ---------------------------------------------------------------------------------------------------------------- reading

  #read(): void {
    if (this.#isReading) return
    this.#isReading = true
    try {
      while (this.#next());
    } finally {
      this.#isReading = false
    }
    this.#publish()
    this.#subscription?.refresh()
  }

  /** False: there is nothing to do for now. */
  #next(): boolean {
    if (this.#busy || this.#state === State.Closed) return false
    try {
      return this.#step()
    } catch (cause) {
      this.#refuse(cause)
      return true
    }
  }

  /** False: more bytes are needed. */
  #step(): boolean {
    switch (this.#reading) {
      case 'line': {
        const line = this.#decoder.line(limits.lineBytesMax)
        if (line === null) return false
        // The reference server closes without a word.
        if (line === 'tooLong') this.#end('a line is too long')
        else this.#run(line.split(' '))
        return true
      }
      case 'size':
      case 'count':
      case 'itemSize': {
        const size = this.#decoder.size()
        if (size === null) return false
        this.#onSize(size)
        return true
      }
      case 'body':
      case 'item': {
        const body = this.#decoder.body(this.#bytes)
        if (body === null) return false
        this.#onBody(body)
        return true
      }
    }
  }

  #run(given: readonly string[]): void {
    this.#heardAt = this.#broker.clock.now()
    const [command = ''] = given
    if (command === 'IDENTIFY') return this.#identify()
    if (this.#connection.upgrade === 'required')
      throw new NsqError('E_INVALID', `cannot ${command} in current state (TLS required)`)
    switch (command) {
      case 'FIN':
        return this.#fin(given)
      case 'RDY':
        return this.#rdy(given)
      case 'REQ':
        return this.#req(given)
      case 'TOUCH':
        return this.#touch(given)
      case 'PUB':
        return this.#pub(given)
      case 'MPUB':
        return this.#mpub(given)
      case 'DPUB':
        return this.#dpub(given)
      case 'NOP':
        return
      case 'SUB':
        return this.#sub(given)
      case 'CLS':
        return this.#cls()
      case 'AUTH':
        return this.#auth(given)
      default:
        throw new NsqError('E_INVALID', `invalid command ${command}`)
    }
  }

  #expect(command: WithBody, topic = ''): void {
    this.#command = command
    this.#topic = topic
    this.#delayMs = 0
    this.#reading = 'size'
  }

  #onSize(size: number): void {
    const command = this.#command
    switch (this.#reading) {
      case 'count':
        if (size <= 0 || size > messagesMax) throw new NsqError('E_BAD_BODY', `MPUB invalid message count ${size}`)
        this.#left = size
        this.#index = this.#total = 0
        this.#messages = []
        this.#reading = 'itemSize'
        return
      case 'itemSize':
        if (size <= 0) throw new NsqError('E_BAD_MESSAGE', `MPUB invalid message(${this.#index}) body size ${size}`)
        if (size > limits.messageBytesMax)
          throw new NsqError('E_BAD_MESSAGE', `MPUB message too big ${size} > ${limits.messageBytesMax}`)
        this.#total += 4 + size
        // The reference server goes by the sizes of the messages alone, so it has no limit on their sum.
        if (this.#total > limits.bodyBytesMax)
          throw new NsqError('E_BAD_BODY', `MPUB body too big ${this.#total} > ${limits.bodyBytesMax}`)
        this.#bytes = size
        this.#reading = 'item'
        return
      default:
        break
    }
    const isMessage = command === 'PUB' || command === 'DPUB'
    const code = isMessage ? 'E_BAD_MESSAGE' : 'E_BAD_BODY'
    const what = isMessage ? 'message body' : 'body'
    const bytesMax = isMessage ? limits.messageBytesMax : limits.bodyBytesMax
    if (size <= 0) throw new NsqError(code, `${command} invalid ${what} size ${size}`)
    if (size > bytesMax) throw new NsqError(code, `${command} ${isMessage ? 'message' : 'body'} too big ${size} > ${bytesMax}`)
    this.#bytes = size
    this.#reading = command === 'MPUB' ? 'count' : 'body'
  }

  #onBody(body: Buffer): void {
    if (this.#reading === 'item') return this.#onItem(body)
    this.#reading = 'line'
    switch (this.#command) {
      case 'IDENTIFY':
        return this.#onIdentify(body)
      case 'AUTH':
        return this.#onAuth(body.toString())
      default:
        if (!this.#allow(this.#command, 'publish', this.#topic, '', () => this.#onMessage(Buffer.from(body)))) return
        this.#onMessage(body)
    }
  }

  // ------------------------------------------------------------------------------------------------------------------ rights

  /**
   * Throws when nobody has logged in, or this one may not. False: a certificate has to be looked at first, and `then` runs when that is done.
   */
  #allow(command: string, action: 'publish' | 'consume', topic: string, channel: string, then: () => void): boolean {
    if (this.#principal === null) {
      const { peerName } = this.#connection
      if (peerName === undefined) throw new NsqError('E_AUTH_FIRST', `AUTH required before ${command}`)
      this.#whileBusy(logInByCertificate(this.#broker, this.#connection, peerName), (principal) => {
        this.#admit(principal)
        if (this.#allow(command, action, topic, channel, then)) then()
      })
      return false
    }
    if (!this.#principal.may(action, namespace, topic))
      throw new NsqError('E_UNAUTHORIZED', `AUTH failed for ${command} on "${topic}" "${channel}"`)
    return true
  }

  #admit(principal: Principal): void {
    this.#principal = principal
    this.#space = this.#spaceOf(principal)
    this.#authed = true
  }

  /** Nothing is read meanwhile. */
  #whileBusy(login: Promise<Principal>, then: (principal: Principal) => void): void {
    this.#busy = true
    this.#connection.pause()
    const settle = (act: () => void): void => {
      if (this.#state === State.Closed) return
      this.#connection.resume()
      this.#busy = false
      try {
        act()
      } catch (cause) {
        this.#refuse(cause)
      }
      this.#read()
    }
    login.then(
      (principal) => settle(() => then(principal)),
      (error: Error) => {
        this.#broker.log.info({ protocol: 'nsq', remote: this.#connection.remoteAddress, error: error.message }, 'a login failed')
        settle(() => {
          throw new NsqError('E_AUTH_FAILED', 'AUTH failed')
        })
      },
    )
  }

  #auth(given: readonly string[]): void {
    if (this.#state !== State.Open) throw new NsqError('E_INVALID', 'cannot AUTH in current state')
    if (given.length !== 1) throw new NsqError('E_INVALID', 'AUTH invalid number of parameters')
    this.#expect('AUTH')
  }

  #onAuth(secret: string): void {
    if (this.#authed) throw new NsqError('E_INVALID', 'AUTH already set')
    if (!this.#broker.authenticationRequired) throw new NsqError('E_AUTH_DISABLED', 'AUTH disabled')
    this.#whileBusy(logIn(this.#broker, this.#connection, secret), (principal) => {
      this.#admit(principal)
      this.#respond(JSON.stringify({ identity: principal.user, identity_url: '', permission_count: 1 }))
    })
  }

  // ---------------------------------------------------------------------------------------------------------------- identify

  #identify(): void {
    if (this.#state !== State.Open) throw new NsqError('E_INVALID', 'cannot IDENTIFY in current state')
    this.#expect('IDENTIFY')
  }

  #onIdentify(body: Buffer): void {
    const { upgrade, startTls } = this.#connection
    const identity = parseIdentify(body, upgrade !== 'none' && startTls !== undefined)
    // What is compressed once is not compressed again.
    this.#identity = this.#compressing === null ? identity : { ...identity, snappy: false, deflate: false }
    this.#connection.info = {
      ...this.#connection.info,
      clientName: identity.clientId,
      clientVersion: identity.userAgent,
    }
    if (!identity.negotiates) return this.#respond('OK')
    this.#publish()
    this.#respond(identifyAnswer(this.#identity, this.#broker.authenticationRequired))
    if (!this.#identity.tls) return this.#compress()
    this.#busy = true
    this.#replies.now(() =>
      this.#connection.startTls?.(this.#decoder.remaining(), () => {
        this.#busy = false
        this.#respond('OK')
        this.#compress()
        this.#read()
      }),
    )
  }

  #compress(): void {
    const { snappy, deflate, deflateLevel } = this.#identity
    if (!snappy && !deflate) return
    const compression = snappy ? 'snappy' : 'deflate'
    this.#busy = true
    this.#replies.now(() => {
      this.#busy = false
      this.#opening = openingOf(compression, {
        connection: this.#connection,
        onOpened: (bytes) => this.#onOpened(bytes),
        onDamaged: (reason) => this.#end(`${compression}: ${reason}`),
      })
      this.#compressing = new Compressing(this.#connection, compression, deflateLevel)
      this.#output = this.#compressing
      this.#write(FrameType.Response, 'OK')
      const early = this.#decoder.remaining()
      if (early.length > 0) this.#opening.push(early)
      this.#read()
    })
  }

  // --------------------------------------------------------------------------------------------------------------- producing

  #topicOf(command: string, given: readonly string[], parameters: number, prefix = ''): string {
    if (given.length < parameters + 1) throw new NsqError('E_INVALID', `${command} insufficient number of parameters`)
    const topic = given[1] ?? ''
    if (!isName(topic)) throw new NsqError('E_BAD_TOPIC', `${prefix}${command} topic name ${quoted(topic)} is not valid`)
    return topic
  }

  #pub(given: readonly string[]): void {
    this.#expect('PUB', this.#topicOf('PUB', given, 1))
  }

  #dpub(given: readonly string[]): void {
    const topic = this.#topicOf('DPUB', given, 2)
    const delayMs = parseNumber(given[2] ?? '')
    if (delayMs === undefined) throw new NsqError('E_INVALID', `DPUB could not parse timeout ${given[2]}`)
    if (delayMs < 0 || delayMs > limits.requeueDelayMaxMs)
      throw new NsqError('E_INVALID', `DPUB timeout ${delayMs} out of range 0-${limits.requeueDelayMaxMs}`)
    this.#expect('DPUB', topic)
    this.#delayMs = delayMs
  }

  #mpub(given: readonly string[]): void {
    const topic = this.#topicOf('MPUB', given, 1, 'E_BAD_TOPIC ')
    const begin = (): void => {
      if (this.#makeTopic('MPUB', topic)) this.#expect('MPUB', topic)
    }
    if (this.#allow('MPUB', 'publish', topic, '', begin)) begin()
  }

  /** False: it cannot be made, which is said soon. */
  #makeTopic(command: string, topic: string): boolean {
    this.#topics.ensure(topic, this.#space as Space, (error) => {
      const code: CoreErrorCode = error instanceof CoreError ? error.code : 'Internal'
      this.#refuse(refused(command, topic, '', code, error.message))
    })
    if (this.#topics.has(topic)) return true
    this.#busy = true
    return false
  }

  #item(body: Buffer): PublishItem {
    const item = new PublishItem(null, this.#topic, messageFormatId, encodeMessage(body))
    item.connection = this.#connection.id
    if (this.#delayMs > 0) item.deliverAt = this.#broker.clock.now() + this.#delayMs
    return item
  }

  #onMessage(body: Buffer): void {
    if (this.#makeTopic(this.#command, this.#topic)) this.#collect([this.#item(body)])
  }

  #onItem(body: Buffer): void {
    this.#messages.push(this.#item(body))
    this.#index++
    this.#reading = --this.#left > 0 ? 'itemSize' : 'line'
    if (this.#left === 0) this.#collect(this.#messages)
  }

  #collect(items: readonly PublishItem[]): void {
    const from = this.#items.length
    for (const item of items) this.#items.push(item)
    this.#publishes.push({
      command: this.#command,
      topic: this.#topic,
      from,
      to: this.#items.length,
      answer: this.#replies.later(),
    })
  }

  /** What this turn has collected. */
  #publish(): void {
    if (this.#items.length === 0) return
    const items = this.#items
    const publishes = this.#publishes
    this.#items = []
    this.#publishes = []
    const bytes = items.reduce((sum, { payload }) => sum + payload.length, 0)
    this.#unconfirmedBytes += bytes
    this.#holdBack()
    // Whoever is collected was let in.
    this.#space?.publish(items, () => {
      this.#unconfirmedBytes -= bytes
      for (const { command, topic, from, to, answer } of publishes) {
        const failed = items.slice(from, to).find(({ status }) => status === PublishStatus.Failed)
        answer(() => this.#published_(command, topic, items.slice(from, to), failed))
      }
      this.#holdBack()
    })
  }

  #published_(command: string, topic: string, items: readonly PublishItem[], failed: PublishItem | undefined): void {
    if (failed !== undefined) return this.#fail(refused(command, topic, '', failed.errorCode ?? 'Internal', failed.errorMessage))
    this.#published.set(topic, (this.#published.get(topic) ?? 0) + items.length)
    this.#topics.countIn(
      topic,
      items.reduce((sum, { payload }) => sum + payload.length - 1, 0),
    )
    this.#write(FrameType.Response, 'OK')
  }

  /** Reads no more while too much is on its way to the disk. */
  #holdBack(): void {
    const tooMuch = this.#unconfirmedBytes > unconfirmedBytesMax
    if (tooMuch === this.#waitsForDisk) return
    this.#waitsForDisk = tooMuch
    if (tooMuch) this.#connection.pause()
    else this.#connection.resume()
  }

  // --------------------------------------------------------------------------------------------------------------- consuming

  #sub(given: readonly string[]): void {
    if (this.#state !== State.Open) throw new NsqError('E_INVALID', 'cannot SUB in current state')
    if (this.#identity.heartbeatMs === 0) throw new NsqError('E_INVALID', 'cannot SUB with heartbeats disabled')
    const topic = this.#topicOf('SUB', given, 2)
    const channel = given[2] ?? ''
    if (!isName(channel)) throw new NsqError('E_BAD_CHANNEL', `SUB channel name ${quoted(channel)} is not valid`)
    const subscribe = (): void => this.#subscribe(topic, channel)
    if (this.#allow('SUB', 'consume', topic, channel, subscribe)) subscribe()
  }

  #subscribe(topic: string, channel: string): void {
    // What was published before is in the topic first.
    this.#publish()
    if (!this.#makeTopic('SUB', topic)) return
    const { messageTimeoutMs, sampleRate } = this.#identity
    const { id } = this.#connection
    const connection = this.#connection
    const host = {
      id,
      get congested(): boolean {
        return connection.congested
      },
      message: (tag: number, place: Place, timestampMs: number, attempts: number, body: Buffer): void =>
        writeMessage(this.#output, tag, place, timestampMs, attempts, body),
      subscriptionEnded: (reason: CoreErrorCode): void => {
        this.#subscription = null
        this.#end(`its channel is gone (${reason})`)
      },
    }
    try {
      const settings = { topic, channel, messageTimeoutMs, sampleRate }
      this.#subscription = new Subscription(this.#topics, this.#space as Space, host, settings) // logged in
    } catch (cause) {
      if (!(cause instanceof CoreError)) throw cause
      throw refused('SUB', topic, channel, cause.code, cause.message)
    }
    this.#state = State.Subscribed
    this.#respond('OK')
  }

  /** Throws unless it is subscribed. */
  #subscribed(command: string): Subscription {
    const is = this.#state === State.Subscribed || this.#state === State.Closing
    if (!is || this.#subscription === null) throw new NsqError('E_INVALID', `cannot ${command} in current state`)
    return this.#subscription
  }

  #rdy(given: readonly string[]): void {
    if (this.#state === State.Closing) return
    const subscription = this.#subscribed('RDY')
    const [, count = '1'] = given
    const rdy = parseNumber(count)
    if (rdy === undefined) throw new NsqError('E_INVALID', `RDY could not parse count ${count}`)
    if (rdy < 0 || rdy > limits.rdyMax) throw new NsqError('E_INVALID', `RDY count ${rdy} out of range 0-${limits.rdyMax}`)
    subscription.rdy = rdy
  }

  #idOf(command: string, given: readonly string[], parameters: number): string {
    if (given.length < parameters + 1) throw new NsqError('E_INVALID', `${command} insufficient number of params`)
    const id = given[1] ?? ''
    if (!isId(id)) throw new NsqError('E_INVALID', 'invalid message ID')
    return id
  }

  #fin(given: readonly string[]): void {
    const subscription = this.#subscribed('FIN')
    const id = this.#idOf('FIN', given, 1)
    const place = placeOfId(id, subscription.tag)
    if (!subscription.finish(place)) throw notInFlight('FIN', id, subscription.whyNot(place))
  }

  #req(given: readonly string[]): void {
    const subscription = this.#subscribed('REQ')
    const id = this.#idOf('REQ', given, 2)
    const delayMs = parseNumber(given[2] ?? '')
    if (delayMs === undefined) throw new NsqError('E_INVALID', `REQ could not parse timeout ${given[2]}`)
    const place = placeOfId(id, subscription.tag)
    const clamped = Math.max(0, Math.min(delayMs, limits.requeueDelayMaxMs))
    if (!subscription.requeue(place, clamped)) throw notInFlight('REQ', id, subscription.whyNot(place))
  }

  #touch(given: readonly string[]): void {
    const subscription = this.#subscribed('TOUCH')
    const id = this.#idOf('TOUCH', given, 1)
    const place = placeOfId(id, subscription.tag)
    if (!subscription.touch(place)) throw notInFlight('TOUCH', id, subscription.whyNot(place))
  }

  #cls(): void {
    if (this.#state !== State.Subscribed) throw new NsqError('E_INVALID', 'cannot CLS in current state')
    if (this.#subscription !== null) this.#subscription.rdy = 0
    this.#state = State.Closing
    this.#respond('CLOSE_WAIT')
  }
}

const notInFlight = (command: string, id: string, why: string): NsqError =>
  new NsqError(`E_${command}_FAILED`, `${command} ${id} failed ${why}`, false)
