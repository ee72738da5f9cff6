/**
 * One connection: requests are run in their order, and replies leave in that order once the disk has what they tell.
 *
 * State: Running → Busy (a command waits for the disk, or for a login) → Running; Running → Blocked (GETJOB waits for a job) → Running; Closed ends it.
 */
import { Buffer } from 'node:buffer'
import {
  type Broker,
  type Session as BrokerSession,
  type CloseCause,
  type Connection,
  CoreError,
  type Principal,
} from '../../broker/face.ts'
import { Decoder, ProtocolError } from '../../lib/resp/decoder.ts'
import { ReplyWriter } from '../../lib/resp/reply.ts'
import type { Timer } from '../../lib/timers.ts'
import { text } from './arguments.ts'
import type { Call, Command } from './command.ts'
import { commands } from './commands/table.ts'
import { errorText, Refusal, words, wrongArguments } from './errors.ts'
import { writeFetched } from './job-reply.ts'
import type { Fetched, Queue, Waiter } from './queue.ts'
import { namespace, Server } from './server.ts'

/** Requests of one client before others have their turn. */
const turnRequests = 1000
/** Of one client: replies that wait for the disk. */
const waitingBytesMax = 4 * 1024 * 1024
const waitingPartsMax = 10_000
/** What a client may leave untaken of what it is sent unasked (MONITOR). */
const untakenBytesMax = 32 * 1024 * 1024

const State = { Running: 0, Busy: 1, Blocked: 2, Closed: 3 } as const
type State = (typeof State)[keyof typeof State]

/** Replies that leave together, in their order. */
interface Part {
  readonly bytes: Buffer
  isDurable: boolean
}

export class Session implements BrokerSession, Waiter {
  readonly #connection: Connection
  readonly #server: Server
  readonly #decoder: Decoder
  readonly #reply = new ReplyWriter()
  readonly #parts: Part[] = []
  readonly #openedAt: number
  #waitingBytes = 0
  /** What was written since the last part waits for the disk. */
  #mustWait = false
  #state: State = State.Running
  #waits = 0
  /** Where it waits for a job. */
  #queues: ReadonlySet<Queue> = new Set()
  #timeout: Timer | null = null
  #withCounters = false
  #isReading = true
  /** Something came while it waits for a job. */
  #hasEarly = false
  #isPlanned = false
  /** Its client sends nothing more. */
  #isOver = false
  /** Ends once its replies are on their way. */
  #ending: string | null = null
  #lastCommand = 'NULL'
  #lastActiveAt: number
  principal: Principal | null = null
  name = ''
  /** CLIENT REPLY: what is replied goes nowhere, for one command or until it is turned on. */
  silent: 'no' | 'next' | 'always' = 'no'

  constructor(connection: Connection, broker: Broker) {
    this.#connection = connection
    this.#server = Server.of(broker)
    const { recordBytesMax, frameBytesMax } = broker.limits
    const stranger = broker.authenticationRequired
    this.#decoder = new Decoder({ bulkBytesMax: recordBytesMax, requestBytesMax: frameBytesMax, stranger })
    this.#openedAt = this.#lastActiveAt = broker.clock.now()
    this.#server.clients.set(this.id, this)
    this.#server.statistics.connections++
    connection.info.namespace = namespace
    if (!stranger) this.#welcome(broker.anonymous)
  }

  get id(): number {
    return this.#connection.id
  }

  get remoteAddress(): string {
    return this.#connection.remoteAddress
  }

  get remote(): string {
    return `${this.#connection.remoteAddress}:${this.#connection.remotePort}`
  }

  /** Where its client reaches this node. */
  get address(): { readonly host: string; readonly port: number } {
    const { localAddress, localPort } = this.#connection
    return this.#server.broker.advertised('disque') ?? { host: localAddress.replace(/^::ffff:(?=\d+\.)/, ''), port: localPort }
  }

  get isBlocked(): boolean {
    return this.#state === State.Blocked
  }

