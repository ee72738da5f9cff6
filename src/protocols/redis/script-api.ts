/** What a script sees of Redis: the table `redis`. */

import { type Args, install } from '../../lib/lua/library.ts'
import { LuaError, LuaTable, type LuaValue, shortest, suspended } from '../../lib/lua/value.ts'
import type { Reply } from '../../lib/resp/reply.ts'
import { Request } from '../../lib/resp/request.ts'
import { AccessRefused } from './access.ts'
import type { Client } from './client.ts'
import type { Call, Command, Deferred, Waiting } from './command.ts'
import type { Database } from './database.ts'
import { errorText, RedisError } from './errors.ts'
import { checkArity } from './executor.ts'
import { toLuaIn } from './script-values.ts'
import { type Running, type Scripting, sha1 } from './scripting.ts'
import type { Server } from './server.ts'
import { type ReplyValue, ValueReply } from './value-reply.ts'

const levels = ['LOG_DEBUG', 'LOG_VERBOSE', 'LOG_NOTICE', 'LOG_WARNING']

export function installRedis(server: Server, scripting: Scripting): void {
  const { machine } = scripting
  const redis = new LuaTable()
  install(machine, redis, (check) => ({
    call: (args) => callCommand(server, scripting, args, true),
    pcall: (args) => callCommand(server, scripting, args, false),
    error_reply: (args) => {
      if (args.length !== 1 || typeof args[0] !== 'string') return [wrongSingle()]
      return [errorTable(args[0].startsWith('-') ? args[0] : `-${args[0]}`)]
    },
    status_reply: (args) => [args.length !== 1 || typeof args[0] !== 'string' ? wrongSingle() : LuaTable.of({ ok: args[0] })],
    sha1hex: (args) => {
      if (args.length !== 1) throw new LuaError('wrong number of arguments')
      return [sha1(check('sha1hex').string(args, 1))]
    },
    log: (args) => {
      if (args.length < 2) throw new LuaError('redis.log() requires two arguments or more.')
      const level = check('log').integer(args, 1)
      if (level < 0 || level > 3) throw new LuaError('Invalid log level.')
      const message = args
        .slice(1)
        .map((each) => machine.text(each))
        .join(' ')
      const write = level === 3 ? 'warn' : level === 2 ? 'info' : 'debug'
      server.broker.log[write]({ script: scripting.running?.name }, Buffer.from(message, 'latin1').toString())
      return []
    },
    setresp: (args) => {
      const version = args.length === 1 ? check('setresp').integer(args, 1) : 0
      if (args.length !== 1) throw new LuaError('redis.setresp() requires one argument.')
      if (version !== 2 && version !== 3) throw new LuaError('RESP version must be 2 or 3.')
      if (scripting.running !== null) scripting.running.protocol = version
      return []
    },
    set_repl: () => [],
    replicate_commands: () => [true],
    breakpoint: () => [false],
    debug: () => [],
    acl_check_cmd: (args) => {
      const request = Request.of(args.map((arg) => bufferOf(arg) ?? Buffer.alloc(0)))
      const found = server.findCommand(request)
      if (found === undefined) throw new LuaError('ERR Invalid command passed to redis.acl_check_cmd()')
      try {
        if (scripting.running !== null) server.executor.check(scripting.running.client, found, request)
        return [true]
      } catch {
        return [false]
      }
    },
    register_function: (args) => {
      if (scripting.onRegister === null) throw new LuaError('redis.register_function can only be called on FUNCTION LOAD command')
      scripting.onRegister(args)
      return []
    },
  }))
  for (const [level, name] of levels.entries()) redis.set(name, level)
  for (const [name, value] of Object.entries({ REPL_NONE: 0, REPL_SLAVE: 1, REPL_REPLICA: 1, REPL_AOF: 2, REPL_ALL: 3 }))
    redis.set(name, value)
  const [major = 0, minor = 0, patch = 0] = server.version.split('.').map(Number)
  redis.set('REDIS_VERSION', server.version)
  redis.set('REDIS_VERSION_NUM', (major << 16) | (minor << 8) | patch)
  machine.globals.set('redis', redis)
  // Old scripts call it so.
  machine.globals.set('os', LuaTable.of({ clock: machine.native('clock', () => [performance.now() / 1000]) }))
}

