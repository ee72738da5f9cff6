/** The commands of consumer groups: XGROUP, XACK, XPENDING, XCLAIM, XAUTOCLAIM, and XACKDEL and XDELEX, which look at groups as well. */
import { integer, option, text } from './arguments.ts'
import { type Call, type Command, command } from './command.ts'
import { RedisError, syntaxError } from './errors.ts'
import type { Steps } from './list.ts'
import { bounded } from './list-arguments.ts'
import { perform } from './list-run.ts'
import type { Stream } from './stream.ts'
import { countOf, groupAt, idsOf, replyEntries, streamAt, touched } from './stream-arguments.ts'
import { unknownRead } from './stream-change.ts'
import type { Group } from './stream-group.ts'
import { compareIds, idMin, idText, parseId, parseInterval, type StreamId } from './stream-id.ts'
import type { Entry } from './stream-log.ts'
import type { Consumer, Pending } from './stream-pending.ts'
import type { HeldStream } from './streams.ts'

const keyNeeded =
  'ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.'

// ---------------------------------------------------------------------------------------------------------------------- XGROUP

function entriesReadOf(arg: Buffer | undefined): number {
  const value = integer(arg)
  if (value < 0 && value !== unknownRead) throw new RedisError('ERR value for ENTRIESREAD must be positive or -1')
  return value
}

const groupCommand =
  (run: (call: Call, key: string, held: HeldStream, name: string) => void) =>
  (call: Call): void => {
    const key = text(call.args[2])
    const held = streamAt(call, key)
    if (held === undefined) throw new RedisError(keyNeeded)
    run(call, key, held, text(call.args[3]))
  }

function mustHave({ stream }: HeldStream, key: string, name: string): Group {
  const group = stream.groups.get(name)
  if (group === undefined) throw new RedisError(`NOGROUP No such consumer group '${name}' for key name '${key}'`)
  return group
}

function create(call: Call): void {
  const { args, db } = call
  const key = text(args[2])
  const name = text(args[3])
  let make = false
  let entriesRead = unknownRead
  for (let at = 5; at < args.length; at++) {
    const word = option(args[at])
    if (word === 'MKSTREAM') make = true
    else if (word === 'ENTRIESREAD' && at + 1 < args.length) entriesRead = entriesReadOf(args[++at])
    else throw syntaxError()
  }
  const present = streamAt(call, key)
  if (present === undefined && !make) throw new RedisError(keyNeeded)
  const said = text(args[4])
  const id = said === '$' ? null : parseId(said)
  const held = present ?? call.server.streams.open(db, key)
  perform(
    call,
    held,
    () => held.stream.log.catchUp(),
    (reply) => {
      const { stream } = held
      if (stream.groups.has(name)) return reply.error('BUSYGROUP Consumer Group name already exists')
      stream.createGroup(name, id ?? stream.lastId, entriesRead)
      touched(db, key, 'xgroup-create')
      reply.status('OK')
    },
  )
}

function setId(call: Call): void {
  const { args } = call
  let entriesRead = unknownRead
  if (args.length > 5) {
    if (option(args[5]) !== 'ENTRIESREAD' || args.length !== 7) throw syntaxError()
    entriesRead = entriesReadOf(args[6])
  }
  groupCommand((_, key, held, name) => setIdOf(call, key, held, name, entriesRead))(call)
}

function setIdOf(call: Call, key: string, held: HeldStream, name: string, entriesRead: number): void {
  const { args } = call
  const group = mustHave(held, key, name)
  const said = text(args[4])
  const id = said === '$' ? null : parseId(said)
  perform(
    call,
    held,
    () => held.stream.log.catchUp(),
    (reply) => {
      group.lastId = id ?? held.stream.lastId
      group.entriesRead = entriesRead
      held.stream.tellGroup(group)
      touched(call.db, key, 'xgroup-setid')
      reply.status('OK')
    },
  )
}

const destroy = groupCommand((call, key, { stream }, name) => {
  const destroyed = stream.destroyGroup(name)
  if (destroyed) {
    touched(call.db, key, 'xgroup-destroy')
    // Who waits on it must hear.
    call.db.ready(key)
  }
  call.reply.integer(destroyed ? 1 : 0)
})

const createConsumer = groupCommand((call, key, held, name) => {
  const group = mustHave(held, key, name)
  const consumer = text(call.args[4])
  const isNew = !group.consumers.has(consumer)
  if (isNew) {
    held.stream.consumer(group, consumer, call.now)
    touched(call.db, key, 'xgroup-createconsumer')
  }
  call.reply.integer(isNew ? 1 : 0)
})

