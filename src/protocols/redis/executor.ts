/**
 * Runs commands one at a time: checks that a request is one, that its client may, queues it in a transaction, or runs it. While a script waits for something all
 * others are held.
 */
import { Request } from '../../lib/resp/request.ts'
import { AccessRefused, checkAccess } from './access.ts'
import { CommandCall } from './call.ts'
import type { Client } from './client.ts'
import { type Command, keyPlaces } from './command.ts'
import { findCommand } from './commands/table.ts'
import { errorText, RedisError, words, wrongArguments } from './errors.ts'
import type { Server } from './server.ts'

/** Arguments of a request that are shown of one that is not known. */
const shownArguments = 20
const shownBytes = 128
/** Commands of one transaction. */
const queuedMax = 100_000
/** What a client may do that is subscribed to something and speaks RESP2. */
const subscribedCommands = new Set([
  'subscribe',
  'unsubscribe',
  'psubscribe',
  'punsubscribe',
  'ssubscribe',
  'sunsubscribe',
  'ping',
  'quit',
  'reset',
])
/** Run in a transaction, not queued. */
const unqueuedCommands = new Set(['exec', 'discard', 'multi', 'watch', 'quit', 'reset'])

/** After a command that took longer than this the time is asked for anew. */
const clockMs = 1
/** Commands of these touch private keys alone, nearly always: the effects of several share an entry of the journal. */
const privateGroups: ReadonlySet<string> = new Set(['string', 'hash', 'set', 'sorted-set', 'bitmap'])

/** A script or function under way that waits, or that gave way after running for long. */
export interface Holder {
  readonly client: Client
  /** It runs for longer than it should: others are told so instead of waiting. */
  readonly isBusy: boolean
  readonly busyMessage: string
}

interface Held {
  readonly client: Client
  readonly request: Request
}

export class Executor {
  readonly #server: Server
  #holder: Holder | null = null
  #held: Held[] = []
  readonly #afterRelease: (() => void)[] = []
  /** When a request came, ms since the epoch, and by a clock that is never set. */
  #wall: number
  #steady = 0
  /** CLIENT PAUSE. */
  #pausedUntil = 0
  #pausesAll = false
  #paused: Held[] = []
  /** Told of each command before it runs (MONITOR). */
  onCommand: ((client: Client, request: Request, fromScript: boolean) => void) | null = null
  /** Told of each command that ran long enough, with microseconds. */
  onSlow: ((client: Client, request: Request, microseconds: number) => void) | null = null

  constructor(server: Server) {
    this.#server = server
    this.#wall = server.now
  }

