/**
 * What a user needs to run a command: to consume from the keys it reads, to publish to those it changes; both where it does both, and only to consume where
 * taking is what it is for. What concerns the keys of everybody, and whatever Redis calls administration, needs an administrator; of whom rules for Redis speak
 * (operations.ts), they say which commands there are for him.
 */
import type { Principal } from '../../broker/face.ts'
import type { Reason } from './acl-log.ts'
import { option } from './arguments.ts'
import { type Command, keyPlaces } from './command.ts'
import { isAdministration } from './command-categories.ts'
import { RedisError } from './errors.ts'
import { type Operations, operationsOf } from './operations.ts'

type Need = 'consume' | 'publish' | 'both'

/** Of the first key, and of all others. */
type Needs = readonly [Need, Need]

const named = (names: string, ...needs: Needs): [string, Needs][] => names.split(' ').map((name) => [name, needs])

/** Of commands that write, and do not merely change their keys. */
const special = new Map<string, Needs>([
  ...named('lpop rpop blpop brpop lmpop blmpop xreadgroup xack xclaim xautoclaim', 'consume', 'consume'),
  ...named('xgroup|create xgroup|setid xgroup|destroy xgroup|createconsumer xgroup|delconsumer', 'consume', 'consume'),
  ...named('lmove rpoplpush blmove brpoplpush copy', 'consume', 'publish'),
  ...named('georadius georadiusbymember', 'consume', 'publish'),
  ...named('rename renamenx smove', 'both', 'publish'),
  ...named(
    'sunionstore sinterstore sdiffstore zunionstore zinterstore zdiffstore geosearchstore zrangestore bitop pfmerge',
    'publish',
    'consume',
  ),
  ...named('getset getdel getex spop zpopmin zpopmax zmpop bzpopmin bzpopmax bzmpop xackdel', 'both', 'both'),
  ...named('incr decr incrby decrby incrbyfloat hincrby hincrbyfloat zincrby setbit bitfield', 'both', 'both'),
])
const reading: Needs = ['consume', 'consume']
const writing: Needs = ['publish', 'publish']
const both: Needs = ['both', 'both']

/** NOPERM, with what ACL LOG tells of it. */
export class AccessRefused extends RedisError {
  readonly reason: Reason
  /** The command, key or channel. */
  readonly object: string

  constructor({ user }: Principal, reason: Reason, object: string) {
    super(`NOPERM User ${user} has no permissions to ${refusedWords(reason, object)}`)
    this.reason = reason
    this.object = object
  }
}

function refusedWords(reason: Reason, object: string): string {
  if (reason === 'command') return `run the '${object}' command`
  return `access one of the ${reason}s used as arguments`
}

/** Throws NOPERM where the principal may not run it, or not with these keys. */
export function checkAccess(principal: Principal, command: Command, args: readonly Buffer[]): void {
  const { name } = command
  const operations = operationsOf(principal)
  if (!mayRun(principal, operations, command)) throw new AccessRefused(principal, 'command', name)
  const [first, others] = needsOf(command, args)
  let need = first
  for (const place of keyPlaces(command, args)) {
    checkKey(principal, operations, need, args[place] as Buffer) // a place of these
    need = others
  }
  if (name === 'sort' || name === 'sort_ro') checkSort(principal, operations, args)
}

function mayRun(principal: Principal, operations: Operations | null, command: Command): boolean {
  if (operations !== null) return operations.mayRun(command.name) || command.flags.has('no_auth')
  return !isAdministration(command) || isOperator(principal)
}

function needsOf({ flags, name }: Command, args: readonly Buffer[]): Needs {
  if (!flags.has('write')) return reading
  if (name === 'sort') return reading
  if (name === 'set' && args.some((arg, at) => at > 2 && option(arg) === 'GET')) return both
  return special.get(name) ?? writing
}

function checkKey(principal: Principal, operations: Operations | null, need: Need, key: Buffer): void {
  const name = key.toString()
  const mayRead = need === 'publish' || (principal.may('consume', 'default', name) && operations?.mayRead(name) !== false)
  const mayWrite = need === 'consume' || (principal.may('publish', 'default', name) && operations?.mayWrite(name) !== false)
  if (!mayRead || !mayWrite) throw new AccessRefused(principal, 'key', name)
}

/** What it reads and writes beside its key. */
function checkSort(principal: Principal, operations: Operations | null, args: readonly Buffer[]): void {
  for (let at = 2; at + 1 < args.length; at++) {
    const word = option(args[at])
    if (word !== 'BY' && word !== 'GET' && word !== 'STORE') continue
    const value = args[++at] as Buffer // at < length
    if (word === 'STORE') checkKey(principal, operations, 'publish', value)
    else if (value.includes('*') && !isOperator(principal))
      throw new RedisError(`ERR ${word} option of SORT denied due to insufficient ACL permissions`)
  }
}

/** As the HTTP API asks: rights over one namespace, the default one too, make nobody an administrator of the broker. */
const isOperator = (principal: Principal): boolean => principal.may('operate', '', '', 'cluster')
