/** XREAD and XREADGROUP: entries behind an id, of several streams at once, waiting for them where there are none. */

import type { Reply } from '../../lib/resp/reply.ts'
import { integer, option } from './arguments.ts'
import { type Call, type Command, command } from './command.ts'
import { RedisError, syntaxError, wrongType } from './errors.ts'
import type { Steps } from './list.ts'
import { perform } from './list-run.ts'
import type { Stream } from './stream.ts'
import { countOf, noGroup, replyEntries, replyEntry, streamAt, touched } from './stream-arguments.ts'
import type { Group } from './stream-group.ts'
import { idMax, idMin, idText, nextId, parseId, previousId, type StreamId } from './stream-id.ts'
import type { Entry } from './stream-log.ts'
import type { HeldStream } from './streams.ts'

interface Wanted {
  readonly key: string
  /** Entries behind this id; `new`: those that the group has not had. */
  readonly after: StreamId | 'new'
}

interface Request {
  readonly wanted: readonly Wanted[]
  /** 0: all. */
  readonly count: number
  /** -1: does not wait. */
  readonly blockMs: number
  readonly group: {
    readonly name: string
    readonly consumer: string
    readonly noAck: boolean
    readonly claimIdleMs: number
  } | null
}

const groupNeeded = 'option is only supported by XREADGROUP. You called XREAD instead.'
const dollarInGroup =
  'ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set.'
const newWithoutGroup = 'ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.'

/** What XREADGROUP with CLAIM says of an entry beside what is in it. */
interface Claimed {
  readonly entry: Pick<Entry, 'id' | 'pairs'>
  readonly idleMs: number
  readonly count: number
}

type Found =
  | { readonly key: string; readonly entries: readonly Entry[] }
  | { readonly key: string; readonly history: readonly { readonly id: StreamId; readonly entry: Entry | null }[] }
  | { readonly key: string; readonly claimed: readonly Claimed[] }

interface Options {
  count: number
  blockMs: number
  group: string | null
  consumer: string
  noAck: boolean
  claimIdleMs: number
  streamsAt: number
}

function optionsOf({ request: args }: Call, forGroup: boolean): Options {
  const options: Options = { count: 0, blockMs: -1, group: null, consumer: '', noAck: false, claimIdleMs: -1, streamsAt: 0 }
  for (let at = 1; at < args.length && options.streamsAt === 0; at++) {
    const word = args.upper(at)
    const more = args.length - 1 - at
    if (word === 'BLOCK' && more > 0) {
      options.blockMs = integer(args.text(++at), 'ERR timeout is not an integer or out of range')
      if (options.blockMs < 0) throw new RedisError('ERR timeout is negative')
    } else if (word === 'COUNT' && more > 0) options.count = countOf(args.text(++at))
    else if (word === 'STREAMS' && more > 0) options.streamsAt = at + 1
    else if (word === 'GROUP' && more > 1) {
      if (!forGroup) throw new RedisError(`ERR The GROUP ${groupNeeded}`)
      options.group = args.text(++at)
      options.consumer = args.text(++at)
    } else if (word === 'NOACK') {
      if (!forGroup) throw new RedisError(`ERR The NOACK ${groupNeeded}`)
      options.noAck = true
    } else if (word === 'CLAIM' && more > 0 && forGroup) {
      options.claimIdleMs = integer(args.text(++at))
      if (options.claimIdleMs < 0) throw new RedisError('ERR min-idle-time must be >= 0')
    } else throw syntaxError()
  }
  if (options.streamsAt === 0) throw syntaxError()
  return options
}

function parse(call: Call, forGroup: boolean): Request {
  const { request: args } = call
  const { count, blockMs, group, consumer, noAck, claimIdleMs, streamsAt } = optionsOf(call, forGroup)
  const named = args.length - streamsAt
  if (named % 2 !== 0)
    throw new RedisError(
      `ERR Unbalanced '${forGroup ? 'xreadgroup' : 'xread'}' list of streams: for each stream key an ID or '${forGroup ? '>' : '$'}' must be specified.`,
    )
  if (forGroup && group === null) throw new RedisError('ERR Missing GROUP option for XREADGROUP')
  const streams = named / 2
  const wanted: Wanted[] = []
  for (let at = streamsAt; at < streamsAt + streams; at++) {
    const key = args.text(at)
    wanted.push({ key, after: behind(call, key, args.text(at + streams), group) })
  }
  return { wanted, count, blockMs, group: group === null ? null : { name: group, consumer, noAck, claimIdleMs } }
}

