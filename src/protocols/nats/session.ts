/**
 * One NATS connection: INFO, CONNECT, then operations in their order, until it ends. What they do is in publisher.ts, requests.ts (`$JS.`, `$SYS.`) and
 * subscriptions.ts.
 */
import { randomBytes } from 'node:crypto'
import type { Broker, CloseCause, Connection, LiveBatch, Session as ProtocolSession } from '../../broker/face.ts'
import { asCoreError } from '../../core/errors.ts'
import { type Accounts, accountsOf } from './accounts/accounts.ts'
import { type Client, errorLine, type Identity, identityOf } from './client.ts'
import { Decoder, Op } from './codec.ts'
import { NatsError, words } from './errors.ts'
import { controlLineBytesMax, infoLine, payloadLimit, pendingBytesMax, pingEveryMs, pingsMax, writeDeadlineMs } from './info.ts'
import type { Receiver } from './jetstream/jetstream.ts'
import { defaults, type Login, logIn, type Options, parseConnect } from './login.ts'
import { type Outflow, outflowOf } from './outflow.ts'
import { Publisher } from './publisher.ts'
import type { Subscription, SubscriptionHost } from './subscription.ts'
import { Subscriptions } from './subscriptions.ts'
import { tellSystem } from './system/events.ts'
import { totalsOf } from './totals.ts'

/** Without a CONNECT for so long, where a login is needed. */
const loginMs = 2000

const State = { Connecting: 0, LoggingIn: 1, Open: 2, Closed: 3 } as const
type State = (typeof State)[keyof typeof State]

const ping = Buffer.from('PING\r\n')
const pong = Buffer.from('PONG\r\n')

export class Session implements ProtocolSession, Client, SubscriptionHost, Receiver {
  readonly connection: Connection
  readonly broker: Broker
  readonly publisher: Publisher
  readonly subscriptions: Subscriptions
  identity: Identity | null = null
  options: Options = defaults
  onReply: Client['onReply'] = null
  readonly #decoder: Decoder
  readonly #nonce = randomBytes(11).toString('base64url')
  readonly #outflow: Outflow
  /** Nothing is read: too much waits for its subscribers. */
  #held = false
  readonly #openedAt: number
  readonly #accounts: Accounts | null
  /** When the login stops being good, ms since the epoch. */
  #expiresAt = Number.POSITIVE_INFINITY
  #state: State = State.Connecting
  #pingAt: number
  /** When something came from it or went to it last. */
  #activeAt: number
  #pings = 0
  /** How many bytes were waiting when they last became fewer, and when that was. */
  #stuckBytes = 0
  #movedAt: number
  readonly #counts = { in_msgs: 0, in_bytes: 0, out_msgs: 0, out_bytes: 0 }

  constructor(connection: Connection, broker: Broker) {
    this.connection = connection
    this.broker = broker
    this.publisher = new Publisher(this)
    this.subscriptions = new Subscriptions(this)
    this.#decoder = new Decoder({ controlLineBytesMax, payloadBytesMax: payloadLimit(broker) })
    this.#outflow = outflowOf(broker)
    this.#openedAt = this.#pingAt = this.#movedAt = this.#activeAt = broker.clock.now()
    totalsOf(broker).connections++
    // Who does not have to log in may leave CONNECT out.
    this.#accounts = accountsOf(broker)
    if (!this.#loginRequired) this.#enter({ principal: broker.anonymous, user: null })
    this.#sendInfo(false)
  }

  get #loginRequired(): boolean {
    return this.broker.authenticationRequired || this.#accounts !== null
  }

