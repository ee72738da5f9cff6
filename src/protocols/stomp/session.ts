/**
 * One STOMP connection: CONNECT, then frames one after the other. What a frame asks for is in commands.ts; here are versions, login, heart-beats,
 * receipts, errors and the order of things.
 */
import {
  type Broker,
  type CloseCause,
  type Connection,
  CoreError,
  type CoreErrorCode,
  type Session as ProtocolSession,
  type PublishItem,
  PublishStatus,
  type Space,
  type Transaction,
} from '../../broker/face.ts'
import { asCoreError } from '../../core/errors.ts'
import { secretLogin } from '../../lib/token-login.ts'
import { BadFrame, encodeFrame, type Frame, FrameDecoder, type Headers, Version } from './codec.ts'
import { commands } from './commands.ts'
import { messages, StompError } from './errors.ts'
import type { Subscription, SubscriptionHost } from './subscription.ts'
import { Temporaries } from './temporary.ts'

const handshakeMs = 10_000
const headersMax = 1000
const lineBytesMax = 16 * 1024
/** Bytes of SEND that may wait to be stored; then the socket is not read. */
const publishingBytesMax = 4 * 1024 * 1024
const nothing = Buffer.alloc(0)

const State = { Connecting: 0, Open: 1, Closed: 2 } as const

export class Session implements ProtocolSession, SubscriptionHost {
  readonly connection: Connection
  readonly broker: Broker
  readonly subscriptions = new Map<string, Subscription>()
  readonly transactions = new Map<string, Transaction>()
  readonly temporaries = new Temporaries()
  version: Version = Version.V12
  clientId = ''
  space: Space
  #state: number = State.Connecting
  readonly #decoder: FrameDecoder
  readonly #openedAt: number
  #busy = false
  #paused = false
  #publishingBytes = 0
  #publishing = 0
  #whenPublished: (() => void) | null = null
  #numbers = 0
  // Heart-beats, ms; 0: none.
  #sendEvery = 0
  #expectEvery = 0
  #sentAt: number
  #receivedAt: number

  constructor(connection: Connection, broker: Broker) {
    this.connection = connection
    this.broker = broker
    this.#openedAt = this.#sentAt = this.#receivedAt = broker.clock.now()
    this.#decoder = new FrameDecoder({ bodyBytesMax: broker.limits.recordBytesMax, headersMax, lineBytesMax })
    this.space = broker.space(broker.anonymous, 'default')
    connection.info.protocol = 'stomp'
  }

  nextNumber(): number {
    return ++this.#numbers
  }

  // ----------------------------------------------------------------------------------------------------------------- incoming

  onBytes(chunk: Buffer): void {
    this.#receivedAt = this.broker.clock.now()
    if (this.#state === State.Closed) return
    this.#decoder.push(chunk)
    this.#pump()
  }

  #pump(): void {
    while (!this.#busy && this.#state !== State.Closed) {
      let frame: Frame | null
      try {
        frame = this.#decoder.next()
      } catch (cause) {
        if (!(cause instanceof BadFrame)) throw cause
        return this.fail(new StompError('Invalid frame', cause.message), null)
      }
      if (frame === null) return
      this.#onFrame(frame)
    }
  }

