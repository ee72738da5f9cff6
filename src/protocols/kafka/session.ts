// One connection: frames in, requests to their handlers, answers out in the order of the requests. The way of a produce request goes on
// in handlers/produce.ts, then broker/.
//
//   state      on                               to
//   Refused    connection_creation_rate is over Closed
//   Waiting    max.connection.creation.rate is  Open: what was sent until then is read then
//   Open       a frame                          Open (a handler answers, now or later)
//   Open       SASL handshake v0                RawToken: the next frame is a bare SASL token, until it is decided
//   Open       drain()                          Draining: what is in flight is answered, new requests are not read
//   any        end of connection, bad frame     Closed
import {
  type Address,
  type Broker,
  type CloseCause,
  type Connection,
  CoreError,
  type Principal,
  type Session,
  type Space,
} from '../../broker/face.ts'
import { plainAddress } from '../../lib/ip.ts'
import { BrokerConfigs } from './broker-configs.ts'
import { type Api, ApiKey, apis, encodeResponse, FrameDecoder, readRequestHeader } from './codec.ts'
import { ConnectionLimits } from './connection-limits.ts'
import { Coordinator } from './coordinator.ts'
import { codeOf, KafkaError, textOf } from './errors.ts'
import { type Handler, handlers } from './handlers/table.ts'
import { namespaceName } from './names.ts'
import { Quotas } from './quotas.ts'
import { Request } from './request.ts'
import type { SaslExchange } from './sasl.ts'
import { TransactionCoordinator } from './transaction-coordinator.ts'
import { MalformedFrame, Reader } from './wire.ts'

const State = { Refused: 0, Waiting: 1, Open: 2, Draining: 3, Closed: 4 } as const
type State = (typeof State)[keyof typeof State]

/** Requests read and not yet answered; then the socket is not read until there is room. Clients keep up to 5. */
const pendingRequestsMax = 64
/** Deleted topics that a connection is told of once more; of others it is not remembered that they were deleted. */
const deletedNamesMax = 1000
/** The one broker of the cluster, as its clients see it. */
export const nodeId = 1
export const softwareNamePattern = /^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/

export class KafkaSession implements Session {
  readonly connection: Connection
  readonly broker: Broker
  readonly coordinator: Coordinator
  readonly transactions: TransactionCoordinator
  readonly decoder: FrameDecoder
  readonly quotas: Quotas
  readonly configs: BrokerConfigs
  principal: Principal
  authenticated: boolean
  /** The exchange that a SaslHandshake began. */
  sasl: SaslExchange | undefined
  /** A v0 handshake: tokens come without Kafka's frames around them. */
  rawTokens = false
  #space: Space | undefined
  #bySasl = false
  #admitted = false
  readonly #inner: boolean
  #state: State = State.Open
  #pending: Request[] = []
  #paused = false
  readonly #early: Buffer[] = []
  /** Names of topics that were deleted here and not asked for since; see {@link wasDeleted}. */
  readonly #deleted = new Set<string>()
  readonly #whenClosed = new Set<() => void>()
  /** What takes the connection out of those that are counted. */
  #leave: (() => void) | undefined

  /** `inner`: of somebody within the process, who is counted where he came in. */
  constructor(connection: Connection, broker: Broker, kind: 'outer' | 'inner' = 'outer') {
    this.connection = connection
    this.broker = broker
    this.coordinator = broker.shared('kafka.coordinator', () => new Coordinator(broker))
    this.transactions = TransactionCoordinator.of(broker)
    this.quotas = Quotas.of(broker)
    this.configs = BrokerConfigs.of(broker)
    this.decoder = new FrameDecoder(broker.limits.frameBytesMax, (frame) => this.#onFrame(frame))
    this.principal = broker.anonymous
    this.authenticated = !broker.authenticationRequired
    connection.info.protocol = 'kafka'
    connection.info.namespace = 'default'
    this.#inner = kind === 'inner'
    if (!this.#inner) this.#enter()
    if (connection.peerName !== undefined) this.#logInByCertificate(connection.peerName)
  }

  #enter(): void {
    const limits = ConnectionLimits.of(this.broker, this.configs)
    const address = plainAddress(this.connection.remoteAddress)
    const refused = limits.enter(address)
    if (refused !== null) return this.#fail(refused)
    this.#leave = () => limits.leave(address)
    const now = this.broker.clock.now()
    const closesIn = this.quotas.connect(address, now)
    if (closesIn > 0) return this.#keepOut(closesIn, address)
    const opensIn = limits.arrive(now)
    if (opensIn > 0) this.#keepWaiting(opensIn)
  }

  /** KIP-612: who connects too often is closed when there may be another, so that trying again at once gains nothing. */
  #keepOut(ms: number, address: string): void {
    this.#state = State.Refused
    this.#after(ms, () => this.#fail(`${address} connects too often (connection_creation_rate)`))
  }