function behind(call: Call, key: string, said: string, group: string | null): StreamId | 'new' {
  const held = streamAt(call, key)
  if (group !== null && held?.stream.groups.has(group) !== true) throw noGroup(key, group, ' in XREADGROUP with GROUP option')
  if (said === '$') {
    if (group !== null) throw new RedisError(dollarInGroup)
    return held === undefined ? idMin : lastKnown(held)
  }
  if (said === '+' && group === null) return held === undefined ? idMin : (previousId(lastKnown(held)) ?? idMin)
  if (said === '>') {
    if (group === null) throw new RedisError(newWithoutGroup)
    return 'new'
  }
  return parseId(said)
}

/** Of a stream whose newest entries stand in memory, as they do. */
function lastKnown({ stream }: HeldStream): StreamId {
  for (const catching = stream.log.catchUp(); ; ) {
    const step = catching.next()
    if (step.done === true) return stream.lastId
    throw new RedisError('LOADING the stream is being read from the disk; try again')
  }
}

// --------------------------------------------------------------------------------------------------------------------- reading

const read =
  (forGroup: boolean) =>
  (call: Call): void => {
    const request = parse(call, forGroup)
    const now = call.now
    const firstHeld = firstOf(call, request)
    if (firstHeld === undefined) return wait(call, request)
    perform(
      call,
      firstHeld,
      () => gather(call, request, now),
      (reply, found) => {
        if (found.length > 0) return answer(reply, found)
        if (reply === call.reply) return wait(call, request)
        reply.nilArray()
      },
    )
  }

/** The first of its streams that is there. */
function firstOf({ db, server }: Call, { wanted }: Request): HeldStream | undefined {
  for (const { key } of wanted) {
    const held = server.streams.find(db, key)
    if (held !== undefined) return held
  }
  return undefined
}

function wait(call: Call, request: Request): void {
  if (request.blockMs < 0 || request.wanted.some(({ after }) => request.group !== null && after !== 'new'))
    return call.reply.nilArray()
  call.block({
    keys: request.wanted.map(({ key }) => key),
    timeoutMs: request.blockMs,
    serve: (served, key) => serve(served, key, request),
    timedOut: (reply) => reply.nilArray(),
  })
}

function serve(call: Call, key: string, request: Request): boolean {
  const type = call.db.typeOf(key)
  if (type !== undefined && type !== 'stream') {
    if (request.group === null) return false
    throw wrongType()
  }
  const held = call.server.streams.find(call.db, key)
  if (request.group !== null) {
    if (held === undefined) throw new RedisError('UNBLOCKED the stream key no longer exists')
    if (!held.stream.groups.has(request.group.name))
      throw new RedisError('NOGROUP the consumer group this client was blocked on no longer exists')
  }
  if (held === undefined) return false
  let served = true
  perform(
    call,
    held,
    () => gather(call, request, call.now),
    (reply, found) => {
      if (found.length > 0) answer(reply, found)
      else if (reply === call.reply) served = false
      else reply.nilArray()
    },
  )
  return served
}

function* gather(call: Call, request: Request, now: number): Steps<Found[]> {
  const found: Found[] = []
  for (const { key, after } of request.wanted) {
    const held = call.server.streams.find(call.db, key)
    if (held === undefined) continue
    const { stream } = held
    if (request.group !== null) {
      const group = stream.groups.get(request.group.name)
      if (group !== undefined) yield* gatherOfGroup(call, request, request.group, now, key, stream, group, after, found)
    } else if (after !== 'new') {
      const start = nextId(after)
      const entries = start === null ? [] : yield* stream.log.range(start, idMax, request.count)
      if (entries.length > 0) found.push({ key, entries })
    }
  }
  return found
}

