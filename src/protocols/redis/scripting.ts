/**
 * Runs Lua for EVAL and FCALL. A script runs while everything else of Redis stands still: if it has to wait for a command's reply, or runs for so long that it gives way
 * to the rest of the broker for a moment, the executor holds other Redis clients. The Lua itself is lib/lua; script-api.ts is what scripts see of Redis.
 */
import { createHash } from 'node:crypto'
import v8 from 'node:v8'
import { installBits } from '../../lib/lua/bits.ts'
import { compile } from '../../lib/lua/compiler.ts'
import { installJson } from '../../lib/lua/json.ts'
import { installLibrary } from '../../lib/lua/library.ts'
import { Machine, type Outcome } from '../../lib/lua/machine.ts'
import { installMsgpack } from '../../lib/lua/msgpack.ts'
import { installStrings } from '../../lib/lua/strings.ts'
import { installStruct } from '../../lib/lua/struct.ts'
import { LuaError, type LuaFunction, LuaTable, type LuaValue } from '../../lib/lua/value.ts'
import type { Reply } from '../../lib/resp/reply.ts'
import { oneLine } from '../../lib/resp/reply.ts'
import type { Call, Deferred } from './command.ts'
import { RedisError, words } from './errors.ts'
import type { Holder } from './executor.ts'
import { installRedis } from './script-api.ts'
import { writeLua } from './script-values.ts'
import type { Server } from './server.ts'

/** Instructions (of those that are counted) between looks at the clock. */
const sliceInstructions = 20_000
/** A script gives way to the rest of the broker after so long. */
const sliceMs = 20
/** What the heap may grow by while a script runs. */
const heapGrowthMax = 512 * 1024 * 1024
/** Scripts that are remembered by EVAL go, the oldest first; those of SCRIPT LOAD stay. */
const evaluatedMax = 500
const loadedMax = 10_000

export const sha1 = (text: string): string => createHash('sha1').update(text, 'latin1').digest('hex')

export interface Script {
  readonly sha: string
  readonly run: LuaFunction
  readonly flags: ReadonlySet<string>
  /** By SCRIPT LOAD: it is not forgotten for others. */
  kept: boolean
}

/** What runs, as the functions of scripts see it. */
export interface Running extends Holder {
  readonly call: Call
  readonly readOnly: boolean
  /** For messages: the hash of a script, or the name of a function. */
  readonly name: string
  readonly kind: 'script' | 'function'
  /** The protocol that redis.setresp chose. */
  protocol: number
  wrote: boolean
  killed: boolean
  isBusy: boolean
  startedAt: number
  sliceAt: number
  heapAtStart: number
  /** Where the reply goes when it did not come at once. */
  deferred: Deferred | null
  /** What a command in it is waited for with. */
  waitsFor: symbol | null
}

export class Scripting {
  readonly #server: Server
  readonly #scripts = new Map<string, Script>()
  readonly machine: Machine
  running: Running | null = null
  /** While a library is being loaded, what it registers. */
  onRegister: ((args: readonly LuaValue[]) => void) | null = null

