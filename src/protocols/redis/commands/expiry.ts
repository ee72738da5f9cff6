/** Times to live: EXPIRE and its kin, TTL and its kin, PERSIST. */
import { integer64, text } from '../arguments.ts'
import { type Call, type Command, command } from '../command.ts'
import { RedisError } from '../errors.ts'

const latest = 2n ** 63n - 1n

/** When it expires, ms since the epoch, as an option like `EX` of a command says. A time that is not after 1970 is refused. */
export function expiryMs(unit: string, arg: Buffer | undefined, now: number, name: string): number {
  const at = expiryOf(unit, arg, now, name)
  if (integer64(text(arg)) <= 0n) throw invalidExpiry(name)
  return at
}

const invalidExpiry = (name: string): RedisError => new RedisError(`ERR invalid expire time in '${name}' command`)

/** The same for commands that take a time in the past, which is at once. */
export function expiryOf(unit: string, arg: Buffer | undefined, now: number, name: string): number {
  const said = integer64(text(arg))
  const inSeconds = unit === 'EX' || unit === 'EXAT'
  const ms = inSeconds ? said * 1000n : said
  const at = unit.endsWith('AT') ? ms : ms + BigInt(now)
  if (ms > latest || ms < -latest || at > latest || at < -latest) throw invalidExpiry(name)
  return Number(at)
}

export interface ExpiryConditions {
  nx: boolean
  xx: boolean
  gt: boolean
  lt: boolean
}

/** Of the arguments from `from` to `to`. */
export function expiryConditions(args: readonly Buffer[], from: number, to: number): ExpiryConditions {
  const conditions = { nx: false, xx: false, gt: false, lt: false }
  for (let at = from; at < to; at++) {
    const word = text(args[at]).toLowerCase()
    if (word !== 'nx' && word !== 'xx' && word !== 'gt' && word !== 'lt')
      throw new RedisError(`ERR Unsupported option ${text(args[at])}`)
    conditions[word] = true
  }
  if (conditions.nx && (conditions.xx || conditions.gt || conditions.lt))
    throw new RedisError('ERR NX and XX, GT or LT options at the same time are not compatible')
  if (conditions.gt && conditions.lt) throw new RedisError('ERR GT and LT options at the same time are not compatible')
  return conditions
}

export function conditionsHold({ nx, xx, gt, lt }: ExpiryConditions, present: number | undefined, at: number): boolean {
  if (nx && present !== undefined) return false
  if (xx && present === undefined) return false
  if (gt && (present === undefined || at <= present)) return false
  if (lt && present !== undefined && at >= present) return false
  return true
}

const expire =
  (unit: string, name: string) =>
  ({ args, db, reply, now }: Call): void => {
    const key = text(args[1])
    const conditions = expiryConditions(args, 3, args.length)
    const at = expiryOf(unit, args[2], now, name)
    if (!db.exists(key)) return reply.integer(0)
    if (!conditionsHold(conditions, db.expiryOf(key), at)) return reply.integer(0)
    if (at <= now) {
      db.remove(key)
      db.notify('g', 'del', key)
    } else {
      db.setExpiry(key, at)
      db.notify('g', 'expire', key)
    }
    reply.integer(1)
  }

const timeToLive =
  (asReply: (at: number, now: number) => number) =>
  ({ args, db, reply, now }: Call): void => {
    const key = text(args[1])
    if (!db.exists(key)) return reply.integer(-2)
    const at = db.expiryOf(key)
    reply.integer(at === undefined ? -1 : asReply(at, now))
  }

function persist({ args, db, reply }: Call): void {
  const key = text(args[1])
  if (!db.exists(key) || db.expiryOf(key) === undefined) return reply.integer(0)
  db.setExpiry(key, 0)
  db.notify('g', 'persist', key)
  reply.integer(1)
}

export const secondsLeft = (at: number, now: number): number => Math.floor((at - now + 500) / 1000)

const one = [1, 1, 1] as const

export const expiryCommands: readonly Command[] = [
  command('generic', 'expire', -3, 'write fast', one, expire('EX', 'expire')),
  command('generic', 'pexpire', -3, 'write fast', one, expire('PX', 'pexpire')),
  command('generic', 'expireat', -3, 'write fast', one, expire('EXAT', 'expireat')),
  command('generic', 'pexpireat', -3, 'write fast', one, expire('PXAT', 'pexpireat')),
  command('generic', 'ttl', 2, 'readonly fast', one, timeToLive(secondsLeft)),
  command(
    'generic',
    'pttl',
    2,
    'readonly fast',
    one,
    timeToLive((at, now) => at - now),
  ),
  command(
    'generic',
    'expiretime',
    2,
    'readonly fast',
    one,
    timeToLive((at) => Math.floor((at + 500) / 1000)),
  ),
  command(
    'generic',
    'pexpiretime',
    2,
    'readonly fast',
    one,
    timeToLive((at) => at),
  ),
  command('generic', 'persist', 2, 'write fast', one, persist),
]