const deleteConsumer = groupCommand((call, key, held, name) => {
  const group = mustHave(held, key, name)
  const consumer = group.consumers.get(text(call.args[4]))
  const { pending } = consumer ?? { pending: 0 }
  if (consumer !== undefined) {
    held.stream.removeConsumer(group, consumer)
    touched(call.db, key, 'xgroup-delconsumer')
  }
  call.reply.integer(pending)
})

const help = (call: Call): void => {
  const lines = [
    'XGROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:',
    'CREATE <key> <groupname> <id|$> [option]',
    'CREATECONSUMER <key> <groupname> <consumer>',
    'DELCONSUMER <key> <groupname> <consumer>',
    'DESTROY <key> <groupname>',
    'SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]',
    'HELP',
  ]
  call.reply.array(lines.length)
  for (const line of lines) call.reply.status(line)
}

// ------------------------------------------------------------------------------------------------------------------------ XACK

function acknowledge(call: Call): void {
  const { args, db } = call
  const key = text(args[1])
  const held = streamAt(call, key)
  const group = held?.stream.groups.get(text(args[2]))
  if (held === undefined || group === undefined) return call.reply.integer(0)
  const done = held.stream.acknowledge(group, idsOf(args.slice(3)))
  if (done > 0) db.touched(key)
  call.reply.integer(done)
}

// -------------------------------------------------------------------------------------------------------------------- XPENDING

function pendingEntries(call: Call): void {
  const { args, reply, now } = call
  const key = text(args[1])
  if (args.length === 3) return pendingSummary(call, groupAt(call, key, text(args[2])).group)
  const withIdle = option(args[3]) === 'IDLE'
  const at = withIdle ? 5 : 3
  if (args.length < at + 3 || args.length > at + 4) throw syntaxError()
  const idleMs = withIdle ? integer(args[4]) : 0
  const count = countOf(args[at + 2])
  const { start, end } = parseInterval(text(args[at]), text(args[at + 1]))
  const { group } = groupAt(call, key, text(args[2]))
  const name = args.length > at + 3 ? text(args[at + 3]) : null
  const found: Pending[] = []
  for (const pending of group.pending.from(start)) {
    if (found.length >= count || compareIds(pending.id, end) > 0) break
    if (name !== null && pending.consumer.name !== name) continue
    if (now - pending.deliveredAt >= idleMs) found.push(pending)
  }
  reply.array(found.length)
  for (const { id, consumer, deliveredAt, count: times } of found) {
    reply.array(4)
    reply.bulk(idText(id))
    reply.bulk(consumer.name)
    reply.integer(Math.max(0, now - deliveredAt))
    reply.integer(times)
  }
}

function pendingSummary({ reply }: Call, group: Group): void {
  const { pending } = group
  reply.array(4)
  reply.integer(pending.size)
  if (pending.size === 0) {
    reply.nil()
    reply.nil()
    return reply.nilArray()
  }
  reply.bulk(idText(pending.first ?? idMin))
  reply.bulk(idText(pending.last ?? idMin))
  const consumers = group.sortedConsumers.filter((consumer) => consumer.pending > 0)
  reply.array(consumers.length)
  for (const consumer of consumers) {
    reply.array(2)
    reply.bulk(consumer.name)
    reply.bulk(String(consumer.pending))
  }
}

// --------------------------------------------------------------------------------------------------------- XCLAIM, XAUTOCLAIM

interface Claim {
  readonly minIdleMs: number
  readonly deliveredAt: number
  /** -1: one more than before. */
  readonly count: number
  readonly force: boolean
  readonly justIds: boolean
}

function claimOptions({ args, now }: Call, from: number, minIdleMs: number): { claim: Claim; lastId: StreamId | null } {
  let deliveredAt = now
  let count = -1
  let force = false
  let justIds = false
  let lastId: StreamId | null = null
  for (let at = from; at < args.length; at++) {
    const word = option(args[at])
    const more = args.length - 1 - at
    if (word === 'FORCE') force = true
    else if (word === 'JUSTID') justIds = true
    else if (word === 'IDLE' && more > 0) deliveredAt = now - integer(args[++at], 'ERR Invalid IDLE option argument for XCLAIM')
    else if (word === 'TIME' && more > 0) deliveredAt = integer(args[++at], 'ERR Invalid TIME option argument for XCLAIM')
    else if (word === 'RETRYCOUNT' && more > 0) count = integer(args[++at], 'ERR Invalid RETRYCOUNT option argument for XCLAIM')
    else if (word === 'LASTID' && more > 0) lastId = parseId(text(args[++at]))
    else throw new RedisError(`ERR Unrecognized XCLAIM option '${text(args[at])}'`)
  }
  if (deliveredAt < 0 || deliveredAt > now) deliveredAt = now
  return { claim: { minIdleMs, deliveredAt, count: Math.max(-1, count), force, justIds }, lastId }
}

