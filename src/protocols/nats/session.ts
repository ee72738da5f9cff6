/**
 * One NATS connection: INFO, CONNECT, then operations in their order. What is published in one chunk goes to the broker in one batch, and every answer
 * (+OK, PONG, -ERR) waits until what came before it has been handed on, so that a PONG says so much. Publishes go on to broker/publisher.ts.
 */
import { randomBytes } from 'node:crypto'
import {
  type Broker,
  type CloseCause,
  type Connection,
  type Session as ProtocolSession,
  PublishItem,
  PublishStatus,
  type Space,
} from '../../broker/face.ts'
import { asCoreError } from '../../core/errors.ts'
import { type AccountUser, actingFor } from './accounts/account-user.ts'
import { type Accounts, accountsOf } from './accounts/accounts.ts'
import { Decoder, Op } from './codec.ts'
import { NatsError, publishRefusal, subscribeRefusal, words } from './errors.ts'
import { controlLineBytesMax, infoLine, payloadLimit } from './info.ts'
import { isApiSubject, onApiRequest } from './jetstream/api.ts'
import type { ApiError } from './jetstream/errors.ts'
import { headerOf } from './jetstream/headers.ts'
import type { JetStream, Receiver } from './jetstream/jetstream.ts'
import { jetStreamOf } from './jetstream/of.ts'
import { Outbox } from './jetstream/outbox.ts'
import { acknowledgement, prepare } from './jetstream/publishing.ts'
import type { Stream } from './jetstream/stream.ts'
import { defaults, type Login, logIn, type Options, parseConnect } from './login.ts'
import { encodeEnvelope, messageFormatId, payloadFormatId } from './mapping.ts'
import { type Outflow, outflowOf } from './outflow.ts'
import { everything } from './owner.ts'
import { hasForeignWildcard, isLiteral, isValidSubject, matchesSubject, patternOf } from './subjects.ts'
import { Subscription, type SubscriptionHost } from './subscription.ts'
import { tellSystem } from './system/events.ts'
import { answerSystem } from './system/requests.ts'
import { userInfo, userInfoSubject } from './system/user-info.ts'

/** Without a CONNECT for so long, where a login is needed. */
const loginMs = 2000
const pingEveryMs = 2 * 60_000
const pingsMax = 2
/** Written and not taken by the client: bytes, and how long nothing at all is taken. */
const pendingBytesMax = 64 * 1024 * 1024
const writeDeadlineMs = 10_000
const subscriptionsMax = 100_000

const State = { Connecting: 0, LoggingIn: 1, Open: 2, Closed: 3 } as const
type State = (typeof State)[keyof typeof State]

const ok = Buffer.from('+OK\r\n')
const ping = Buffer.from('PING\r\n')
const pong = Buffer.from('PONG\r\n')

/** What is to be done with the outcome of a publish. */
interface Publishing {
  readonly reply: string
  /** The stream that decides, and what it refused from the beginning. */
  readonly stream: Stream | undefined
  readonly refused: ApiError | null
  readonly messageId: string
}

export class Session implements ProtocolSession, SubscriptionHost, Receiver {
  readonly connection: Connection
  readonly #broker: Broker
  readonly #decoder: Decoder
  readonly #subscriptions = new Map<string, Subscription>()
  readonly #nonce = randomBytes(11).toString('base64url')
  readonly #outflow: Outflow
  /** Nothing is read: too much waits for its subscribers. */
  #held = false
  readonly #openedAt: number
  readonly #accounts: Accounts | null
  /** Of an account; null for the broker's own users. */
  #user: AccountUser | null = null
  #space: Space | null = null
  /** In whose name JetStream does what the user may ask for. */
  #asking: Space | null = null
  onReply: SubscriptionHost['onReply'] = null
  /** When the login stops being good, ms since the epoch. */
  #expiresAt = Number.POSITIVE_INFINITY
  #state: State = State.Connecting
  #options: Options = defaults
  /** Published in this chunk and not yet given to the broker. */
  #items: PublishItem[] = []
  #outcomes: Publishing[] = []
  #jetStream: JetStream | null = null
  /** Batches that the broker has not answered yet, and what is to be said when it has. */
  #publishing = 0
  #answers: Buffer[] = []
  #pingAt: number
  #pings = 0
  /** How many bytes were waiting when they last became fewer, and when that was. */
  #stuckBytes = 0
  #movedAt: number
  readonly #counts = { in_msgs: 0, in_bytes: 0, out_msgs: 0, out_bytes: 0 }

