/** The commands of lists that do not wait: see list-blocking.ts for the others. */
import { Buffer } from 'node:buffer'
import type { Reply } from '../../lib/resp/reply.ts'
import type { Request } from '../../lib/resp/request.ts'
import { integer, option, text } from './arguments.ts'
import { type Call, type Command, command, numberedKeys } from './command.ts'
import type { Database } from './database.ts'
import { RedisError, syntaxError, words, wrongArguments } from './errors.ts'
import type { End, Steps } from './list.ts'
import { bounded, endOf, severalOf } from './list-arguments.ts'
import { perform } from './list-run.ts'
import type { HeldList, Lists } from './lists.ts'

/** The list of a key that holds one; undefined: there is none. Throws WRONGTYPE. */
export function listAt(call: Call, db: Database, key: string): HeldList | undefined {
  const lists = call.server.lists
  const held = lists.find(db, key)
  if (held !== undefined && held.list.length > 0 && db.expiring === 0 && db.get(key) === undefined) return held
  lists.check(db, key)
  const present = lists.find(db, key)
  return present === undefined || present.list.length === 0 ? undefined : present
}

// --------------------------------------------------------------------------------------------------------------------- pushing

const push =
  (end: End, event: string, onlyPresent: boolean) =>
  (call: Call): void => {
    const { db, request } = call
    const key = request.text(1)
    const present = listAt(call, db, key)
    const { lists } = call.server
    const held = present ?? (onlyPresent ? undefined : lists.open(db, key))
    if (held === undefined) return call.reply.integer(0)
    if (held.busy !== null || !held.list.isPrepared) return pushLater(call, key, held, end, event)
    call.reply.integer(pushTo(lists, db, key, held, end, event, elementsOf(request)))
  }

/** Apart from {@link push}, which is to make no closures. */
function pushLater(call: Call, key: string, held: HeldList, end: End, event: string): void {
  const elements = call.args.slice(2).map((element) => Buffer.from(element))
  perform(
    call,
    held,
    () => held.list.prepare(),
    (reply) => reply.integer(pushTo(call.server.lists, call.db, key, held, end, event, elements)),
  )
}

const elementsOf = (request: Request): readonly Buffer[] => (request.length === 3 ? [request.bytes(2)] : request.all.slice(2))

export function pushTo(
  lists: Lists,
  db: Database,
  key: string,
  held: HeldList,
  end: End,
  event: string,
  elements: readonly Buffer[],
): number {
  lists.growing(db, key, held)
  const length = held.list.push(end, elements)
  db.touched(key)
  db.notify('l', event, key)
  db.ready(key)
  return length
}

// --------------------------------------------------------------------------------------------------------------------- popping

const pop =
  (end: End) =>
  (call: Call): void => {
    const { db, request, reply } = call
    const key = request.text(1)
    if (request.length > 3) throw wrongArguments(end === 'left' ? 'lpop' : 'rpop')
    const count = request.length === 3 ? bounded(call.args[2], 0, 'value is out of range, must be positive') : -1
    const held = listAt(call, db, key)
    if (held === undefined) return count < 0 ? reply.nil() : reply.nilArray()
    if (count === 0) return reply.array(0)
    if (count < 0 && held.busy === null && held.list.isPrepared) {
      const element = held.list.popOne(end)
      if (element !== undefined) {
        if (element === null) return reply.nil()
        reply.bulk(element)
        return popped(call, db, key, held, end)
      }
    }
    popLater(call, key, held, end, count)
  }

/** Apart from {@link pop}, which is to make no closures. `count` -1: one, and its reply is not a list of one. */
function popLater(call: Call, key: string, held: HeldList, end: End, count: number): void {
  perform(
    call,
    held,
    () => held.list.pop(end, Math.max(1, count)),
    (reply, elements) => {
      if (elements.length > 0) popped(call, call.db, key, held, end)
      const [first] = elements
      if (count < 0) return first === undefined ? reply.nil() : reply.bulk(first)
      if (first === undefined) return reply.nilArray()
      reply.array(elements.length)
      for (const element of elements) reply.bulk(element)
    },
  )
}

export function popped(call: Call, db: Database, key: string, held: HeldList, end: End): void {
  db.touched(key)
  db.notify('l', end === 'left' ? 'lpop' : 'rpop', key)
  call.server.lists.shrunk(db, key, held)
}