const isId = (arg: Buffer | undefined): boolean => /^\d{1,20}(-\d{1,20})?$/.test(text(arg))

function claim(call: Call): void {
  const { args, db, now } = call
  const key = text(args[1])
  const { held, group } = groupAt(call, key, text(args[2]))
  const minIdleMs = Math.max(0, integer(args[4], 'ERR Invalid min-idle-time argument for XCLAIM'))
  let next = 5
  while (next < args.length && isId(args[next])) next++
  const ids = idsOf(args.slice(5, next))
  const { claim: wanted, lastId } = claimOptions(call, next, minIdleMs)
  const { stream } = held
  const name = text(args[3])
  function* steps(): Steps<Entry[]> {
    yield* stream.log.catchUp()
    if (lastId !== null && compareIds(lastId, group.lastId) > 0) {
      group.lastId = lastId
      stream.tellGroup(group)
    }
    const { consumer } = stream.consumer(group, name, now)
    const claimed: Entry[] = []
    for (const id of ids) {
      const entry = yield* stream.log.find(id)
      if (claimOne(stream, group, consumer, id, entry, wanted, now) && entry !== null) claimed.push(entry)
    }
    return claimed
  }
  perform(call, held, steps, (reply, entries) => {
    db.touched(key)
    if (!wanted.justIds) return replyEntries(reply, entries)
    reply.array(entries.length)
    for (const { id } of entries) reply.bulk(idText(id))
  })
}

/** Whether it is claimed. One that is not in the stream any more is pending no longer. */
function claimOne(
  stream: Stream,
  group: Group,
  consumer: Consumer,
  id: StreamId,
  entry: Entry | null,
  { minIdleMs, deliveredAt, count, force, justIds }: Claim,
  now: number,
): boolean {
  const present = group.pending.find(id)
  if (entry === null) {
    if (present !== undefined) stream.acknowledge(group, [id])
    return false
  }
  if (present === undefined && !force) return false
  if (present !== undefined && now - present.deliveredAt < minIdleMs) return false
  const before = present?.count ?? (count < 0 && justIds ? 1 : 0)
  const times = count >= 0 ? count : justIds ? before : before + 1
  stream.give(group, id, consumer, deliveredAt, times)
  consumer.activeAt = now
  return true
}

/** Pending entries looked at for each that is wanted. */
const looksPerEntry = 10

function autoClaim(call: Call): void {
  const { args, db, now } = call
  const key = text(args[1])
  const minIdleMs = Math.max(0, integer(args[4], 'ERR Invalid min-idle-time argument for XAUTOCLAIM'))
  const { start } = parseInterval(text(args[5]), '+')
  let count = 100
  let justIds = false
  for (let at = 6; at < args.length; at++) {
    const word = option(args[at])
    if (word === 'COUNT' && at + 1 < args.length) {
      count = bounded(args[++at], 1, 'COUNT must be > 0')
    } else if (word === 'JUSTID') justIds = true
    else throw syntaxError()
  }
  const { held, group } = groupAt(call, key, text(args[2]))
  const { stream } = held
  const name = text(args[3])
  const wanted: Claim = { minIdleMs, deliveredAt: now, count: -1, force: false, justIds }
  function* steps(): Steps<{ cursor: StreamId; claimed: Entry[]; deleted: StreamId[] }> {
    yield* stream.log.catchUp()
    const { consumer } = stream.consumer(group, name, now)
    const claimed: Entry[] = []
    const deleted: StreamId[] = []
    let looks = count * looksPerEntry
    let cursor: StreamId | null = null
    for (const pending of [...firstOf(group, start, looks + 1)]) {
      if (looks-- <= 0 || claimed.length + deleted.length >= count) {
        cursor = pending.id
        break
      }
      const entry = yield* stream.log.find(pending.id)
      if (entry === null) deleted.push(pending.id)
      if (claimOne(stream, group, consumer, pending.id, entry, wanted, now) && entry !== null) claimed.push(entry)
    }
    return { cursor: cursor ?? idMin, claimed, deleted }
  }
  perform(call, held, steps, (reply, { cursor, claimed, deleted }) => {
    db.touched(key)
    reply.array(3)
    reply.bulk(idText(cursor))
    if (justIds) {
      reply.array(claimed.length)
      for (const { id } of claimed) reply.bulk(idText(id))
    } else replyEntries(reply, claimed)
    reply.array(deleted.length)
    for (const id of deleted) reply.bulk(idText(id))
  })
}

function* firstOf(group: Group, start: StreamId, count: number): IterableIterator<Pending> {
  let left = count
  for (const pending of group.pending.from(start)) {
    if (left-- <= 0) return
    yield pending
  }
}