  /** KIP-612: connections that come too fast are not lost, they are served later. */
  #keepWaiting(ms: number): void {
    this.#state = State.Waiting
    this.#after(ms, () => {
      this.#state = State.Open
      for (const chunk of this.#early.splice(0)) this.onBytes(chunk)
    })
  }

  /** A verified certificate is a login, as on Kafka's SSL listeners; SASL on top of it takes its place. */
  #logInByCertificate(user: string): void {
    this.connection.pause()
    this.broker
      .authenticate({ kind: 'certificate', user }, this.connection.remoteAddress)
      .then(
        (principal) => this.logIn(principal, false),
        // The certificate is good but names nobody: what may be done without a login may still be, SASL above all.
        (cause: unknown) => this.broker.log.info({ user, cause: textOf(cause) }, 'kafka: the certificate names no user'),
      )
      .finally(() => this.connection.resume())
  }

  /** Where clients reach us: as configured, else the address this one used. */
  get host(): string {
    return this.#advertised?.host ?? plainAddress(this.connection.localAddress)
  }

  get port(): number {
    return this.#advertised?.port ?? this.connection.localPort
  }

  get #advertised(): Address | undefined {
    return this.broker.advertised('kafka')
  }

  noteDeleted(topic: string): void {
    if (this.#deleted.size < deletedNamesMax) this.#deleted.add(topic)
  }

  /**
   * Whether this client deleted the topic and now asks for it for the first time: it wants to know whether it is gone, and may not know that asking
   * creates. A real cluster takes its time for both, so that such clients see no topic there.
   */
  wasDeleted(topic: string): boolean {
    return this.#deleted.delete(topic)
  }

  get space(): Space {
    // Kafka has no namespaces that one is let into: what a client may not do is said of each topic, group and so on.
    this.#space ??= this.broker.space(this.principal, namespaceName, { anyone: true, protocol: 'kafka' })
    return this.#space
  }

  /** KIP-368: a login on a connection that has one renews it, and changes nobody. A certificate's user may still log in as another. */
  mayBecome(principal: Principal): boolean {
    return !this.#bySasl || principal.user === this.principal.user
  }

  logIn(principal: Principal, bySasl = true): void {
    this.#bySasl = bySasl
    this.principal = principal
    this.authenticated = true
    this.#admitted = false
    this.#space = undefined
    this.connection.info.user = principal.user
  }

  onBytes(chunk: Buffer): void {
    // Nothing more is read while it waits: this can only be what came with the connection.
    if (this.#state === State.Waiting) this.#early.push(chunk)
    if (this.#state !== State.Open) return
    try {
      this.decoder.push(chunk)
    } catch (cause) {
      this.#fail(`bad frame: ${textOf(cause)}`)
    }
  }

  #onFrame(frame: Buffer): void {
    if (this.#state !== State.Open) return // An earlier frame of this chunk ended the connection.
    if (this.rawTokens) return this.#onRawToken(frame)
    const reader = new Reader(frame)
    const { key, version, correlationId, clientId } = readRequestHeader(reader)
    const api = apis.get(key)
    const handler = handlers.get(key)
    if (api === undefined || handler === undefined) return this.#onUnknown(key, version, correlationId, api, reader)
    const request = new Request(this, api, version, correlationId, clientId, reader)
    if (clientId !== null) this.connection.info.clientName ||= clientId
    this.#enqueue(request)
    if (version < handler.from || version > handler.to) {
      if (key === ApiKey.ApiVersions) return this.#run(handler, request)
      return this.refuse(request, KafkaError.UnsupportedVersion)
    }
    // KIP-368: who has not logged in anew in time is not served any more.
    const { expiresAt } = this.principal
    if (expiresAt !== undefined && this.broker.clock.now() > expiresAt && !handler.beforeLogin)
      return this.#fail(`${api.name} after the login ended`)
    if (!this.authenticated && !handler.beforeLogin) return this.#fail(`${api.name} before authentication`)
    if (!this.#admitted && !this.#inner && !handler.beforeLogin) {
      try {
        this.broker.admit(this.connection)
      } catch (cause) {
        return this.#fail(textOf(cause)) // As Kafka does with connections above its own limits: it closes them.
      }
      this.#admitted = true
    }
    this.#run(handler, request)
  }

  #run(handler: Handler, request: Request): void {
    const handle = (): void => {
      const running = handler.run(request)
      if (running instanceof Promise) running.catch((cause: unknown) => this.#onHandlerFailed(request, cause))
    }
    try {
      request.timed(handle)
    } catch (cause) {
      this.#onHandlerFailed(request, cause)
    }
  }

  #onHandlerFailed(request: Request, cause: unknown): void {
    if (cause instanceof MalformedFrame) return this.#fail(`bad ${request.api.name} v${request.version}: ${cause.message}`)
    if (cause instanceof CoreError) return this.refuse(request, codeOf(cause))
    this.broker.log.error({ err: cause, api: request.api.name, version: request.version }, 'kafka: request failed')
    this.refuse(request, KafkaError.UnknownServerError)
  }

  /** Answers with an error where the schema has a place for one at its top; a message without one can only end the connection. */
  refuse(request: Request, errorCode: number): void {
    if (request.answer !== null) return
    const { api } = request
    const version = Math.min(Math.max(request.version, api.from), api.to)
    if (!api.response.has('errorCode', version)) return this.#fail(`${api.name} v${request.version}: error ${errorCode}`)
    request.finish(encodeResponse(api, version, request.correlationId, { errorCode }))
  }

  #onUnknown(key: number, version: number, correlationId: number, api: Api | undefined, reader: Reader): void {
    if (api === undefined) return this.#fail(`request of unknown kind ${key} v${version}`)
    const request = new Request(this, api, version, correlationId, null, reader)
    this.#enqueue(request)
    this.refuse(request, KafkaError.UnsupportedVersion)
  }

  #onRawToken(frame: Buffer): void {
    this.sasl?.step(frame, (answer, failure, principal) => {
      if (this.#state !== State.Open) return
      if (failure !== null) return this.#fail(`SASL: ${failure}`)
      const size = Buffer.alloc(4)
      size.writeInt32BE(answer.length)
      this.connection.write(size)
      if (answer.length > 0) this.connection.write(answer)
      if (principal === undefined) return
      this.rawTokens = false
      this.logIn(principal)
    })
  }

  // ------------------------------------------------------------------------------------------------------------ answers in order

  #enqueue(request: Request): void {
    this.#pending.push(request)
    if (this.#pending.length >= pendingRequestsMax && !this.#paused) {
      this.#paused = true
      this.connection.pause()
    }
  }

  /** KIP-219: answers go out, requests are not read. */
  mute(ms: number): void {
    this.#after(ms, () => undefined)
  }

  /** Nothing is read until then. */
  #after(ms: number, run: () => void): void {
    this.connection.pause()
    const forget = this.whenClosed(() => timer.cancel())
    const timer = this.broker.clock.after(ms, () => {
      forget()
      run()
      this.connection.resume()
    })
  }

  onAnswered(): void {
    if (this.#state === State.Closed) return
    let answered = 0
    for (const request of this.#pending) {
      if (request.answer === null) break
      for (const part of request.answer) this.connection.write(part)
      if (request.whenSent !== null) this.connection.whenSent(request.whenSent)
      answered++
    }
    if (answered === 0) return
    this.#pending.splice(0, answered)
    this.#considerReading()
    if (this.#state === State.Draining && this.#pending.length === 0) this.connection.end('shutting down')
  }

  #considerReading(): void {
    if (this.#paused && this.#pending.length < pendingRequestsMax / 2 && !this.connection.congested) {
      this.#paused = false
      this.connection.resume()
    } else if (!this.#paused && this.connection.congested) {
      // A client that asks and does not read its answers is not read either.
      this.#paused = true
      this.connection.pause()
    }
  }

  onWritable(): void {
    this.#considerReading()
  }

  onTick(): void {
    // Group members' timeouts belong to the coordinator; a connection itself has none.
  }

  drain(): void {
    if (this.#state === State.Refused || this.#state === State.Waiting) return this.#fail('shutting down')
    if (this.#state !== State.Open) return
    this.#state = State.Draining
    // Long polls would hold the shutdown up; whoever waits is told by the end of the connection, as by any broker that goes.
    this.#runWhenClosed()
    if (this.#pending.length === 0) this.connection.end('shutting down')
  }

  /** Runs once when the connection ends, to cancel what waits on its behalf. Returns how to forget it. */
  whenClosed(run: () => void): () => void {
    this.#whenClosed.add(run)
    return () => this.#whenClosed.delete(run)
  }

  #runWhenClosed(): void {
    for (const run of [...this.#whenClosed]) run()
    this.#whenClosed.clear()
  }

  onClose(_cause: CloseCause): void {
    this.#state = State.Closed
    this.#pending = []
    this.#leave?.()
    this.#leave = undefined
    this.#runWhenClosed()
  }

  /** Lets the answers already given out, then closes. */
  end(reason: string): void {
    this.connection.end(reason)
  }

  #fail(reason: string): void {
    if (this.#state === State.Closed) return
    this.#state = State.Closed
    const peer = `${this.connection.remoteAddress}:${this.connection.remotePort}`
    this.broker.log.warn({ peer, client: this.connection.info.clientName, reason }, 'kafka: connection closed')
    this.#runWhenClosed()
    this.connection.end('')
  }

  /** Closes with a log line: for what has no answer on the wire (acks=0 that failed, say). */
  fail(reason: string): void {
    this.#fail(reason)
  }
}