const popSeveral = (call: Call): void => {
  const { keys, end, count } = severalOf(call.args, 1)
  for (const key of keys) {
    const held = listAt(call, call.db, key)
    if (held !== undefined) return popFrom(call, key, held, end, count, (reply) => reply.nilArray())
  }
  call.reply.nilArray()
}

/** Replies with the key and an array. `nothing`: what was there has expired. */
export function popFrom(call: Call, key: string, held: HeldList, end: End, count: number, nothing: (reply: Reply) => void): void {
  perform(
    call,
    held,
    () => held.list.pop(end, count),
    (reply, elements) => {
      if (elements.length === 0) return nothing(reply)
      popped(call, call.db, key, held, end)
      reply.array(2)
      reply.bulk(key)
      reply.array(elements.length)
      for (const element of elements) reply.bulk(element)
    },
  )
}

// --------------------------------------------------------------------------------------------------------------------- looking

const length = (call: Call): void => call.reply.integer(listAt(call, call.db, text(call.args[1]))?.list.length ?? 0)

const range = (call: Call): void => {
  const first = integer(call.args[2])
  const last = integer(call.args[3])
  const held = listAt(call, call.db, text(call.args[1]))
  if (held === undefined) return call.reply.array(0)
  perform(
    call,
    held,
    () => held.list.range(first, last),
    (reply, elements) => {
      reply.array(elements.length)
      for (const element of elements) reply.bulk(element)
    },
  )
}

const index = (call: Call): void => {
  const held = listAt(call, call.db, text(call.args[1]))
  if (held === undefined) return call.reply.nil()
  const at = integer(call.args[2])
  perform(
    call,
    held,
    () => held.list.index(at),
    (reply, element) => (element === null ? reply.nil() : reply.bulk(element)),
  )
}

const rankZero =
  "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list"

const position = (call: Call): void => {
  const { args } = call
  let rank = 1
  let count = -1
  let compared = 0
  for (let at = 3; at < args.length; at += 2) {
    const word = option(args[at])
    if (at + 1 >= args.length) throw syntaxError()
    if (word === 'RANK') {
      rank = integer(call.args[at + 1])
      if (rank === 0) throw new RedisError(rankZero)
    } else if (word === 'COUNT') count = bounded(call.args[at + 1], 0, "COUNT can't be negative")
    else if (word === 'MAXLEN') compared = bounded(call.args[at + 1], 0, "MAXLEN can't be negative")
    else throw syntaxError()
  }
  const held = listAt(call, call.db, text(call.args[1]))
  if (held === undefined) return count < 0 ? call.reply.nil() : call.reply.array(0)
  const wanted = Buffer.from(args[2] as Buffer) // by its arity
  perform(
    call,
    held,
    () => held.list.positions(wanted, rank, count < 0 ? 1 : count, compared),
    (reply, found) => {
      if (count < 0) return found[0] === undefined ? reply.nil() : reply.integer(found[0])
      reply.array(found.length)
      for (const each of found) reply.integer(each)
    },
  )
}

// -------------------------------------------------------------------------------------------------------------------- changing

const set = (call: Call): void => {
  const { db } = call
  const key = text(call.args[1])
  const held = listAt(call, db, key)
  if (held === undefined) throw new RedisError(words.noSuchKey)
  const at = integer(call.args[2])
  const element = Buffer.from(call.args[3] as Buffer) // by its arity
  perform(
    call,
    held,
    () => held.list.set(at, element),
    (reply) => {
      db.touched(key)
      db.notify('l', 'lset', key)
      reply.status('OK')
    },
  )
}

const insert = (call: Call): void => {
  const { db } = call
  const key = text(call.args[1])
  const word = option(call.args[2])
  if (word !== 'BEFORE' && word !== 'AFTER') throw syntaxError()
  const where = word === 'BEFORE' ? 'before' : 'after'
  const held = listAt(call, db, key)
  if (held === undefined) return call.reply.integer(0)
  const pivot = Buffer.from(call.args[3] as Buffer) // by its arity
  const element = Buffer.from(call.args[4] as Buffer)
  perform(
    call,
    held,
    () => held.list.insert(where, pivot, element),
    (reply, size) => {
      if (size > 0) {
        db.touched(key)
        db.notify('l', 'linsert', key)
      }
      reply.integer(size)
    },
  )
}