  constructor(server: Server) {
    this.#server = server
    this.machine = new Machine({ exhausted: (mayPause) => this.#exhausted(mayPause) }, sliceInstructions)
    const { machine } = this
    installLibrary(machine)
    installStrings(machine)
    installBits(machine)
    installJson(machine)
    installMsgpack(machine)
    installStruct(machine)
    installRedis(server, this)
    this.#protect()
  }

  /** Scripts share the globals, and change none. */
  #protect(): void {
    const { machine } = this
    const { globals } = machine
    const unknown = machine.native('__index', ([, name]) => {
      throw new LuaError(`${machine.where(1)}Script attempted to access nonexistent global variable '${machine.text(name)}'`)
    })
    globals.metatable = LuaTable.of({ __index: unknown })
    globals.metatable.isReadOnly = true
    for (let entry = globals.next(undefined); entry !== null; entry = globals.next(entry[0]))
      if (entry[1] instanceof LuaTable) entry[1].isReadOnly = true
    globals.isReadOnly = true
  }

  // ------------------------------------------------------------------------------------------------------------------ scripts

  get count(): number {
    return this.#scripts.size
  }

  has(sha: string): boolean {
    return this.#scripts.has(sha)
  }

  flush(): void {
    this.#scripts.clear()
  }

  /** Throws a RedisError where the source is no script. */
  load(source: string, keep: boolean): Script {
    const sha = sha1(source)
    const present = this.#scripts.get(sha)
    if (present !== undefined) {
      present.kept ||= keep
      return present
    }
    const script: Script = { sha, run: this.compile(source, '@user_script'), flags: flagsOf(source), kept: keep }
    this.#forget()
    this.#scripts.set(sha, script)
    return script
  }

  find(sha: string): Script {
    const script = this.#scripts.get(sha.toLowerCase())
    if (script === undefined) throw new RedisError(words.noScript)
    return script
  }

  compile(source: string, name: string): LuaFunction {
    try {
      return this.machine.function(compile(source, name.slice(1)))
    } catch (cause) {
      if (!(cause instanceof LuaError)) throw cause
      const kind = name === '@user_script' ? 'script' : 'function'
      throw new RedisError(`ERR Error compiling ${kind} (new function): ${oneLine(cause.message)}`)
    }
  }

  #forget(): void {
    let kept = 0
    for (const script of this.#scripts.values()) if (script.kept) kept++
    const evaluated = this.#scripts.size - kept
    if (kept >= loadedMax) throw new RedisError(`ERR at most ${loadedMax} scripts are kept; SCRIPT FLUSH forgets them`)
    if (evaluated < evaluatedMax) return
    for (const [sha, script] of this.#scripts) {
      if (script.kept) continue
      this.#scripts.delete(sha)
      return
    }
  }

  // ------------------------------------------------------------------------------------------------------------------ running

  /** Runs a function for a command; replies then, or later. */
  run(call: Call, what: Pick<Running, 'name' | 'kind' | 'readOnly'>, run: LuaFunction, args: readonly LuaValue[]): void {
    if (this.running !== null) throw new RedisError('ERR a script cannot run scripts')
    const { client, server } = call
    const running: Running = {
      ...what,
      call,
      client,
      protocol: 2,
      wrote: false,
      killed: false,
      isBusy: false,
      busyMessage: `BUSY Redis is busy running a script. You can only call ${what.kind.toUpperCase()} KILL or SHUTDOWN NOSAVE.`,
      startedAt: performance.now(),
      sliceAt: performance.now(),
      heapAtStart: v8.getHeapStatistics().used_heap_size,
      deferred: null,
      waitsFor: null,
    }
    this.running = running
    this.machine.budget = sliceInstructions
    const { db } = client
    server.atomically(() => this.#step(running, () => this.machine.begin(run, args)))
    if (this.running === null) {
      client.db = db
      return
    }
    // It goes on later: everybody waits.
    running.deferred = call.defer()
    client.blocked = true
    server.executor.hold(running)
    server.executor.afterRelease(() => {
      client.db = db
      client.blocked = false
      client.host.resumed()
    })
  }

  #step(running: Running, go: () => Outcome): void {
    let outcome: Outcome
    running.sliceAt = performance.now()
    try {
      outcome = go()
    } catch (cause) {
      if (!(cause instanceof LuaError)) throw this.#abandon(cause)
      return this.#end(running, (reply) => reply.error(this.#errorText(running, cause)))
    }
    if (outcome.kind === 'done') {
      const [value] = outcome.values
      return this.#end(running, (reply) => writeLua(reply, value, running.protocol))
    }
    if (outcome.kind === 'paused') setImmediate(() => this.#step(running, () => this.machine.resume([])))
  }

  /** A command that a script waits for has replied. */
  resume(running: Running, values: readonly LuaValue[] | LuaError): void {
    if (this.running === running) this.#step(running, () => this.machine.resume(values))
  }

  #abandon(cause: unknown): unknown {
    this.running = null
    return cause
  }

  #end(running: Running, write: (reply: Reply) => void): void {
    this.running = null
    if (running.deferred === null) return write(running.call.reply)
    write(running.deferred.reply)
    this.#server.executor.release()
    running.deferred.done()
  }

