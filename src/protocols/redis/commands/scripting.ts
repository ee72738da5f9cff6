/** EVAL and its kin, SCRIPT, FUNCTION, FCALL. */
import { LuaTable } from '../../../lib/lua/value.ts'
import { Glob, integer, option, text } from '../arguments.ts'
import { type Call, type Command, command, numberedKeys } from '../command.ts'
import { RedisError } from '../errors.ts'
import type { Functions, Library } from '../functions.ts'
import { type Script, type Scripting, sha1 } from '../scripting.ts'

/** Keys and arguments behind argument `at`, which says how many are keys. */
function split(args: readonly Buffer[], at: number): { keys: LuaTable; values: LuaTable } {
  const count = integer(args[at])
  if (count > args.length - at - 1) throw new RedisError("ERR Number of keys can't be greater than number of args")
  if (count < 0) throw new RedisError("ERR Number of keys can't be negative")
  const list = (from: number, to: number): LuaTable => LuaTable.list(args.slice(from, to).map((arg) => arg.toString('latin1')))
  return { keys: list(at + 1, at + 1 + count), values: list(at + 1 + count, args.length) }
}

const evaluate =
  (find: (scripting: Scripting, arg: string) => Script, readOnly: boolean) =>
  (call: Call): void => {
    const { scripting } = call.server
    const { keys, values } = split(call.args, 2)
    const script = find(scripting, text(call.args[1]))
    if (readOnly && script.flags.size > 0 && !script.flags.has('no-writes'))
      throw new RedisError('ERR Can not execute a script with write flag using *_ro command.')
    scripting.setArguments(keys, values)
    const name = script.sha
    scripting.run(call, { name, kind: 'script', readOnly: readOnly || script.flags.has('no-writes') }, script.run, [])
  }

const bySource = (scripting: Scripting, source: string): Script => scripting.load(source, false)
const bySha = (scripting: Scripting, sha: string): Script => scripting.find(sha)

function scriptLoad({ args, reply, server }: Call): void {
  reply.bulk(server.scripting.load(text(args[2]), true).sha)
}

function scriptExists({ args, reply, server }: Call): void {
  reply.array(args.length - 2)
  for (const sha of args.slice(2)) reply.integer(server.scripting.has(text(sha).toLowerCase()) ? 1 : 0)
}

function checkFlushMode(args: readonly Buffer[], message: string): void {
  if (args.length > 3 || (args.length === 3 && !['ASYNC', 'SYNC'].includes(option(args[2])))) throw new RedisError(message)
}

function scriptFlush({ args, reply, server }: Call): void {
  checkFlushMode(args, 'ERR SCRIPT FLUSH only support SYNC|ASYNC option')
  server.scripting.flush()
  reply.status('OK')
}

function scriptDebug({ args, reply }: Call): void {
  if (option(args[2]) !== 'NO') throw new RedisError('ERR the debugger of scripts is not supported by this server')
  reply.status('OK')
}

// ------------------------------------------------------------------------------------------------------------------ functions

const functionCall =
  (readOnly: boolean) =>
  (call: Call): void => {
    const { server } = call
    const { keys, values } = split(call.args, 2)
    const found = server.functions.find(text(call.args[1]))
    const noWrites = found.flags.has('no-writes')
    if (readOnly && !noWrites) throw new RedisError('ERR Can not execute a script with write flag using *_ro command.')
    server.scripting.run(call, { name: found.name, kind: 'function', readOnly: noWrites }, found.run, [keys, values])
  }

function functionLoad({ args, reply, server }: Call): void {
  let replace = false
  for (const arg of args.slice(2, -1)) {
    if (option(arg) !== 'REPLACE') throw new RedisError(`ERR Unknown option given: ${text(arg)}`)
    replace = true
  }
  reply.bulk(server.functions.load(text(args.at(-1)), replace))
}

function functionDelete({ args, reply, server }: Call): void {
  server.functions.delete(text(args[2]))
  reply.status('OK')
}

function functionFlush({ args, reply, server }: Call): void {
  checkFlushMode(args, 'ERR FUNCTION FLUSH only supports SYNC|ASYNC option')
  server.functions.flush()
  reply.status('OK')
}

function functionList({ args, reply, server }: Call): void {
  let glob: Glob | null = null
  let withCode = false
  for (let at = 2; at < args.length; at++) {
    const word = option(args[at])
    if (word === 'WITHCODE' && !withCode) withCode = true
    else if (word === 'LIBRARYNAME' && glob === null) {
      if (at + 1 >= args.length) throw new RedisError('ERR library name argument was not given')
      glob = new Glob(text(args[++at]))
    } else throw new RedisError(`ERR Unknown argument ${text(args[at])}`)
  }
  const libraries = [...server.functions.libraries.values()].filter(({ name }) => glob === null || glob.matches(name))
  reply.array(libraries.length)
  for (const library of libraries) describeLibrary(reply, library, withCode)
}