const remove = (call: Call): void => {
  const { db } = call
  const key = text(call.args[1])
  const count = integer(call.args[2])
  const held = listAt(call, db, key)
  if (held === undefined) return call.reply.integer(0)
  const element = Buffer.from(call.args[3] as Buffer) // by its arity
  perform(
    call,
    held,
    () => held.list.remove(count, element),
    (reply, removed) => {
      if (removed > 0) {
        db.touched(key)
        db.notify('l', 'lrem', key)
        call.server.lists.shrunk(db, key, held)
      }
      reply.integer(removed)
    },
  )
}

const trim = (call: Call): void => {
  const { db } = call
  const key = text(call.args[1])
  const first = integer(call.args[2])
  const last = integer(call.args[3])
  const held = listAt(call, db, key)
  if (held === undefined) return call.reply.status('OK')
  perform(
    call,
    held,
    () => held.list.trim(first, last),
    (reply) => {
      db.touched(key)
      db.notify('l', 'ltrim', key)
      call.server.lists.shrunk(db, key, held)
      reply.status('OK')
    },
  )
}

// ---------------------------------------------------------------------------------------------------------------------- moving

/** Takes from one list and puts into another, or the same, in one entry of the write-ahead log. `nothing`: there was nothing to take after all. */
export function moveBetween(
  call: Call,
  key: string,
  held: HeldList,
  from: End,
  to: string,
  into: End,
  nothing: (reply: Reply) => void,
): void {
  const { db } = call
  const lists = call.server.lists
  lists.check(db, to)
  function* steps(): Steps<Buffer | null> {
    yield* held.list.prepare()
    yield* held.list.index(from === 'left' ? 0 : -1)
    const target = lists.find(db, to)
    if (target !== undefined) yield* target.list.prepare()
    lists.check(db, to)
    let element: Buffer | null = null
    held.queue.together(() => {
      element = held.list.popOne(from) ?? null
      if (element === null) return
      popped(call, db, key, held, from)
      pushTo(lists, db, to, lists.open(db, to), into, into === 'left' ? 'lpush' : 'rpush', [element])
    })
    return element
  }
  perform(call, held, steps, (reply, element) => (element === null ? nothing(reply) : reply.bulk(element)))
}

const move =
  (ends: (call: Call) => readonly [End, End]) =>
  (call: Call): void => {
    const [from, into] = ends(call)
    const key = text(call.args[1])
    const held = listAt(call, call.db, key)
    if (held === undefined) return call.reply.nil()
    moveBetween(call, key, held, from, text(call.args[2]), into, (reply) => reply.nil())
  }

export const endsAt = (call: Call): readonly [End, End] => [endOf(call.args[3]), endOf(call.args[4])]
export const rightToLeft = (): readonly [End, End] => ['right', 'left']

export const listCommands: readonly Command[] = [
  command('list', 'lpush', -3, 'write denyoom fast', [1, 1, 1], push('left', 'lpush', false)),
  command('list', 'rpush', -3, 'write denyoom fast', [1, 1, 1], push('right', 'rpush', false)),
  command('list', 'lpushx', -3, 'write denyoom fast', [1, 1, 1], push('left', 'lpush', true)),
  command('list', 'rpushx', -3, 'write denyoom fast', [1, 1, 1], push('right', 'rpush', true)),
  command('list', 'lpop', -2, 'write fast', [1, 1, 1], pop('left')),
  command('list', 'rpop', -2, 'write fast', [1, 1, 1], pop('right')),
  command('list', 'llen', 2, 'readonly fast', [1, 1, 1], length),
  command('list', 'lrange', 4, 'readonly', [1, 1, 1], range),
  command('list', 'lindex', 3, 'readonly', [1, 1, 1], index),
  command('list', 'lpos', -3, 'readonly', [1, 1, 1], position),
  command('list', 'lset', 4, 'write denyoom', [1, 1, 1], set),
  command('list', 'linsert', 5, 'write denyoom', [1, 1, 1], insert),
  command('list', 'lrem', 4, 'write', [1, 1, 1], remove),
  command('list', 'ltrim', 4, 'write', [1, 1, 1], trim),
  command('list', 'lmove', 5, 'write denyoom', [1, 2, 1], move(endsAt)),
  command('list', 'rpoplpush', 3, 'write denyoom', [1, 2, 1], move(rightToLeft)),
  command('list', 'lmpop', -4, 'write', numberedKeys(1), popSeveral),
]