  #onFrame(frame: Frame): void {
    try {
      const pending = this.#state === State.Open ? this.#run(frame) : this.#connect(frame)
      if (pending === undefined) return
      // Frames are done one after the other.
      this.#busy = true
      this.connection.pause()
      pending
        .catch((cause: unknown) => this.fail(cause, frame))
        .finally(() => {
          this.#busy = false
          this.connection.resume()
          this.#pump()
        })
    } catch (cause) {
      this.fail(cause, frame)
    }
  }

  #run(frame: Frame): Promise<void> | undefined {
    const command = commands[frame.command]
    if (command === undefined) throw new StompError('Unknown command', frame.command)
    return command(this, frame)
  }

  // ------------------------------------------------------------------------------------------------------------------ CONNECT

  #connect({ command, headers }: Frame): Promise<void> | undefined {
    if (command !== 'CONNECT' && command !== 'STOMP') throw new StompError('Not connected', `${command} before CONNECT`)
    const accepted = headers.get('accept-version')?.split(',') ?? [Version.V10]
    const version = [Version.V12, Version.V11, Version.V10].find((each) => accepted.some((text) => text.trim() === each))
    if (version === undefined) {
      this.#write(
        'ERROR',
        [
          ['version', '1.0,1.1,1.2'],
          ['message', 'Version mismatch'],
        ],
        `Supported versions are 1.0,1.1,1.2\n`,
      )
      this.#end('no common version')
      return undefined
    }
    this.version = version
    this.#decoder.version = version
    return this.#logIn(headers)
  }

  async #logIn(headers: Headers): Promise<void> {
    const { broker, connection } = this
    const user = headers.get('login') ?? ''
    const credential = secretLogin(user, headers.get('passcode') ?? '', broker.tokensAccepted)
    let principal = broker.anonymous
    if (user === '' && connection.peerName !== undefined)
      principal = await broker.authenticate({ kind: 'certificate', user: connection.peerName }, connection.remoteAddress)
    else if (broker.authenticationRequired || user !== '')
      principal = await broker.authenticate(credential, connection.remoteAddress)
    this.space = broker.space(principal, namespaceOf(headers.get('host') ?? '', broker))
    this.clientId = headers.get('client-id') ?? ''
    Object.assign(connection.info, {
      user: principal.user,
      namespace: this.space.namespace,
      clientName: this.clientId,
      clientVersion: `STOMP ${this.version}`,
    })
    broker.admit(connection)
    this.#state = State.Open
    this.#write('CONNECTED', [
      ['version', this.version],
      ['session', `session-${connection.id}`],
      ['server', 'AnyMQ'],
      ['heart-beat', this.#agreeOnHeartBeats(headers.get('heart-beat') ?? '0,0')],
    ])
  }

  /** 1.2, "Heart-beating": each side says what it can do and what it wants; the larger of the two counts. We can do whatever is wanted. */
  #agreeOnHeartBeats(text: string): string {
    const match = /^\s*(\d{1,9})\s*,\s*(\d{1,9})\s*$/.exec(text)
    if (match === null) throw new StompError('Invalid heart-beat header', text)
    this.#expectEvery = Number(match[1])
    this.#sendEvery = Number(match[2])
    return `${this.#sendEvery},${this.#expectEvery}`
  }

  // --------------------------------------------------------------------------------------------------------------- publishing

  /** Publishes and, when that was asked for, sends the receipt once it is stored. Not under pressure: see {@link relieved}. */
  publish(item: PublishItem, frame: Frame): void {
    const bytes = item.payload.length
    this.#publishing++
    this.#publishingBytes += bytes
    if (this.#publishingBytes > publishingBytesMax && !this.#paused) {
      this.#paused = true
      this.connection.pause()
    }
    this.space.publish([item], () => {
      this.#publishing--
      this.#publishingBytes -= bytes
      if (this.#paused && this.#publishingBytes < publishingBytesMax / 2) {
        this.#paused = false
        this.connection.resume()
      }
      if (item.status === PublishStatus.Failed && item.errorCode !== null)
        this.fail(new CoreError(item.errorCode, item.errorMessage), frame)
      else this.receipt(frame)
      if (this.#publishing === 0) this.#whenPublished?.()
    })
  }

  /** Resolves when all that was sent is stored. */
  published(): Promise<void> {
    if (this.#publishing === 0) return Promise.resolve()
    return new Promise((resolve) => {
      this.#whenPublished = () => {
        this.#whenPublished = null
        resolve()
      }
    })
  }

  /** Resolves when the broker has room again; a producer is held until then, as RabbitMQ does. */
  relieved(): Promise<void> {
    return new Promise((resolve) => {
      const stop = this.broker.onPressure((pressure) => {
        if (pressure !== 'none') return
        stop()
        resolve()
      })
    })
  }

  // ----------------------------------------------------------------------------------------------------------------- outgoing

  receipt({ headers }: Frame): void {
    const id = headers.get('receipt')
    if (id !== undefined) this.#write('RECEIPT', [['receipt-id', id]])
  }

  /** Says what is wrong, and ends the connection (1.2, "ERROR"). */
  fail(cause: unknown, frame: Frame | null): void {
    if (this.#state === State.Closed) return
    const error = cause instanceof StompError ? cause : refusalOf(cause)
    const receipt = frame?.headers.get('receipt')
    const headers: [string, string][] = [
      ['message', error.message],
      ['content-type', 'text/plain'],
      ['version', '1.0,1.1,1.2'],
    ]
    if (receipt !== undefined) headers.push(['receipt-id', receipt])
    this.#write('ERROR', headers, `${error.detail}\n`)
    this.#end(`${error.message}: ${error.detail}`)
  }

  #write(command: string, headers: [string, string][], body = ''): void {
    if (this.#state === State.Closed) return
    const bytes = body === '' ? nothing : Buffer.from(body)
    if (bytes.length > 0) headers.push(['content-length', String(bytes.length)])
    this.connection.write(encodeFrame(command, headers, bytes, this.version))
    this.#sentAt = this.broker.clock.now()
  }

  /** Says goodbye to nobody: the client asked for it, or was told why. */
  #end(reason: string): void {
    this.#release()
    this.#state = State.Closed
    this.connection.end(reason)
  }

  disconnect(frame: Frame): void {
    this.#release()
    this.receipt(frame)
    this.#end('')
  }

  #release(): void {
    for (const transaction of this.transactions.values()) transaction.abort()
    this.transactions.clear()
    for (const subscription of this.subscriptions.values()) subscription.close()
    this.subscriptions.clear()
  }

  // ------------------------------------------------------------------------------------------------------- called by the loop

  subscriptionEnded(subscription: Subscription, reason: CoreErrorCode): void {
    this.fail(new StompError(messages[reason], `subscription ${subscription.id} was ended by the broker`), null)
  }

  onWritable(): void {
    for (const subscription of this.subscriptions.values()) subscription.topUp()
  }

  onTick(now: number): void {
    if (this.#state === State.Closed) return
    if (this.#state === State.Connecting) {
      if (now - this.#openedAt > handshakeMs) this.connection.destroy('handshake timeout')
      return
    }
    const { expiresAt } = this.space.principal
    if (expiresAt !== undefined && expiresAt < now)
      return this.fail(new StompError('Connection closed', 'credential expired'), null)
    // Ticks come once a second: rather early than late, and twice the time (and a second) before the peer is given up.
    if (this.#sendEvery > 0 && now - this.#sentAt >= this.#sendEvery - 1000) {
      this.connection.write(heartBeat)
      this.#sentAt = now
    }
    const reads = !this.#busy && !this.#paused
    if (this.#expectEvery > 0 && reads && now - this.#receivedAt > this.#expectEvery * 2 + 1000)
      this.connection.destroy('missed heart-beats from client')
  }

  drain(): void {
    this.fail(new StompError('Connection closed', 'the broker is stopping'), null)
  }

  onClose(_cause: CloseCause): void {
    this.#state = State.Closed
    this.#release()
  }
}

const heartBeat = Buffer.from('\n')

function refusalOf(cause: unknown): StompError {
  const { code, message } = asCoreError(cause)
  return new StompError(messages[code], message)
}

/** Clients send their own machine's name as `host` when they mean no virtual host. */
function namespaceOf(host: string, broker: Broker): string {
  return broker.namespaces().includes(host) ? host : 'default'
}