function describeLibrary(reply: Call['reply'], { name, code, functions }: Library, withCode: boolean): void {
  reply.map(withCode ? 4 : 3)
  reply.bulk('library_name')
  reply.bulk(name)
  reply.bulk('engine')
  reply.bulk('LUA')
  reply.bulk('functions')
  reply.array(functions.size)
  for (const each of functions.values()) {
    reply.map(3)
    reply.bulk('name')
    reply.bulk(each.name)
    reply.bulk('description')
    if (each.description === null) reply.nil()
    else reply.bulk(each.description)
    reply.bulk('flags')
    reply.set(each.flags.size)
    for (const flag of each.flags) reply.status(flag)
  }
  if (!withCode) return
  reply.bulk('library_code')
  reply.bulk(code)
}

function functionStats({ reply, server }: Call): void {
  const { running } = server.scripting
  reply.map(2)
  reply.bulk('running_script')
  if (running === null || running.kind !== 'function') reply.nil()
  else {
    reply.map(3)
    reply.bulk('name')
    reply.bulk(running.name)
    reply.bulk('command')
    reply.array(running.call.args.length)
    for (const arg of running.call.args) reply.bulk(arg)
    reply.bulk('duration_ms')
    reply.integer(Math.round(performance.now() - running.startedAt))
  }
  reply.bulk('engines')
  reply.map(1)
  reply.bulk('LUA')
  reply.map(2)
  reply.bulk('libraries_count')
  reply.integer(server.functions.libraries.size)
  reply.bulk('functions_count')
  reply.integer(server.functions.functions.size)
}

const dumpVersion = 'anymq1'

/** All libraries and a checksum, in a form of our own: it comes back here by FUNCTION RESTORE. */
function functionDump({ reply, server }: Call): void {
  const codes = JSON.stringify([...server.functions.libraries.values()].map(({ code }) => code))
  reply.bulk(`${dumpVersion}${sha1(codes)}${Buffer.from(codes).toString('latin1')}`)
}

function functionRestore({ args, reply, server }: Call): void {
  const dump = text(args[2])
  const how = args.length > 3 ? option(args[3]) : 'APPEND'
  if (args.length > 4 || !['APPEND', 'REPLACE', 'FLUSH'].includes(how))
    throw new RedisError('ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.')
  const body = dump.slice(dumpVersion.length + 40)
  const codes = Buffer.from(body, 'latin1').toString()
  if (!dump.startsWith(dumpVersion) || sha1(codes) !== dump.slice(dumpVersion.length, dumpVersion.length + 40))
    throw new RedisError('ERR DUMP payload version or checksum are wrong')
  restoreAll(server.functions, JSON.parse(codes) as string[], how) // the checksum holds: it is a dump of ours
  reply.status('OK')
}

function restoreAll(functions: Functions, codes: readonly string[], how: string): void {
  if (how === 'FLUSH') functions.flush()
  for (const code of codes) functions.load(code, how === 'REPLACE')
}

const evalKeys = numberedKeys(2)

export const scriptingCommands: readonly Command[] = [
  command('scripting', 'eval', -3, 'noscript skip_monitor', evalKeys, evaluate(bySource, false)),
  command('scripting', 'evalsha', -3, 'noscript skip_monitor', evalKeys, evaluate(bySha, false)),
  command('scripting', 'eval_ro', -3, 'noscript readonly skip_monitor', evalKeys, evaluate(bySource, true)),
  command('scripting', 'evalsha_ro', -3, 'noscript readonly skip_monitor', evalKeys, evaluate(bySha, true)),
  command('scripting', 'script|load', 3, 'noscript', null, scriptLoad),
  command('scripting', 'script|exists', -3, 'noscript', null, scriptExists),
  command('scripting', 'script|flush', -2, 'noscript', null, scriptFlush),
  command('scripting', 'script|debug', 3, 'noscript', null, scriptDebug),
  command('scripting', 'script|kill', 2, 'noscript allow_busy', null, ({ reply, server }) => {
    server.scripting.kill('script')
    reply.status('OK')
  }),
  command('scripting', 'fcall', -3, 'noscript skip_monitor', evalKeys, functionCall(false)),
  command('scripting', 'fcall_ro', -3, 'noscript readonly skip_monitor', evalKeys, functionCall(true)),
  command('scripting', 'function|load', -3, 'write denyoom noscript', null, functionLoad),
  command('scripting', 'function|delete', 3, 'write noscript', null, functionDelete),
  command('scripting', 'function|flush', -2, 'write noscript', null, functionFlush),
  command('scripting', 'function|list', -2, 'noscript', null, functionList),
  command('scripting', 'function|stats', 2, 'noscript allow_busy', null, functionStats),
  command('scripting', 'function|kill', 2, 'noscript allow_busy', null, ({ reply, server }) => {
    server.scripting.kill('function')
    reply.status('OK')
  }),
  command('scripting', 'function|dump', 2, 'noscript', null, functionDump),
  command('scripting', 'function|restore', -3, 'write denyoom noscript', null, functionRestore),
]