// ------------------------------------------------------------------------------------------------------------ XACKDEL, XDELEX

type References = 'KEEPREF' | 'DELREF' | 'ACKED'

/** `[KEEPREF|DELREF|ACKED] IDS count id …` from `at` on. */
function deletion(args: readonly Buffer[], from: number): { references: References; ids: StreamId[] } {
  let references: References = 'KEEPREF'
  let at = from
  const word = option(args[at])
  if (word === 'KEEPREF' || word === 'DELREF' || word === 'ACKED') {
    references = word
    at++
  }
  if (option(args[at]) !== 'IDS') throw syntaxError()
  const count = integer(args[at + 1], 'ERR Number of IDs must be a positive integer')
  if (count < 1) throw new RedisError('ERR Number of IDs must be a positive integer')
  const ids = args.slice(at + 2)
  if (ids.length !== count) throw new RedisError('ERR The `numids` parameter must match the number of arguments')
  return { references, ids: idsOf(ids) }
}

/** -1: there is no such entry; 1: it went; 2: it stays, since groups have it still to acknowledge, or to read. */
function* deleteOne(stream: Stream, id: StreamId, references: References): Steps<number> {
  const entry = yield* stream.log.find(id)
  if (entry === null) return -1
  const groups = [...stream.groups.values()]
  if (references === 'ACKED' && groups.some((group) => compareIds(group.lastId, id) < 0 || group.pending.has(id))) return 2
  if (references === 'DELREF') for (const group of groups) stream.acknowledge(group, [id])
  stream.deleteEntries([entry])
  return 1
}

function replyOutcomes(call: Call, key: string, held: HeldStream, steps: () => Steps<number[]>): void {
  perform(call, held, steps, (reply, outcomes) => {
    if (outcomes.some((outcome) => outcome > 0)) touched(call.db, key, 'xdel')
    reply.array(outcomes.length)
    for (const outcome of outcomes) reply.integer(outcome)
  })
}

function deleteEntries(call: Call): void {
  const { args } = call
  const key = text(args[1])
  const { references, ids } = deletion(args, 2)
  const held = streamAt(call, key)
  const nothing = ids.map(() => -1)
  if (held === undefined) return replyAll(call, nothing)
  replyOutcomes(call, key, held, function* steps() {
    yield* held.stream.log.catchUp()
    const outcomes: number[] = []
    for (const id of ids) outcomes.push(yield* deleteOne(held.stream, id, references))
    return outcomes
  })
}

function acknowledgeAndDelete(call: Call): void {
  const { args } = call
  const key = text(args[1])
  const { references, ids } = deletion(args, 3)
  const held = streamAt(call, key)
  const group = held?.stream.groups.get(text(args[2]))
  if (held === undefined || group === undefined)
    return replyAll(
      call,
      ids.map(() => -1),
    )
  replyOutcomes(call, key, held, function* steps() {
    yield* held.stream.log.catchUp()
    const outcomes: number[] = []
    for (const id of ids) {
      if (held.stream.acknowledge(group, [id]) === 0) outcomes.push(-1)
      else {
        const outcome = yield* deleteOne(held.stream, id, references)
        outcomes.push(outcome === 2 ? 2 : 1)
      }
    }
    return outcomes
  })
}

function replyAll({ reply }: Call, outcomes: readonly number[]): void {
  reply.array(outcomes.length)
  for (const outcome of outcomes) reply.integer(outcome)
}

export const streamGroupCommands: readonly Command[] = [
  command('stream', 'xgroup|create', -5, 'write denyoom', [2, 2, 1], create),
  command('stream', 'xgroup|setid', -5, 'write', [2, 2, 1], setId),
  command('stream', 'xgroup|destroy', 4, 'write', [2, 2, 1], destroy),
  command('stream', 'xgroup|createconsumer', 5, 'write denyoom', [2, 2, 1], createConsumer),
  command('stream', 'xgroup|delconsumer', 5, 'write', [2, 2, 1], deleteConsumer),
  command('stream', 'xgroup|help', 2, '', null, help),
  command('stream', 'xack', -4, 'write fast', [1, 1, 1], acknowledge),
  command('stream', 'xpending', -3, 'readonly', [1, 1, 1], pendingEntries),
  command('stream', 'xclaim', -6, 'write fast', [1, 1, 1], claim),
  command('stream', 'xautoclaim', -6, 'write fast', [1, 1, 1], autoClaim),
  command('stream', 'xdelex', -5, 'write fast', [1, 1, 1], deleteEntries),
  command('stream', 'xackdel', -6, 'write fast', [1, 1, 1], acknowledgeAndDelete),
]