  constructor(connection: Connection, broker: Broker) {
    this.connection = connection
    this.#broker = broker
    this.#decoder = new Decoder({ controlLineBytesMax, payloadBytesMax: payloadLimit(broker) })
    this.#outflow = outflowOf(broker)
    this.#openedAt = this.#pingAt = this.#movedAt = broker.clock.now()
    // Who does not have to log in may leave CONNECT out.
    this.#accounts = accountsOf(broker)
    if (!this.#loginRequired) this.#enter({ principal: broker.anonymous, user: null })
    this.#sendInfo(false)
  }

  get #loginRequired(): boolean {
    return this.#broker.authenticationRequired || this.#accounts !== null
  }

  /** Throws {@link NatsError} where an account has all its connections. */
  #enter({ principal, user }: Login): void {
    const options = { protocol: 'nats' }
    if (user === null) {
      this.#space = this.#asking = this.#broker.space(principal, 'default', options)
      this.#jetStream = jetStreamOf(this.#broker, 'default')
      return
    }
    const { namespace, limits, connected, hasStreams } = user.account
    if (limits.connections >= 0 && connected.size >= limits.connections) throw new NatsError(words.accountConnections)
    connected.add(this)
    this.#user = user
    this.#space = this.#broker.space(principal, namespace, options)
    this.#asking = this.#broker.space(actingFor(user), namespace, options)
    this.#jetStream = hasStreams ? jetStreamOf(this.#broker, namespace) : null
    this.connection.info.namespace = namespace
    if (user.permissions.answersOnly) this.onReply = (reply) => user.permissions.heard(reply)
  }

  get headers(): boolean {
    return this.#options.headers
  }

  #sendInfo(lameDuck: boolean): void {
    this.connection.write(
      infoLine(this.#broker, this.connection, { nonce: this.#nonce, lameDuck, loginRequired: this.#loginRequired }),
    )
  }

  // ----------------------------------------------------------------------------------------------------------------- incoming

  onBytes(chunk: Buffer): void {
    if (this.#state === State.Closed) return
    this.#decoder.push(chunk)
    if (this.#outflow.full && this.#counts.in_msgs > 0) this.#outflow.hold(this)
    this.#pump()
  }

  hold(): void {
    this.#held = true
    this.connection.pause()
  }

  goOn(): void {
    this.#held = false
    this.connection.resume()
    this.#pump()
  }

  #pump(): void {
    if (this.#held) return
    try {
      while (this.#state === State.Connecting || this.#state === State.Open) {
        const op = this.#decoder.next()
        if (op === Op.More) break
        this.#run(op)
      }
      this.#publishNow()
    } catch (cause) {
      if (!(cause instanceof NatsError)) throw cause
      this.#publishNow()
      this.#fail(cause.message)
    }
  }

  #run(op: Exclude<Op, 0>): void {
    if (op === Op.Connect) return this.#connect()
    if (this.#space === null) throw new NatsError(words.authorization)
    switch (op) {
      case Op.Publish:
        return this.#publish()
      case Op.Subscribe:
        return this.#subscribe(this.#space)
      case Op.Unsubscribe:
        return this.#unsubscribe()
      case Op.Ping:
        return this.#answer(pong)
      case Op.Pong:
        this.#pings = 0
        return
    }
  }

  // ------------------------------------------------------------------------------------------------------------------ CONNECT

  #connect(): void {
    const options = parseConnect(this.#decoder.json)
    this.#publishNow()
    this.#state = State.LoggingIn
    this.connection.pause()
    logIn(this.#broker, this.#accounts, this.connection, options, this.#nonce)
      .then((login) => {
        if (this.#state !== State.LoggingIn) return
        this.#enter(login)
        const { principal } = login
        this.#expiresAt = principal.expiresAt ?? Number.POSITIVE_INFINITY
        this.#options = options
        const { name, language, version } = options
        Object.assign(this.connection.info, {
          user: principal.user,
          clientName: name,
          clientVersion: [language, version].filter((word) => word !== '').join(' '),
        })
        this.#broker.admit(this.connection)
        this.#state = State.Open
        if (login.user !== null) tellSystem(this.#broker, this.connection, login.user, null)
        this.#done()
      })
      .catch((cause: unknown) => {
        if (cause instanceof NatsError) return this.#fail(cause.message)
        const { code, message } = asCoreError(cause)
        this.#broker.log.info({ connection: this.connection.id, reason: message }, 'login refused')
        this.#fail(code === 'Full' ? words.connections : words.authorization)
      })
      .finally(() => {
        if (this.#state === State.Closed) return
        this.connection.resume()
        this.#pump()
      })
  }

  // --------------------------------------------------------------------------------------------------------------- publishing

  #publish(): void {
    const { subject, reply, headerBytes, payload } = this.#decoder
    this.#counts.in_msgs++
    this.#counts.in_bytes += payload.length
    const user = this.#user
    if (user !== null && user.payloadBytesMax >= 0 && payload.length > user.payloadBytesMax) throw new NatsError(words.payload)
    if (this.#options.pedantic && !isLiteral(subject)) return this.#complain(words.publishSubject)
    if (subject.startsWith('$') && (this.#onJetStreamSubject() || this.#onSystemRequest())) return
    const plain = reply === '' && headerBytes === 0
    const envelope = plain ? payload : encodeEnvelope(reply, headerBytes, payload)
    const item = new PublishItem(null, subject, plain ? payloadFormatId : messageFormatId, envelope)
    item.transient = true
    item.connection = this.connection.id
    const stream = this.#jetStream?.streamOf(subject)
    // The name of a stream is no subject of it, unless it captures that, too.
    if (stream === undefined && this.#jetStream?.hasStream(subject) === true) item.exchange = 'amq.topic'
    const nothing = { reply, stream: undefined, refused: null, messageId: '' }
    if (stream !== undefined && this.#takenSpecially(stream, item)) return
    const outcome = stream === undefined ? nothing : this.#prepare(stream, item, reply)
    this.#outcomes.push(outcome)
    this.#items.push(item)
    // How often a reply may be sent is counted when it was.
    if (this.onReply !== null) {
      this.#publishNow()
      user?.permissions.published(subject)
    }
    if (this.#options.verbose) this.#done()
  }

  /** Parts of batches, what is counted, and schedules. */
  #takenSpecially(stream: Stream, item: PublishItem): boolean {
    const { reply, headerBytes, payload } = this.#decoder
    const jetStream = this.#jetStream
    const space = this.#space
    if (jetStream === null || space === null || (headerBytes === 0 && !stream.config.allow_msg_counter)) return false
    const headers = headerBytes === 0 ? '' : payload.toString('latin1', 0, headerBytes)
    const special = headers.includes('Nats-Batch-Id:') || headers.includes('Nats-Schedule')
    if (!special && !stream.config.allow_msg_counter) return false
    // In the order of the operations.
    this.#publishNow()
    item.transient = false
    if (!jetStream.takes({ stream, space, item, headers, reply, bodyBytes: payload.length })) return false
    if (this.#options.verbose) this.#done()
    return true
  }

  /** A publish that a stream stores, and answers. */
  #prepare(stream: Stream, item: PublishItem, reply: string): Publishing {
    const { headerBytes, payload } = this.#decoder
    const headers = headerBytes === 0 ? '' : payload.toString('latin1', 0, headerBytes)
    // Preconditions are about what was published before, too.
    if (headerBytes > 0) this.#publishNow()
    const refused = prepare(stream, item, headers, payload.length)
    // Who does not wait for an answer does not wait for the disk either.
    item.transient = reply === '' || stream.config.no_ack || stream.config.persist_mode === 'async'
    return { reply, stream, refused, messageId: headerBytes === 0 ? '' : (headerOf(headers, 'Nats-Msg-Id') ?? '') }
  }

  /** Acknowledgements, requests and flow control of JetStream. False: it is a subject like any other. */
  #onJetStreamSubject(): boolean {
    const { subject, reply, headerBytes, payload } = this.#decoder
    const jetStream = this.#jetStream
    const space = this.#space
    const isAck = subject.startsWith('$JS.ACK.')
    const own = isAck || isApiSubject(subject) || subject.startsWith('$JS.FC.')
    if (jetStream === null || space === null || !own) return false
    // In the order of the operations.
    this.#publishNow()
    if (!space.principal.may('publish', space.namespace, subject)) return false
    if (space.isHeard(subject)) this.#tell(space)
    const body = payload.toString('utf8', headerBytes)
    let known: boolean
    if (isAck) known = jetStream.onAck(subject, body, reply)
    else if (!isApiSubject(subject)) known = jetStream.onFlow(subject)
    else {
      const headers = headerBytes === 0 ? '' : payload.toString('latin1', 0, headerBytes)
      known = onApiRequest(jetStream, this.#asking ?? space, { subject, reply, headers, body })
    }
    if (!known && reply !== '' && this.#options.noResponders) this.#tellNobody(subject, reply)
    if (this.#options.verbose) this.#done()
    return true
  }

  /** Requests about the server. False: nobody who may not ask is answered. */
  #onSystemRequest(): boolean {
    const { subject, reply, headerBytes, payload } = this.#decoder
    const space = this.#space
    if (space === null || reply === '' || !subject.startsWith('$SYS.REQ.')) return false
    const isUserInfo = subject === userInfoSubject
    const sees = this.#user === null ? space.principal.may('describe', 'default', '', 'cluster') : this.#user.isSystem
    if (!(sees || isUserInfo) || !space.principal.may('publish', space.namespace, subject)) return false
    this.#publishNow()
    const outbox = new Outbox(this.#broker.space(everything, space.namespace))
    if (isUserInfo) outbox.answer(reply, userInfo(this.#broker, space, this.#user))
    else
      answerSystem(this.#broker, subject, payload.toString('utf8', headerBytes)).then(
        (answer) => {
          if (answer !== null) outbox.answer(reply, answer)
          else if (this.#options.noResponders && this.#state === State.Open) this.#tellNobody(subject, reply)
        },
        (cause: unknown) =>
          this.#broker.log.warn({ subject, error: asCoreError(cause).message }, 'a request about the server failed'),
      )
    if (this.#options.verbose) this.#done()
    return true
  }

  /** Who listens to it hears it, whatever else becomes of it. */
  #tell(space: Space): void {
    const { subject, reply, headerBytes, payload } = this.#decoder
    const item = new PublishItem(null, subject, messageFormatId, encodeEnvelope(reply, headerBytes, payload))
    item.transient = true
    item.connection = this.connection.id
    space.publish([item], () => undefined)
  }

  /** Gives the broker what was collected. */
  #publishNow(): void {
    const items = this.#items
    if (items.length === 0 || this.#space === null) return
    const outcomes = this.#outcomes
    this.#items = []
    this.#outcomes = []
    this.#publishing++
    const space = this.#space
    const wanted = outcomes.every(({ refused }) => refused === null)
      ? items
      : items.filter((_, i) => outcomes[i]?.refused === null)
    space.publish(wanted, () => {
      this.#publishing--
      for (let i = 0; i < items.length; i++) this.#published(space, items[i] as PublishItem, outcomes[i] as Publishing) // i < length
      if (this.#publishing > 0 || this.#answers.length === 0) return
      const answers = this.#answers
      this.#answers = []
      for (const answer of answers) this.connection.write(answer)
    })
  }

  #published(space: Space, item: PublishItem, outcome: Publishing): void {
    const { reply, stream, refused } = outcome
    if (stream !== undefined) {
      if (item.status === PublishStatus.Stored) this.#jetStream?.published(stream, item, outcome.messageId)
      if (item.errorCode !== 'AccessDenied') {
        if (reply !== '' && !stream.config.no_ack)
          this.#jetStream?.outbox.answer(reply, acknowledgement(stream, item, space, refused))
        return
      }
    }
    const nobody = item.errorCode === 'NotFound' || item.status === PublishStatus.Unrouted
    if (nobody) {
      if (reply !== '' && this.#options.noResponders) this.#tellNobody(item.address, reply)
      return
    }
    if (item.status !== PublishStatus.Failed || item.errorCode === null) return
    this.#write(errorLine(publishRefusal(item.errorCode, item.address, item.errorMessage)))
  }

  /** A request that nobody hears is answered at once, to the first of the client's own subscriptions that the answer would have reached. */
  #tellNobody(subject: string, reply: string): void {
    for (const subscription of this.#subscriptions.values()) {
      // A member of a group waits for what is the group's.
      if (subscription.queue !== '' || !matchesSubject(subscription.subject, reply)) continue
      const block = Buffer.from(`NATS/1.0 503\r\nNats-Subject: ${subject}\r\n\r\n`)
      this.#write(Buffer.from(`HMSG ${reply} ${subscription.sid} ${block.length} ${block.length}\r\n${block}\r\n`))
      return
    }
  }

  // -------------------------------------------------------------------------------------------------------------- subscribing

  #subscribe(space: Space): void {
    const { subject, queue, sid } = this.#decoder
    // In the order of the operations: what was published before is not for it.
    this.#publishNow()
    if (!isValidSubject(subject) || hasForeignWildcard(subject)) return this.#complain(words.subject)
    // As nats-server has it: a sid that is taken stays what it is.
    if (this.#subscriptions.has(sid)) return this.#done()
    const user = this.#user
    if (user !== null && !user.permissions.maySubscribe(subject, queue))
      return this.#complain(subscribeRefusal('AccessDenied', subject, queue, ''))
    if (user !== null && user.subscriptionsMax >= 0 && this.#subscriptions.size >= user.subscriptionsMax)
      return this.#complain(words.subscriptions)
    if (this.#subscriptions.size >= subscriptionsMax) throw new NatsError(words.subscriptions)
    const subscription = new Subscription(this, sid, subject, queue)
    try {
      const spec = {
        pattern: patternOf(subject),
        ...(queue === '' ? {} : { group: queue }),
        ...(this.#options.echo ? {} : { exceptConnection: this.connection.id }),
      }
      subscription.attach(space.listen(spec, subscription))
    } catch (cause) {
      const { code, message } = asCoreError(cause)
      return this.#complain(subscribeRefusal(code, subject, queue, message))
    }
    this.#subscriptions.set(sid, subscription)
    this.#done()
  }

  #unsubscribe(): void {
    const { sid, max } = this.#decoder
    this.#publishNow()
    const subscription = this.#subscriptions.get(sid)
    if (subscription !== undefined) {
      // What it was handed before is written yet, as it is where nothing waits for the end of a turn.
      subscription.limit(max > 0 ? max : subscription.handed)
      if (subscription.handed >= subscription.max) this.#subscriptions.delete(sid)
    }
    this.#done()
  }

  completed({ sid }: Subscription): void {
    this.#subscriptions.delete(sid)
  }

  // ----------------------------------------------------------------------------------------------------------------- outgoing

  mayDeliver(): boolean {
    if (this.#state === State.Closed) return false
    if (this.connection.outboundBytes <= pendingBytesMax) return true
    this.cutOff()
    return false
  }

  listensTo(subject: string): boolean {
    for (const subscription of this.#subscriptions.values()) if (matchesSubject(subscription.subject, subject)) return true
    return false
  }

  get outboundBytes(): number {
    return this.connection.outboundBytes
  }

  /** At once: as nats-server has it, nothing is said to a client that does not read. */
  cutOff(): void {
    if (this.#state === State.Closed) return
    this.#state = State.Closed
    this.#release()
    this.connection.destroy('Slow Consumer')
  }

  delivered(messages: number, bytes: number): void {
    this.#outflow.wrote(this)
    if (this.connection.congested) this.#jetStream?.setBehind(this, true)
    this.#counts.out_msgs += messages
    this.#counts.out_bytes += bytes
  }

  /** What a verbose client hears of each operation. */
  #done(): void {
    if (this.#options.verbose) this.#answer(ok)
  }

  /** An error that does not end the connection. */
  #complain(text: string): void {
    this.#answer(errorLine(text))
  }

  /** Says it once everything published before has been handed on. */
  #answer(line: Buffer): void {
    this.#publishNow()
    if (this.#publishing > 0) this.#answers.push(line)
    else this.#write(line)
  }

  #write(line: Buffer): void {
    if (this.#state !== State.Closed) this.connection.write(line)
  }

  /** Says why, and ends the connection. */
  #fail(text: string): void {
    if (this.#state === State.Closed) return
    for (const answer of this.#answers.splice(0)) this.connection.write(answer)
    this.connection.write(errorLine(text))
    this.#close(text)
  }

  #close(reason: string): void {
    this.#state = State.Closed
    this.#release()
    this.connection.end(reason)
  }

  #release(): void {
    this.#outflow.gone(this)
    if (this.#user?.account.connected.delete(this) === true) tellSystem(this.#broker, this.connection, this.#user, this.#counts)
    this.#jetStream?.setBehind(this, false)
    for (const subscription of this.#subscriptions.values()) subscription.close()
    this.#subscriptions.clear()
  }

  // ------------------------------------------------------------------------------------------------------- called by the loop

  onWritable(): void {
    // Live messages are written as they come, up to the limit; only consumers wait.
    this.#jetStream?.setBehind(this, false)
  }

  onTick(now: number): void {
    if (this.#state === State.Closed) return
    if (this.#space === null && this.#state === State.Connecting && now - this.#openedAt > loginMs)
      return this.#fail(words.authenticationTimeout)
    if (now > this.#expiresAt) return this.#fail(words.expired)
    if (this.#isStuck(now)) return this.cutOff()
    if (now - this.#pingAt < pingEveryMs) return
    if (this.#pings >= pingsMax) return this.#fail(words.stale)
    this.#pingAt = now
    this.#pings++
    this.connection.write(ping)
  }

  /** A client that takes nothing for too long is cut off, however little waits for it. */
  #isStuck(now: number): boolean {
    const { outboundBytes, congested } = this.connection
    if (outboundBytes < this.#stuckBytes || !congested) this.#movedAt = now
    this.#stuckBytes = outboundBytes
    return now - this.#movedAt > writeDeadlineMs
  }

  drain(): void {
    if (this.#state === State.Closed) return
    this.#publishNow()
    // Whoever understands it goes elsewhere, if there is an elsewhere.
    if (this.#options.protocol >= 1) this.#sendInfo(true)
    this.#close('the broker is stopping')
  }

  /** In the words of nats-server's /connz. */
  describe(): NatsConnection {
    const { language: lang, version, name } = this.#options
    return {
      ...this.#counts,
      subscriptions: this.#subscriptions.size,
      subscriptions_list: [...this.#subscriptions.values()].map(({ subject, queue, sid, messages }) => ({
        subject,
        ...(queue === '' ? {} : { qgroup: queue }),
        sid,
        msgs: messages,
      })),
      pending_bytes: this.connection.outboundBytes,
      ...(name === '' ? {} : { name }),
      ...(lang === '' ? {} : { lang }),
      ...(version === '' ? {} : { version }),
    }
  }

  onClose(_cause: CloseCause): void {
    this.#state = State.Closed
    this.#release()
  }
}

export interface NatsConnection {
  readonly in_msgs: number
  readonly in_bytes: number
  readonly out_msgs: number
  readonly out_bytes: number
  readonly subscriptions: number
  readonly subscriptions_list: readonly { subject: string; qgroup?: string; sid: string; msgs: number }[]
  readonly pending_bytes: number
  readonly name?: string
  readonly lang?: string
  readonly version?: string
}

const errorLine = (text: string): Buffer => Buffer.from(`-ERR '${text}'\r\n`)