const wrongSingle = (): LuaTable => LuaTable.of({ err: 'ERR wrong number or type of arguments' })

/** `-CODE message`; where there is one word only, that is the message. */
function errorTable(text: string): LuaTable {
  return LuaTable.of({ err: text.includes(' ') ? text.slice(1) : `ERR ${text.slice(1)}` })
}

/** Arguments are strings, or numbers as `%.17g`. */
function bufferOf(value: LuaValue): Buffer | null {
  if (typeof value === 'string') return Buffer.from(value, 'latin1')
  return typeof value === 'number' ? Buffer.from(shortest(value, 17)) : null
}

function callCommand(server: Server, scripting: Scripting, args: Args, raises: boolean): readonly LuaValue[] | typeof suspended {
  const { running } = scripting
  const fail = (text: string): readonly LuaValue[] => {
    const table = LuaTable.of({ err: text })
    if (raises) throw new LuaError(table)
    return [table]
  }
  if (running === null) throw new LuaError('redis.call/pcall can only be called inside a script invocation')
  if (args.length === 0) return fail('ERR Please specify at least one argument for this redis lib call')
  const given = args.map(bufferOf)
  if (given.includes(null)) return fail('ERR Lua redis lib command arguments must be strings or integers')
  const request = Request.of(given as Buffer[]) // none is null
  let found: Command
  try {
    found = checked(server, running, request)
  } catch (cause) {
    return fail(errorText(cause))
  }
  const call = new ScriptCall(server, running, request)
  const answer = (): readonly LuaValue[] => {
    const value: ReplyValue = call.reply.value ?? { kind: 'nil' }
    if (value.kind === 'error') return fail(Buffer.from(value.text).toString('latin1'))
    return [toLuaIn(value, running.protocol)]
  }
  if (found.flags.has('write')) running.wrote = true
  server.statistics.commands++
  server.executor.onCommand?.(running.client, request, true)
  try {
    found.run(call)
  } catch (cause) {
    return fail(Buffer.from(errorText(cause)).toString('latin1'))
  }
  if (!call.isWaiting) return answer()
  call.whenDone = () => {
    try {
      scripting.resume(running, answer())
    } catch (cause) {
      if (!(cause instanceof LuaError)) throw cause
      scripting.resume(running, cause)
    }
  }
  return suspended
}

function checked(server: Server, running: Running, request: Request): Command {
  const found = server.findCommand(request)
  if (found === undefined) throw new RedisError('ERR Unknown Redis command called from script')
  if (found.flags.has('noscript')) throw new RedisError('ERR This Redis command is not allowed from script')
  try {
    checkArity(found, request)
  } catch {
    throw new RedisError('ERR Wrong number of args calling Redis command from script')
  }
  if (running.readOnly && found.flags.has('write'))
    throw new RedisError('ERR Write commands are not allowed from read-only scripts.')
  try {
    server.executor.check(running.client, found, request)
  } catch (cause) {
    if (cause instanceof AccessRefused) server.noteRefusal(running.client, cause, 'lua')
    throw cause
  }
  return found
}

/** A command's run within a script: the reply is a value. */
class ScriptCall implements Call {
  readonly server: Server
  readonly client: Client
  readonly request: Request
  readonly reply: ValueReply
  readonly now: number
  readonly atomic = true
  isWaiting = false
  whenDone: () => void = () => undefined

  constructor(server: Server, running: Running, request: Request) {
    this.server = server
    this.client = running.client
    this.request = request
    this.reply = new ValueReply(running.protocol)
    this.now = server.now
  }

  get args(): readonly Buffer[] {
    return this.request.all
  }

  get db(): Database {
    return this.client.db
  }

  defer(): Deferred {
    this.isWaiting = true
    const reply: Reply = this.reply
    return {
      reply,
      done: () => {
        this.isWaiting = false
        this.whenDone()
      },
    }
  }

  block(waiting: Waiting): void {
    waiting.timedOut(this.reply)
  }
}