function* gatherOfGroup(
  call: Call,
  { count }: Request,
  { consumer: name, noAck, claimIdleMs }: NonNullable<Request['group']>,
  now: number,
  key: string,
  stream: Stream,
  group: Group,
  after: StreamId | 'new',
  found: Found[],
): Steps<void> {
  const { consumer, isNew } = stream.consumer(group, name, now)
  if (isNew) touched(call.db, key, 'xgroup-createconsumer')
  if (after !== 'new') {
    found.push({ key, history: yield* history(stream, group, name, after, count, now) })
    return
  }
  const claimed: Claimed[] = []
  if (claimIdleMs >= 0) {
    for (const pending of group.pending.from(idMin)) {
      if (count > 0 && claimed.length >= count) break
      const idleMs = now - pending.deliveredAt
      if (idleMs < claimIdleMs) continue
      const entry = yield* stream.log.find(pending.id)
      if (entry === null) {
        stream.acknowledge(group, [pending.id])
        continue
      }
      claimed.push({ entry, idleMs, count: pending.count })
      consumer.activeAt = now
      stream.give(group, pending.id, consumer, now, pending.count + 1)
    }
  }
  const left = count > 0 ? count - claimed.length : 0
  const entries = count > 0 && left === 0 ? [] : yield* stream.deliver(group, consumer, left, noAck, now)
  if (entries.length > 0 || claimed.length > 0) call.db.touched(key)
  if (claimIdleMs >= 0) {
    for (const entry of entries) claimed.push({ entry, idleMs: 0, count: 0 })
    if (claimed.length > 0) found.push({ key, claimed })
  } else if (entries.length > 0) found.push({ key, entries })
}

/** What a consumer has in hand already. It counts as delivered again. */
function* history(
  stream: Stream,
  group: Group,
  consumer: string,
  after: StreamId,
  count: number,
  now: number,
): Steps<{ id: StreamId; entry: Entry | null }[]> {
  yield* stream.log.catchUp()
  const start = nextId(after)
  const found: { id: StreamId; entry: Entry | null }[] = []
  for (const pending of start === null ? [] : group.pending.from(start)) {
    if (pending.consumer.name !== consumer) continue
    const entry = yield* stream.log.find(pending.id)
    found.push({ id: pending.id, entry })
    if (entry !== null) stream.give(group, pending.id, pending.consumer, now, pending.count + 1)
    if (found.length === count) break
  }
  return found
}

// --------------------------------------------------------------------------------------------------------------------- replies

function answer(reply: Reply, found: readonly Found[]): void {
  if (reply.protocol === 2) reply.array(found.length)
  else reply.map(found.length)
  for (const each of found) {
    if (reply.protocol === 2) reply.array(2)
    reply.bulk(each.key)
    if ('entries' in each) replyEntries(reply, each.entries)
    else if ('claimed' in each) replyClaimed(reply, each.claimed)
    else {
      reply.array(each.history.length)
      for (const { id, entry } of each.history) {
        if (entry !== null) {
          replyEntry(reply, entry)
          continue
        }
        reply.array(2)
        reply.bulk(idText(id))
        reply.nilArray()
      }
    }
  }
}

function replyClaimed(reply: Reply, claimed: readonly Claimed[]): void {
  reply.array(claimed.length)
  for (const { entry, idleMs, count } of claimed) {
    reply.array(4)
    reply.bulk(idText(entry.id))
    reply.array(entry.pairs.length)
    for (const part of entry.pairs) reply.bulk(part)
    reply.integer(idleMs)
    reply.integer(count)
  }
}

/** Keys stand in the first half behind STREAMS. */
function streamKeys(args: readonly Buffer[]): readonly number[] {
  const at = args.findIndex((arg, index) => index > 0 && option(arg) === 'STREAMS')
  if (at < 0 || (args.length - at - 1) % 2 !== 0) return []
  return Array.from({ length: (args.length - at - 1) / 2 }, (_, index) => at + 1 + index)
}

export const streamReadCommands: readonly Command[] = [
  command('stream', 'xread', -4, 'readonly blocking', streamKeys, read(false)),
  command('stream', 'xreadgroup', -7, 'write blocking', streamKeys, read(true)),
]