  /** Asks for the time. Commands that follow have it until it is asked for again: within a turn, every few commands. */
  look(): void {
    const server = this.#server
    this.#wall = server.broker.clock.now()
    this.#steady = performance.now()
    if (this.#holder === null) server.now = this.#wall
  }

  /** One request of a client, after {@link look}. Whatever it throws has become its reply. */
  execute(client: Client, request: Request): void {
    const server = this.#server
    client.lastActiveAt = this.#wall
    const found = findCommand(request)
    const hidden = client.silent === 'always' || client.silent === 'skipping'
    const written = hidden ? client.reply.used : 0
    if (client.silent === 'skipping') client.silent = 'no'
    else if (client.silent === 'next') client.silent = 'skipping'
    try {
      this.#dispatch(client, found, request)
    } catch (cause) {
      this.#refuse(client, found, cause)
    }
    if (hidden && found?.name !== 'client|reply') client.reply.truncate(written)
    client.gate(server.changes)
    client.commands++
  }

  #refuse(client: Client, found: Command | undefined, cause: unknown): void {
    if (!(cause instanceof RedisError) && !(cause instanceof Error && 'code' in cause))
      this.#server.broker.log.error(
        { command: found?.name, error: cause instanceof Error ? cause.stack : cause },
        'a command failed',
      )
    if (client.queued !== null && found !== undefined && !unqueuedCommands.has(found.name)) client.queueFailed = true
    if (client.queued !== null && found === undefined) client.queueFailed = true
    if (cause instanceof AccessRefused) this.#server.noteRefusal(client, cause, client.queued === null ? 'toplevel' : 'multi')
    this.#server.statistics.errors++
    client.reply.error(errorText(cause))
  }

  #dispatch(client: Client, found: Command | undefined, request: Request): void {
    if (found === undefined) throw unknownCommand(request.all)
    client.lastCommand = found.name
    if (client.principal === null && !found.flags.has('no_auth')) throw new RedisError(words.noAuth)
    checkArity(found, request)
    if (this.#holder !== null && this.#holder.client !== client && !found.flags.has('allow_busy')) {
      if (this.#holder.isBusy) throw new RedisError(this.#holder.busyMessage)
      this.#hold(this.#held, client, request)
      return
    }
    if (client.queued !== null && found.flags.has('no_multi'))
      throw new RedisError('ERR Command not allowed inside a transaction')
    this.check(client, found, request)
    if (client.protocol === 2 && client.subscriptions > 0 && !subscribedCommands.has(found.name))
      throw new RedisError(
        `ERR Can't execute '${found.name.split('|')[0]}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context`,
      )
    if (this.#isPaused(found, client)) return this.#hold(this.#paused, client, request)
    if (client.queued !== null && !unqueuedCommands.has(found.name)) return this.#queue(client, found, request)
    this.run(found, client, request)
  }

  /** Whether a client may run it now; throws. Also for commands of scripts. */
  check(client: Client, found: Command, request: Request): void {
    const server = this.#server
    const { principal } = client
    if (principal !== null && server.broker.authenticationRequired) checkAccess(principal, found, request.all)
    if (!found.writes) return
    if (server.failure !== null) throw new RedisError(`MISCONF Errors writing to the append only file: ${server.failure.message}`)
    if (!found.grows) return
    if (server.broker.pressure === 'disk')
      throw new RedisError('MISCONF Errors writing to the append only file: No space left on device')
    const { maxMemoryBytes } = server.settings
    if (maxMemoryBytes > 0 && server.memoryBytes > maxMemoryBytes) throw new RedisError(words.oom)
  }

  /** Runs one command that was checked, with all that follows from it. */
  run(found: Command, client: Client, request: Request): void {
    const server = this.#server
    server.statistics.commands++
    if (this.onCommand !== null && !found.flags.has('skip_monitor')) this.onCommand(client, request, false)
    // In the order in which it happens: what goes to topics comes behind what was done to keys before.
    if (!server.effects.isEmpty && !found.flags.has('readonly') && !privateGroups.has(found.group)) server.store()
    const startedAt = this.#steady
    const written = client.reply.used
    try {
      found.run(new CommandCall(server, client, client.db, request))
    } catch (cause) {
      // A command that throws has replied nothing; should it have, the error takes the place of that.
      if (client.reply.used > written) client.reply.truncate(written)
      throw cause
    } finally {
      // The end of one is the beginning of the next.
      this.#steady = performance.now()
      const tookMs = this.#steady - startedAt
      if (tookMs > clockMs) this.look()
      if (this.onSlow !== null) this.onSlow(client, request, tookMs * 1000)
      if (this.#holder === null) this.ended()
    }
  }

  /** A command, transaction or script is over. Its effects are appended at the end of the turn, with those of others: {@link Server.settle}. */
  ended(): void {
    this.#server.blocked.serve()
  }

  #queue(client: Client, found: Command, request: Request): void {
    const queued = client.queued ?? []
    if (queued.length >= queuedMax) throw new RedisError(`ERR a transaction has at most ${queuedMax} commands`)
    queued.push({ command: found, request: kept(request) })
    client.reply.status('QUEUED')
  }

  // ------------------------------------------------------------------------------------------------------------------ holding

  get isHeld(): boolean {
    return this.#holder !== null
  }

  get holder(): Holder | null {
    return this.#holder
  }

  /** A script waits: until {@link release} others run nothing. */
  hold(holder: Holder): void {
    this.#holder = holder
  }

  /** Runs once the script that waits now has ended, before whoever was held. */
  afterRelease(run: () => void): void {
    this.#afterRelease.push(run)
  }

  release(): void {
    this.#holder = null
    for (const run of this.#afterRelease.splice(0)) {
      run()
      // It may have begun another script that waits.
      if (this.#holder !== null) return
    }
    this.ended()
    const held = this.#held
    this.#held = []
    for (const { client } of held) client.blocked = false
    this.#again(held)
    this.#server.settle()
  }

  /** The script runs for too long: who waits hears of it. */
  tellBusy(): void {
    const held = this.#held
    this.#held = []
    for (const { client } of held) client.blocked = false
    this.#again(held)
    this.#server.settle()
  }

  #hold(list: Held[], client: Client, request: Request): void {
    client.blocked = true
    list.push({ client, request: kept(request) })
  }

  #again(held: readonly Held[]): void {
    for (const { client, request } of held) {
      if (client.closed) continue
      this.look()
      this.execute(client, request)
      this.#server.wrote(client)
      if (client.mayRun) client.host.resumed()
    }
  }

  /** CLIENT PAUSE; 0 ends it. */
  pause(untilMs: number, all: boolean): void {
    const server = this.#server
    this.#pausedUntil = untilMs
    this.#pausesAll = all
    const resume = (): void => {
      if (this.#pausedUntil > server.broker.clock.now()) return
      const paused = this.#paused
      this.#paused = []
      for (const { client } of paused) client.blocked = false
      this.#again(paused)
      server.settle()
    }
    server.broker.clock.after(Math.max(0, untilMs - server.broker.clock.now()), resume)
  }

  #isPaused(found: Command, client: Client): boolean {
    if (this.#pausedUntil === 0 || this.#pausedUntil <= this.#server.now) return false
    if (found.name === 'client|unpause' || found.name === 'client|pause') return false
    if (this.#pausesAll) return true
    if (found.name === 'exec') return client.queued?.some(({ command }) => command.flags.has('write')) === true
    return found.flags.has('write') || ['eval', 'evalsha', 'fcall', 'publish', 'spublish'].includes(found.name)
  }

  forget(client: Client): void {
    this.#held = this.#held.filter((held) => held.client !== client)
    this.#paused = this.#paused.filter((held) => held.client !== client)
  }
}

/** For later: what a request views is gone by then. */
const kept = ({ all }: Request): Request => Request.of(all.map((arg) => Buffer.from(arg)))

export function checkArity(found: Command, { length }: { readonly length: number }): void {
  const { arity } = found
  if (arity > 0 ? length !== arity : length < -arity) throw wrongArguments(found.name)
}

export function unknownCommand(args: readonly Buffer[]): RedisError {
  const name = args[0]?.toString().slice(0, shownBytes) ?? ''
  if (findCommand(Request.of([Buffer.from(`${name}|`)])) !== undefined)
    return new RedisError(
      `ERR unknown subcommand '${args[1]?.toString().slice(0, shownBytes) ?? ''}'. Try ${name.toUpperCase()} HELP.`,
    )
  let shown = ''
  for (const arg of args.slice(1, 1 + shownArguments)) {
    if (shown.length >= shownBytes) break
    shown += `'${arg.toString().slice(0, shownBytes - shown.length)}' `
  }
  return new RedisError(`ERR unknown command '${name}', with args beginning with: ${shown}`.replaceAll(/[\r\n]/g, ' '))
}

/** Keys among a request's arguments. */
export const keysOf = (found: Command, args: readonly Buffer[]): string[] =>
  keyPlaces(found, args).map((place) => (args[place] as Buffer).toString('latin1')) // places are within
