/** COMMAND: what there is. */

import type { Reply } from '../../../lib/resp/reply.ts'
import { Request } from '../../../lib/resp/request.ts'
import { Glob, option, text } from '../arguments.ts'
import { type Call, type Command, command, keyPlaces } from '../command.ts'
import { categoriesOf } from '../command-categories.ts'
import { RedisError, syntaxError } from '../errors.ts'
import { checkArity } from '../executor.ts'

/** Flags that Redis shows, in its words. */
const shownFlags = new Set([
  'write',
  'readonly',
  'denyoom',
  'admin',
  'pubsub',
  'noscript',
  'blocking',
  'loading',
  'stale',
  'fast',
  'no_auth',
  'no_multi',
  'movablekeys',
  'allow_busy',
  'skip_monitor',
])

/** Commands without those of containers, whose place is in them. */
function topLevel(all: ReadonlyMap<string, Command>): Map<string, Command[]> {
  const found = new Map<string, Command[]>()
  for (const [name, each] of all) {
    const container = name.split('|')[0] ?? name
    const present = found.get(container) ?? []
    if (name.includes('|')) present.push(each)
    else present.unshift(each)
    found.set(container, present)
  }
  return found
}

function describe(reply: Reply, name: string, family: readonly Command[]): void {
  const [first] = family as [Command, ...Command[]] // a family has one at least
  const own = family.find((each) => each.name === name)
  const shown = own ?? first
  const subcommands = name.includes('|') ? [] : family.filter((each) => each.name !== name)
  const [from, to, step] = own === undefined || typeof own.keys === 'function' || own.keys === null ? [0, 0, 0] : own.keys
  const flags = own === undefined ? [] : [...own.flags].filter((flag) => shownFlags.has(flag))
  reply.array(10)
  reply.bulk(name)
  reply.integer(own === undefined ? -2 : own.arity)
  reply.set(flags.length)
  for (const flag of flags) reply.status(flag)
  reply.integer(from)
  reply.integer(to)
  reply.integer(step)
  const categories = categoriesOf(shown)
  reply.set(categories.length)
  for (const category of categories) reply.status(`@${category}`)
  reply.array(0)
  reply.array(0)
  reply.array(subcommands.length)
  for (const each of subcommands) describe(reply, each.name, [each])
}

function all({ reply, server }: Call): void {
  const families = topLevel(server.commands)
  reply.array(families.size)
  for (const [name, family] of families) describe(reply, name, family)
}

function info({ args, reply, server }: Call): void {
  if (args.length === 2) return all({ reply, server } as Call)
  const families = topLevel(server.commands)
  reply.array(args.length - 2)
  for (const arg of args.slice(2)) {
    const name = text(arg).toLowerCase()
    const own = server.commands.get(name)
    const family = families.get(name) ?? (own === undefined ? undefined : [own])
    if (family === undefined) reply.nilArray()
    else describe(reply, name, family)
  }
}

function docs({ args, reply, server }: Call): void {
  const families = topLevel(server.commands)
  const wanted = args.length === 2 ? [...families.keys()] : args.slice(2).map((arg) => text(arg).toLowerCase())
  const known = wanted.filter((name) => families.has(name) || server.commands.has(name))
  reply.map(known.length)
  for (const name of known) {
    const [first] = families.get(name) ?? [server.commands.get(name)]
    reply.bulk(name)
    reply.map(1)
    reply.bulk('group')
    reply.bulk(first?.group ?? 'generic')
  }
}

function list({ args, reply, server }: Call): void {
  // Containers and what is in them.
  let names = [...new Set([...topLevel(server.commands).keys(), ...server.commands.keys()])]
  if (args.length > 2) {
    if (args.length !== 5 || option(args[2]) !== 'FILTERBY') throw syntaxError()
    const value = text(args[4])
    const kind = option(args[3])
    if (kind === 'PATTERN') {
      const glob = new Glob(value.toLowerCase())
      names = names.filter((name) => glob.matches(name))
    } else if (kind === 'ACLCAT') names = server.commandsIn(value.toLowerCase())
    else if (kind === 'MODULE') names = []
    else throw syntaxError()
  }
  reply.array(names.length)
  for (const name of names) reply.bulk(name)
}

function keysOfCall({ args, server }: Call): { command: Command; keys: Buffer[] } {
  const given = args.slice(2)
  const found = server.findCommand(Request.of(given))
  if (found === undefined) throw new RedisError('ERR Invalid command specified')
  try {
    checkArity(found, given)
  } catch {
    throw new RedisError('ERR Invalid number of arguments specified for command')
  }
  if (found.keys === null) throw new RedisError('ERR The command has no key arguments')
  const places = keyPlaces(found, given)
  if (places.length === 0) throw new RedisError('ERR Invalid arguments specified for command')
  return { command: found, keys: places.map((place) => given[place] as Buffer) }
}

function getKeys(call: Call): void {
  const { keys } = keysOfCall(call)
  call.reply.array(keys.length)
  for (const key of keys) call.reply.bulk(key)
}

function getKeysAndFlags(call: Call): void {
  const { command: found, keys } = keysOfCall(call)
  const flags = found.flags.has('write') ? ['RW', 'access', 'update'] : ['RO', 'access']
  call.reply.array(keys.length)
  for (const key of keys) {
    call.reply.array(2)
    call.reply.bulk(key)
    call.reply.set(flags.length)
    for (const flag of flags) call.reply.status(flag)
  }
}

export const commandCommands: readonly Command[] = [
  command('server', 'command', -1, 'loading stale', null, all),
  command('server', 'command|count', 2, 'loading stale', null, ({ reply, server }) =>
    reply.integer(topLevel(server.commands).size),
  ),
  command('server', 'command|info', -2, 'loading stale', null, info),
  command('server', 'command|docs', -2, 'loading stale', null, docs),
  command('server', 'command|list', -2, 'loading stale', null, list),
  command('server', 'command|getkeys', -3, 'loading stale', null, getKeys),
  command('server', 'command|getkeysandflags', -3, 'loading stale', null, getKeysAndFlags),
]