  /** Throws {@link NatsError} where an account has all its connections. */
  #enter(login: Login): void {
    this.identity = identityOf(this.broker, login, this)
    const { user } = login
    if (user === null) return
    this.connection.info.namespace = user.account.namespace
    if (user.permissions.answersOnly) this.onReply = (reply) => user.permissions.heard(reply)
  }

  get headers(): boolean {
    return this.options.headers
  }

  #sendInfo(lameDuck: boolean): void {
    this.connection.write(
      infoLine(this.broker, this.connection, { nonce: this.#nonce, lameDuck, loginRequired: this.#loginRequired }),
    )
  }

  // ----------------------------------------------------------------------------------------------------------------- incoming

  onBytes(chunk: Buffer): void {
    if (this.#state === State.Closed) return
    this.#activeAt = this.broker.clock.now()
    this.#decoder.push(chunk)
    if (this.#counts.in_msgs > 0 && this.#outflow.mustWait(this.connection.id)) this.#outflow.hold(this, this.connection.id)
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
      this.publisher.flush()
    } catch (cause) {
      if (!(cause instanceof NatsError)) throw cause
      this.publisher.flush()
      this.#fail(cause.message)
    }
  }

  #run(op: Exclude<Op, 0>): void {
    if (op === Op.Connect) return this.#connect()
    const { identity } = this
    if (identity === null) throw new NatsError(words.authorization)
    const { subject, queue, sid, max, payload } = this.#decoder
    switch (op) {
      case Op.Publish:
        this.#counts.in_msgs++
        this.#counts.in_bytes += payload.length
        return this.publisher.publish(this.#decoder, identity)
      case Op.Subscribe:
        return this.subscriptions.subscribe(identity, sid, subject, queue)
      case Op.Unsubscribe:
        return this.subscriptions.unsubscribe(sid, max)
      case Op.Ping:
        return this.publisher.answer(pong)
      case Op.Pong:
        this.#pings = 0
        return
    }
  }

  // ------------------------------------------------------------------------------------------------------------------ CONNECT

  #connect(): void {
    const options = parseConnect(this.#decoder.json)
    this.publisher.flush()
    this.#state = State.LoggingIn
    this.connection.pause()
    logIn(this.broker, this.#accounts, this.connection, options, this.#nonce)
      .then((login) => {
        if (this.#state !== State.LoggingIn) return
        this.#enter(login)
        const { principal } = login
        this.#expiresAt = principal.expiresAt ?? Number.POSITIVE_INFINITY
        this.options = options
        const { name, language, version } = options
        Object.assign(this.connection.info, {
          user: principal.user,
          clientName: name,
          clientVersion: [language, version].filter((word) => word !== '').join(' '),
        })
        this.broker.admit(this.connection)
        this.#state = State.Open
        if (login.user !== null) tellSystem(this.broker, this.connection, login.user, null)
        this.publisher.done()
      })
      .catch((cause: unknown) => {
        if (cause instanceof NatsError) return this.#fail(cause.message)
        const { code, message } = asCoreError(cause)
        this.broker.log.info({ connection: this.connection.id, reason: message }, 'login refused')
        this.#fail(code === 'Full' ? words.connections : words.authorization)
      })
      .finally(() => {
        if (this.#state === State.Closed) return
        this.connection.resume()
        this.#pump()
      })
  }

  // ----------------------------------------------------------------------------------------------------------------- outgoing

  mayDeliver(): boolean {
    if (this.#state === State.Closed) return false
    if (this.connection.outboundBytes <= pendingBytesMax) return true
    this.cutOff()
    return false
  }

  listensTo(subject: string): boolean {
    return this.subscriptions.listensTo(subject)
  }

  completed(subscription: Subscription): void {
    this.subscriptions.forget(subscription)
  }

  get outboundBytes(): number {
    return this.connection.outboundBytes
  }

  get takenBytes(): number {
    return this.#counts.out_bytes - this.connection.outboundBytes
  }

  /** At once: as nats-server has it, nothing is said to a client that does not read. */
  cutOff(): void {
    if (this.#state === State.Closed) return
    this.#state = State.Closed
    totalsOf(this.broker).slowConsumers++
    this.#release()
    this.connection.destroy('Slow Consumer')
  }

  delivered({ length, connection }: LiveBatch, bytes: number): void {
    this.#outflow.wrote(this, bytes, connection)
    this.#activeAt = this.broker.clock.now()
    if (this.connection.congested) this.identity?.jetStream?.setBehind(this, true)
    this.#counts.out_msgs += length
    this.#counts.out_bytes += bytes
  }

  write(line: Buffer): void {
    if (this.#state !== State.Closed) this.connection.write(line)
  }

  /** Says why, and ends the connection. */
  #fail(text: string): void {
    if (this.#state === State.Closed) return
    this.publisher.sayAnswers()
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
    const user = this.identity?.user ?? null
    if (user?.account.connected.delete(this) === true) tellSystem(this.broker, this.connection, user, this.#counts)
    this.identity?.jetStream?.setBehind(this, false)
    this.subscriptions.close()
  }

  // ------------------------------------------------------------------------------------------------------- called by the loop

  onWritable(): void {
    // Live messages are written as they come, up to the limit; only consumers wait.
    this.identity?.jetStream?.setBehind(this, false)
  }

  onTick(now: number): void {
    if (this.#state === State.Closed) return
    if (this.identity === null && this.#state === State.Connecting && now - this.#openedAt > loginMs)
      return this.#fail(words.authenticationTimeout)
    if (now > this.#expiresAt) return this.#fail(words.expired)
    if (this.#isStuck(now)) return this.cutOff()
    if (now - this.#pingAt < pingEveryMs) return
    if (this.#pings >= pingsMax) {
      totalsOf(this.broker).staleConnections++
      return this.#fail(words.stale)
    }
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
    this.publisher.flush()
    // Whoever understands it goes elsewhere, if there is an elsewhere.
    if (this.options.protocol >= 1) this.#sendInfo(true)
    this.#close('the broker is stopping')
  }

  /** In the words of nats-server's /connz. */
  describe(): NatsConnection {
    const { language: lang, version, name } = this.options
    return {
      ...this.#counts,
      subscriptions: this.subscriptions.size,
      subscriptions_list: this.subscriptions.describe(),
      pending_bytes: this.connection.outboundBytes,
      activeAt: this.#activeAt,
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
  readonly subscriptions_list: ReturnType<Subscriptions['describe']>
  readonly pending_bytes: number
  /** ms since the epoch. */
  readonly activeAt: number
  readonly name?: string
  readonly lang?: string
  readonly version?: string
}