  #errorText(running: Running, { value, message }: LuaError): string {
    const err = value instanceof LuaTable ? value.field('err') : undefined
    const said = typeof err === 'string' ? err : `ERR ${message}`
    const line = this.#errorLine === 0 ? '' : `, on @user_${running.kind}:${this.#errorLine}`
    return oneLine(Buffer.from(`${said} script: ${running.name}${line}.`, 'latin1').toString())
  }

  /** The line that ran last. */
  get #errorLine(): number {
    return this.machine.line
  }

  #exhausted(mayPause: boolean): number | 'pause' {
    const { running } = this
    if (running === null) return sliceInstructions
    if (running.killed)
      throw new LuaError(LuaTable.of({ err: `ERR Script killed by user with ${running.kind.toUpperCase()} KILL.` }))
    if (v8.getHeapStatistics().used_heap_size - running.heapAtStart > heapGrowthMax) throw new LuaError('not enough memory')
    const now = performance.now()
    if (now - running.sliceAt < sliceMs) return sliceInstructions
    if (!running.isBusy && now - running.startedAt > this.#server.settings.busyReplyMs) {
      running.isBusy = true
      setImmediate(() => this.#server.executor.tellBusy())
    }
    return mayPause ? 'pause' : sliceInstructions
  }

  /** SCRIPT KILL and FUNCTION KILL. */
  kill(kind: Running['kind']): void {
    const { running } = this
    if (running === null || running.kind !== kind) throw new RedisError('NOTBUSY No scripts in execution right now.')
    if (running.wrote)
      throw new RedisError(
        'UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.',
      )
    running.killed = true
  }

  /** KEYS and ARGV of a script, which are globals. */
  setArguments(keys: LuaTable, args: LuaTable): void {
    const { globals } = this.machine
    globals.isReadOnly = false
    globals.set('KEYS', keys)
    globals.set('ARGV', args)
    globals.isReadOnly = true
  }
}

const knownFlags = new Set(['no-writes', 'allow-oom', 'allow-stale', 'no-cluster', 'allow-cross-slot-keys'])

/** The first line of a script, `#!lua flags=…`. Without one there are none. */
export function flagsOf(source: string): Set<string> {
  const { flags, others } = readShebang(source)
  const [other] = others.keys()
  if (other !== undefined) throw new RedisError(`ERR Unknown lua shebang option: ${other}=${others.get(other)}`)
  return flags
}

export function readShebang(source: string): { flags: Set<string>; others: Map<string, string> } {
  const flags = new Set<string>()
  const others = new Map<string, string>()
  if (!source.startsWith('#!')) return { flags, others }
  const newline = source.indexOf('\n')
  if (newline < 0) throw new RedisError('ERR Invalid script shebang')
  const [engine = '', ...options] = source.slice(2, newline).trim().split(/\s+/)
  if (engine.toLowerCase() !== 'lua') throw new RedisError(`ERR Unexpected engine in script shebang: ${engine}`)
  for (const each of options) {
    const sign = each.indexOf('=')
    if (!each.startsWith('flags=')) {
      others.set(sign < 0 ? each : each.slice(0, sign), sign < 0 ? '' : each.slice(sign + 1))
      continue
    }
    for (const flag of each
      .slice(6)
      .split(',')
      .filter((word) => word !== '')) {
      if (!knownFlags.has(flag)) throw new RedisError(`ERR Unexpected flag in script shebang: ${flag}`)
      flags.add(flag)
    }
  }
  return { flags, others }
}
