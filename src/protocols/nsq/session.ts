/**
 * One connection of nsqd's protocol V2: commands are read (command-reader.ts), answered in their order (replies.ts); what it consumes is in subscription.ts.
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
  type Space,
} from '../../broker/face.ts'
import { Decoder, FrameType, type Output, type Place, parseNumber, writeMessage, writeText } from './codec.ts'
import { CommandReader, type WithBody } from './command-reader.ts'
import { Compressing, type Opening, openingOf } from './compression.ts'
import { NsqError, refused } from './errors.ts'
import { type Identity, identifyAnswer, parseIdentify, unnamed } from './identify.ts'
import { limits } from './limits.ts'
import { admitted, logIn, logInByCertificate } from './login.ts'
import { isName, quoted } from './names.ts'
import { Publisher } from './publisher.ts'
import { Replies } from './replies.ts'
import { settling } from './settling.ts'
import { Subscription } from './subscription.ts'
import { namespace, Topics } from './topics.ts'

const State = { Open: 0, Subscribed: 3, Closing: 4, Closed: 5 } as const
/** Numbers as the reference server's statistics have them. */
type State = (typeof State)[keyof typeof State]

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

  readonly #commands: CommandReader
  /** Of the command whose body is being read. */
  #topic = ''
  #delayMs = 0
  readonly #publisher: Publisher

  #heardAt: number
  #beatAt: number

  constructor(connection: Connection, broker: Broker) {
    this.#connection = connection
    this.#broker = broker
    this.#topics = Topics.of(broker)
    this.#output = connection
    this.#commands = new CommandReader(this.#decoder, {
      onLine: (words) => this.#run(words),
      // The reference server closes without a word.
      onLineTooLong: () => this.#end('a line is too long'),
      onBody: (command, body) => this.#onBody(command, body),
      onItem: (body) => this.#publisher.add(this.#topic, body, 0),
      onItems: (count) => this.#publisher.complete('MPUB', this.#topic, count),
    })
    this.#publisher = new Publisher(this.#topics, {
      connection,
      replies: this.#replies,
      confirmed: () => this.#write(FrameType.Response, 'OK'),
      failed: (error) => this.#fail(error),
    })
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
    published: this.#publisher.counts,
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
      return this.#commands.step()
    } catch (cause) {
      this.#refuse(cause)
      return true
    }
  }

  #run(given: readonly string[]): void {
    this.#heardAt = this.#broker.clock.now()
    const [command = ''] = given
    if (command === 'IDENTIFY') return this.#identify()
    if (this.#connection.upgrade === 'required')
      throw new NsqError('E_INVALID', `cannot ${command} in current state (TLS required)`)
    switch (command) {
      case 'RDY':
        // What comes after CLS is not looked at.
        if (this.#state === State.Closing) return
        return settling.RDY(this.#subscribed('RDY'), given)
      case 'FIN':
      case 'REQ':
      case 'TOUCH':
        return settling[command](this.#subscribed(command), given)
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

  #expect(command: WithBody, topic = '', delayMs = 0): void {
    this.#topic = topic
    this.#delayMs = delayMs
    this.#commands.expect(command)
  }

  #onBody(command: Exclude<WithBody, 'MPUB'>, body: Buffer): void {
    switch (command) {
      case 'IDENTIFY':
        return this.#onIdentify(body)
      case 'AUTH':
        return this.#onAuth(body.toString())
      case 'PUB':
      case 'DPUB':
        return this.#onMessage(command, body)
    }
  }

  // ------------------------------------------------------------------------------------------------------------------ rights

  /** Runs it when this client may; throws when it may not, or nobody has logged in. A certificate is looked at first, so that it may run later. */
  #ifAllowed(command: string, action: 'publish' | 'consume', topic: string, channel: string, run: () => void): void {
    if (this.#principal !== null) {
      this.#allow(this.#principal, command, action, topic, channel)
      return run()
    }
    const { peerName } = this.#connection
    if (peerName === undefined) throw new NsqError('E_AUTH_FIRST', `AUTH required before ${command}`)
    this.#whileBusy(logInByCertificate(this.#broker, this.#connection, peerName), (principal) => {
      this.#admit(principal)
      this.#allow(principal, command, action, topic, channel)
      run()
    })
  }

  #allow(principal: Principal, command: string, action: 'publish' | 'consume', topic: string, channel: string): void {
    if (principal.may(action, namespace, topic)) return
    throw new NsqError('E_UNAUTHORIZED', `AUTH failed for ${command} on "${topic}" "${channel}"`)
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
    this.#expect('DPUB', topic, delayMs)
  }

  #mpub(given: readonly string[]): void {
    const topic = this.#topicOf('MPUB', given, 1, 'E_BAD_TOPIC ')
    this.#ifAllowed('MPUB', 'publish', topic, '', () => {
      if (this.#makeTopic('MPUB', topic)) this.#expect('MPUB', topic)
    })
  }

  /** False: it cannot be made, which is said soon. */
  #makeTopic(command: string, topic: string): boolean {
    if (this.#topics.has(topic)) return true
    this.#topics.ensure(topic, this.#space as Space, (error) => {
      const code: CoreErrorCode = error instanceof CoreError ? error.code : 'Internal'
      this.#refuse(refused(command, topic, '', code, error.message))
    })
    if (this.#topics.has(topic)) return true
    this.#busy = true
    return false
  }

  #onMessage(command: 'PUB' | 'DPUB', body: Buffer): void {
    if (this.#principal !== null) {
      this.#allow(this.#principal, command, 'publish', this.#topic, '')
      return this.#take(command, body)
    }
    const kept = Buffer.from(body)
    this.#ifAllowed(command, 'publish', this.#topic, '', () => this.#take(command, kept))
  }

  #take(command: 'PUB' | 'DPUB', body: Buffer): void {
    if (!this.#makeTopic(command, this.#topic)) return
    this.#publisher.add(this.#topic, body, this.#delayMs)
    this.#publisher.complete(command, this.#topic, 1)
  }

  /** What this turn has collected; of an MPUB that is not whole, nothing. */
  #publish(): void {
    // Whoever has published was let in.
    if (this.#space !== null) this.#publisher.flush(this.#space, this.#commands.incomplete)
  }

  // --------------------------------------------------------------------------------------------------------------- consuming

  #sub(given: readonly string[]): void {
    if (this.#state !== State.Open) throw new NsqError('E_INVALID', 'cannot SUB in current state')
    if (this.#identity.heartbeatMs === 0) throw new NsqError('E_INVALID', 'cannot SUB with heartbeats disabled')
    const topic = this.#topicOf('SUB', given, 2)
    const channel = given[2] ?? ''
    if (!isName(channel)) throw new NsqError('E_BAD_CHANNEL', `SUB channel name ${quoted(channel)} is not valid`)
    this.#ifAllowed('SUB', 'consume', topic, channel, () => this.#subscribe(topic, channel))
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

  #cls(): void {
    if (this.#state !== State.Subscribed) throw new NsqError('E_INVALID', 'cannot CLS in current state')
    if (this.#subscription !== null) this.#subscription.rdy = 0
    this.#state = State.Closing
    this.#respond('CLOSE_WAIT')
  }
}