  #welcome(principal: Principal): void {
    try {
      this.use(principal)
    } catch (cause) {
      if (!(cause instanceof Refusal)) throw cause
      this.#refuse(cause)
      this.#flush()
    }
  }

  /** Throws a refusal, and ends, where the user, or the namespace, may have no more connections. */
  use(principal: Principal | null): void {
    this.principal = null
    this.#decoder.stranger = true
    this.#connection.info.user = principal?.user ?? ''
    if (principal === null) return
    try {
      this.#server.broker.admit(this.#connection)
    } catch (cause) {
      if (!(cause instanceof CoreError)) throw cause
      this.#ending = cause.message
      throw new Refusal(words.tooManyClients)
    }
    this.#decoder.stranger = false
    this.principal = principal
  }

  rename(name: string): void {
    this.name = name
    this.#connection.info.clientName = name
  }

  /** As CLIENT LIST shows it. */
  line(): string {
    const now = this.#server.broker.clock.now()
    const seconds = (since: number): number => Math.floor((now - since) / 1000)
    const flags = this.isBlocked ? 'b' : this.#server.monitors.has(this) ? 'O' : 'N'
    return `id=${this.id} addr=${this.remote} fd=${this.id} name=${this.name} age=${seconds(this.#openedAt)} idle=${seconds(this.#lastActiveAt)} flags=${flags} qbuf=0 qbuf-free=0 obl=${this.#reply.used} oll=${this.#parts.length} omem=${this.#waitingBytes} events=r cmd=${this.#lastCommand}`
  }

  // ----------------------------------------------------------------------------------------------------------------- requests

  onBytes(chunk: Buffer): void {
    if (this.#state === State.Closed) return
    this.#decoder.push(chunk)
    this.#hasEarly = this.#state === State.Blocked
    this.#run()
  }

  /** Runs what was read, as far as it may. */
  #run(): void {
    try {
      for (let count = 0; this.#mayRun; count++) {
        if (count === turnRequests) {
          this.goOn()
          break
        }
        const request = this.#decoder.next()
        if (request === null) {
          if (this.#isOver) this.#ending = ''
          break
        }
        this.#execute(request.all)
      }
    } catch (cause) {
      if (!(cause instanceof ProtocolError)) throw cause
      this.#reply.error(`ERR ${cause.message}`)
      this.#ending = cause.message
    }
    this.#flush()
    if (this.#isOver && this.#state === State.Blocked) return this.close('')
    // Whoever waits for a job is read on, so that its going is noticed; but not more than once.
    const isHeard = this.#state === State.Blocked && !this.#hasEarly
    this.#read(isHeard || (this.#mayRun && !this.#isPlanned))
  }

  get #mayRun(): boolean {
    const isBehind = this.#waitingBytes > waitingBytesMax || this.#parts.length > waitingPartsMax
    if (this.#state !== State.Running || this.#ending !== null || isBehind || this.#connection.congested) return false
    return this.#server.pausedUntil === 0 || this.#server.pausedUntil <= this.#server.broker.clock.now()
  }

  /** Reads no more than it can run. */
  #read(isWanted: boolean): void {
    if (isWanted === this.#isReading || this.#state === State.Closed) return
    this.#isReading = isWanted
    if (isWanted) this.#connection.resume()
    else this.#connection.pause()
  }

  /** Later in this turn. */
  goOn(): void {
    if (this.#isPlanned || this.#state === State.Closed) return
    this.#isPlanned = true
    setImmediate(() => {
      this.#isPlanned = false
      if (this.#state !== State.Closed) this.#run()
    })
  }

  #execute(args: readonly Buffer[]): void {
    const server = this.#server
    const name = text(args[0]).toLowerCase()
    this.#lastActiveAt = server.broker.clock.now()
    server.statistics.commands++
    const before = this.#reply.used
    const isSkipped = this.silent === 'next'
    if (isSkipped) this.silent = 'no'
    try {
      this.#dispatch(name, args)
    } catch (cause) {
      this.#refuse(cause)
    }
    if (isSkipped || this.silent === 'always') this.#reply.truncate(Math.min(before, this.#reply.used))
  }

  #dispatch(name: string, args: readonly Buffer[]): void {
    if (name === 'quit') {
      this.#reply.status('OK')
      this.#ending = ''
      return
    }
    const found = commands.get(name)
    if (found === undefined)
      throw new Refusal(
        `ERR unknown command '${text(args[0])
          .replaceAll(/[\r\n]/g, ' ')
          .slice(0, 128)}'`,
      )
    const { arity } = found
    if (arity > 0 ? args.length !== arity : args.length < -arity) throw wrongArguments(name)
    if (this.principal === null && name !== 'auth') throw new Refusal(words.noAuth)
    this.#lastCommand = name
    if (this.#server.monitors.size > 0 && name !== 'auth') this.#tellMonitors(args)
    this.#call(found, args)
  }

  #call(found: Command, args: readonly Buffer[]): void {
    const call: Call = {
      server: this.#server,
      client: this,
      args,
      reply: this.#reply,
      durably: () => {
        this.#mustWait = true
      },
      wait: (begin) => this.#wait(begin),
      check: (action, queue) => {
        const name = typeof queue === 'string' ? queue : queue.name
        if (this.principal?.may(action, namespace, name) === true) return
        throw new Refusal(`NOPERM User ${this.#user} has no permissions to ${action} "${name.replaceAll(/[\r\n]/g, ' ')}"`)
      },
      checkOperator: () => {
        if (this.principal?.may('operate', '', '', 'cluster') === true) return
        throw new Refusal(`NOPERM User ${this.#user} has no permissions to run the '${found.name}' command`)
      },
    }
    found.run(call)
  }

  get #user(): string {
    const user = this.principal?.user ?? ''
    return user === '' ? 'default' : user
  }

  #wait(begin: (goOn: (run: () => void) => void) => void): void {
    this.#state = State.Busy
    this.#waits++
    begin((run) => {
      this.#waits--
      if (this.#state === State.Closed) return
      this.#state = State.Running
      const before = this.#reply.used
      try {
        run()
      } catch (cause) {
        this.#refuse(cause)
      }
      if (this.silent === 'always') this.#reply.truncate(before)
      this.#flush()
      if (this.#waits === 0) this.goOn()
    })
  }

  #refuse(cause: unknown): void {
    if (!(cause instanceof Refusal) && !(cause instanceof Error && 'code' in cause))
      this.#server.broker.log.error({ error: cause instanceof Error ? cause.stack : cause }, 'a command failed')
    this.#reply.error(errorText(cause))
  }

  // ------------------------------------------------------------------------------------------------------------------ waiting

  /** Until one of the queues has a job for it. */
  block(queues: ReadonlySet<Queue>, timeoutMs: number, withCounters: boolean): void {
    this.#state = State.Blocked
    this.#queues = queues
    this.#withCounters = withCounters
    for (const queue of queues) queue.wait(this)
    const { clock } = this.#server.broker
    if (timeoutMs > 0) this.#timeout = clock.after(timeoutMs, () => this.#giveUp())
  }

  #unblock(): void {
    this.#timeout?.cancel()
    this.#timeout = null
    for (const queue of this.#queues) queue.stopWaiting(this)
    this.#queues = new Set()
    this.#state = State.Running
  }

  onJob(fetched: Fetched): void {
    this.#unblock()
    if (this.silent !== 'always') {
      this.#reply.array(1)
      writeFetched(this.#reply, fetched, this.#withCounters)
    }
    this.#mustWait = true
    this.#flush()
    this.goOn()
  }

  #giveUp(): void {
    this.#unblock()
    if (this.silent !== 'always') this.#reply.nilArray()
    this.#flush()
    this.goOn()
  }

  // ------------------------------------------------------------------------------------------------------------------ replies

  /** What was written leaves, behind what waits for the disk. */
  #flush(): void {
    const { used } = this.#reply
    if (used > 0 && (this.#mustWait || this.#parts.length > 0)) {
      const part = { bytes: Buffer.from(this.#reply.bytes), isDurable: !this.#mustWait }
      this.#parts.push(part)
      this.#waitingBytes += used
      this.#reply.clear()
      if (this.#mustWait) {
        this.#server.whenDurable((error) => {
          if (error !== null) return this.close('nothing can be stored')
          part.isDurable = true
          this.#sendParts()
        })
      }
    } else if (used > 0) {
      this.#send(this.#reply.bytes)
      this.#reply.clear()
    }
    this.#mustWait = false
    this.#endIfDone()
  }

  #sendParts(): void {
    if (this.#state === State.Closed) return
    let sent = 0
    for (const { bytes, isDurable } of this.#parts) {
      if (!isDurable) break
      this.#send(bytes)
      this.#waitingBytes -= bytes.length
      sent++
    }
    this.#parts.splice(0, sent)
    this.#endIfDone()
    if (!this.#isReading) this.goOn()
  }

  #send(bytes: Buffer): void {
    const connection = this.#connection
    const at = connection.reserve(bytes.length)
    bytes.copy(connection.slab, at)
    connection.commit(bytes.length)
  }

  #endIfDone(): void {
    if (this.#ending === null || this.#parts.length > 0 || this.#state === State.Closed) return
    this.close(this.#ending)
  }

  close(reason: string): void {
    this.#connection.end(reason)
  }

  #tellMonitors(args: readonly Buffer[]): void {
    const now = this.#server.broker.clock.now()
    const shown = args.map((arg) => `"${escapeBytes(arg)}"`).join(' ')
    const line = Buffer.from(`+${(now / 1000).toFixed(6)} [${this.remote}] ${shown}\r\n`, 'latin1')
    for (const monitor of this.#server.monitors) if (monitor !== this) monitor.#tell(line)
  }

  #tell(line: Buffer): void {
    if (this.#connection.outboundBytes > untakenBytesMax) return this.close('it does not take what it monitors')
    this.#reply.raw(line)
    this.#flush()
  }

  // ------------------------------------------------------------------------------------------------------- called by the loop

  onWritable(): void {
    this.goOn()
  }

  onTick(now: number): void {
    const expiresAt = this.principal?.expiresAt
    if (expiresAt !== undefined && now > expiresAt) this.close('the login has expired')
  }

  /** What was sent is answered, but nobody waits for a job any more. */
  onEnd(): void {
    if (this.#state === State.Blocked) return this.close('')
    this.#isOver = true
    this.goOn()
  }

  drain(): void {
    this.#server.leaving = true
    if (this.#state === State.Blocked) {
      this.#unblock()
      this.#reply.error(words.leaving)
    }
    this.#ending = 'the broker shuts down'
    this.#flush()
  }

  onClose(_cause: CloseCause): void {
    if (this.#state === State.Blocked) this.#unblock()
    this.#state = State.Closed
    this.#server.clients.delete(this.id)
    this.#server.monitors.delete(this)
  }
}

/** Bytes as MONITOR shows them. */
function escapeBytes(bytes: Buffer): string {
  return bytes.toString('latin1').replaceAll(/[^ !#-[\]-~]/g, (char) => {
    if (char === '"' || char === '\\') return `\\${char}`
    return `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`
  })
}
