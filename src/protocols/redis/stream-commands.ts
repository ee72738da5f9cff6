/** The commands of streams that know no groups. */
import { Buffer } from 'node:buffer'
import { integer, option, text } from './arguments.ts'
import { type Call, type Command, command } from './command.ts'
import type { Database } from './database.ts'
import { RedisError, syntaxError, words, wrongArguments } from './errors.ts'
import type { Steps } from './list.ts'
import { perform } from './list-run.ts'
import type { Trimming, WantedId } from './stream.ts'
import { countOf, idsOf, replyEntries, streamAt, type TrimOptions, touched, trimOptions, wantedId } from './stream-arguments.ts'
import { compareIds, idText, parseId, parseInterval, type StreamId } from './stream-id.ts'
import type { HeldStream } from './streams.ts'

const noOptions: TrimOptions = { trimming: null, onlyPresent: false, next: 2 }

function add(call: Call): void {
  const { request, db } = call
  const { trimming, onlyPresent, next } = request.text(2) === '*' ? noOptions : trimOptions(call.args, 2, true)
  const wanted = wantedId(request.text(next))
  const parts = request.length - next - 1
  if (parts < 2 || parts % 2 !== 0) throw wrongArguments('xadd')
  if (wanted.ms === 0 && wanted.seq === 0) throw new RedisError('ERR The ID specified in XADD must be greater than 0-0')
  const key = request.text(1)
  const present = streamAt(call, key)
  if (present === undefined && onlyPresent) return call.reply.nil()
  const held = present ?? call.server.streams.open(db, key)
  const { stream } = held
  if (trimming !== null || held.busy !== null || !stream.log.isKnown) return addLater(call, key, held, wanted, next, trimming)
  const id = stream.addRequested(wanted, request, next + 1, call.now)
  added(db, key)
  call.reply.bulk(idText(id))
}

function added(db: Database, key: string): void {
  touched(db, key, 'xadd')
  db.ready(key)
}

/** Apart from {@link add}, which is to make no closures. */
function addLater(call: Call, key: string, held: HeldStream, wanted: WantedId, next: number, trimming: Trimming | null): void {
  const { db, now } = call
  const { stream } = held
  const pairs = call.args.slice(next + 1).map((part) => Buffer.from(part))
  function* steps(): Steps<StreamId> {
    yield* stream.log.catchUp()
    const id = stream.add(wanted, pairs, now)
    added(db, key)
    if (trimming !== null && (yield* stream.trim(trimming)) > 0) touched(db, key, 'xtrim')
    return id
  }
  perform(call, held, steps, (reply, id) => reply.bulk(idText(id)))
}

const length = (call: Call): void => call.reply.integer(streamAt(call, text(call.args[1]))?.stream.length ?? 0)

const range =
  (backwards: boolean) =>
  (call: Call): void => {
    const { args, reply } = call
    const [startAt, endAt] = backwards ? [3, 2] : [2, 3]
    const { start, end } = parseInterval(text(args[startAt]), text(args[endAt]))
    let count = -1
    for (let at = 4; at < args.length; at += 2) {
      if (option(args[at]) !== 'COUNT' || at + 1 >= args.length) throw syntaxError()
      count = countOf(args[at + 1])
    }
    const held = streamAt(call, text(args[1]))
    if (held === undefined) return reply.array(0)
    if (count === 0) return reply.nilArray()
    const { log } = held.stream
    const most = Math.max(0, count)
    perform(call, held, () => (backwards ? log.rangeBack(start, end, most) : log.range(start, end, most)), replyEntries)
  }

function remove(call: Call): void {
  const { args, db } = call
  const key = text(args[1])
  const held = streamAt(call, key)
  if (held === undefined) return call.reply.integer(0)
  const ids = idsOf(args.slice(2))
  perform(
    call,
    held,
    () => held.stream.delete(ids),
    (reply, deleted) => {
      if (deleted > 0) touched(db, key, 'xdel')
      reply.integer(deleted)
    },
  )
}

function trim(call: Call): void {
  const { args, db } = call
  const key = text(args[1])
  const { trimming } = trimOptions(args, 2, false)
  const held = streamAt(call, key)
  if (held === undefined || trimming === null) return call.reply.integer(0)
  perform(
    call,
    held,
    () => held.stream.trim(trimming),
    (reply, gone) => {
      if (gone > 0) touched(db, key, 'xtrim')
      reply.integer(gone)
    },
  )
}

function setId(call: Call): void {
  const { args, db } = call
  const key = text(args[1])
  const id = parseId(text(args[2]))
  let added: number | null = null
  let maxDeleted: StreamId | null = null
  for (let at = 3; at < args.length; at += 2) {
    const word = option(args[at])
    if (at + 1 >= args.length) throw syntaxError()
    if (word === 'ENTRIESADDED') {
      added = integer(args[at + 1])
      if (added < 0) throw new RedisError('ERR entries_added must be positive')
    } else if (word === 'MAXDELETEDID') {
      maxDeleted = parseId(text(args[at + 1]))
      if (compareIds(id, maxDeleted) < 0)
        throw new RedisError('ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id')
    } else throw syntaxError()
  }
  const held = streamAt(call, key)
  if (held === undefined) throw new RedisError(words.noSuchKey)
  const { stream } = held
  function* steps(): Steps<void> {
    const newest = yield* stream.log.newest()
    if (newest !== null && compareIds(id, newest.id) < 0)
      throw new RedisError('ERR The ID specified in XSETID is smaller than the target stream top item')
    if (newest !== null && added !== null && added < stream.length)
      throw new RedisError('ERR The entries_added specified in XSETID is smaller than the target stream length')
    stream.setId(id, added, maxDeleted)
  }
  perform(call, held, steps, (reply) => {
    touched(db, key, 'xsetid')
    reply.status('OK')
  })
}

export const streamCommands: readonly Command[] = [
  command('stream', 'xadd', -5, 'write denyoom fast', [1, 1, 1], add),
  command('stream', 'xlen', 2, 'readonly fast', [1, 1, 1], length),
  command('stream', 'xrange', -4, 'readonly', [1, 1, 1], range(false)),
  command('stream', 'xrevrange', -4, 'readonly', [1, 1, 1], range(true)),
  command('stream', 'xdel', -3, 'write fast', [1, 1, 1], remove),
  command('stream', 'xtrim', -4, 'write', [1, 1, 1], trim),
  command('stream', 'xsetid', -3, 'write denyoom fast', [1, 1, 1], setId),
]
