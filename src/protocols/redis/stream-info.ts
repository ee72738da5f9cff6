/** XINFO. */

import type { Reply } from '../../lib/resp/reply.ts'
import { option, text } from './arguments.ts'
import { type Call, type Command, command } from './command.ts'
import { RedisError, syntaxError, words } from './errors.ts'
import type { Steps } from './list.ts'
import { perform } from './list-run.ts'
import { countOf, replyEntries, replyEntry, streamAt } from './stream-arguments.ts'
import type { Group } from './stream-group.ts'
import { idMax, idMin, idText } from './stream-id.ts'
import type { Entry } from './stream-log.ts'
import type { Consumer } from './stream-pending.ts'
import type { HeldStream } from './streams.ts'

/** Redis keeps so many entries in one node of its tree; there is no tree here, but tools show the number. */
const nodeEntries = 100

function mustExist(call: Call): HeldStream {
  const held = streamAt(call, text(call.args[2]))
  if (held === undefined) throw new RedisError(words.noSuchKey)
  return held
}

function replyHead(reply: Reply, { stream }: HeldStream, first: Entry | null): void {
  const nodes = Math.ceil(stream.length / nodeEntries)
  reply.bulk('length')
  reply.integer(stream.length)
  reply.bulk('radix-tree-keys')
  reply.integer(nodes)
  reply.bulk('radix-tree-nodes')
  reply.integer(nodes + 1)
  reply.bulk('last-generated-id')
  reply.bulk(idText(stream.lastId))
  reply.bulk('max-deleted-entry-id')
  reply.bulk(idText(stream.maxDeletedId))
  reply.bulk('entries-added')
  reply.integer(stream.entriesAdded)
  reply.bulk('recorded-first-entry-id')
  reply.bulk(idText(first?.id ?? idMin))
}

function stream(call: Call): void {
  const { args } = call
  const held = mustExist(call)
  if (args.length > 3) return full(call, held)
  const { log } = held.stream
  function* steps(): Steps<[Entry | null, Entry | null]> {
    const first = yield* log.first()
    return [first, yield* log.newest()]
  }
  perform(call, held, steps, (reply, [first, last]) => {
    reply.map(10)
    replyHead(reply, held, first)
    reply.bulk('groups')
    reply.integer(held.stream.groups.size)
    for (const [name, entry] of [
      ['first-entry', first],
      ['last-entry', last],
    ] as const) {
      reply.bulk(name)
      if (entry === null) reply.nil()
      else replyEntry(reply, entry)
    }
  })
}

function full(call: Call, held: HeldStream): void {
  const { args } = call
  if (option(args[3]) !== 'FULL') throw syntaxError()
  let count = 10
  if (args.length > 4) {
    if (option(args[4]) !== 'COUNT' || args.length !== 6) throw syntaxError()
    count = countOf(args[5])
  }
  const { log, groups } = held.stream
  interface Found {
    readonly first: Entry | null
    readonly entries: Entry[]
    readonly lags: (number | null)[]
  }
  function* steps(): Steps<Found> {
    const first = yield* log.first()
    const entries = yield* log.range(idMin, idMax, count)
    return { first, entries, lags: yield* lagsOf(held) }
  }
  perform(call, held, steps, (reply, { first, entries, lags }) => {
    reply.map(9)
    replyHead(reply, held, first)
    reply.bulk('entries')
    replyEntries(reply, entries)
    reply.bulk('groups')
    reply.array(groups.size)
    for (const [index, group] of sorted(held).entries()) replyFullGroup(reply, group, lags[index] ?? null, count)
  })
}

const sorted = ({ stream: { groups } }: HeldStream): Group[] => [...groups.values()].sort((a, b) => (a.name < b.name ? -1 : 1))

function* lagsOf(held: HeldStream): Steps<(number | null)[]> {
  const lags: (number | null)[] = []
  for (const group of sorted(held)) lags.push(yield* held.stream.lag(group))
  return lags
}

function replyRead(reply: Reply, { entriesRead }: Group, lag: number | null): void {
  reply.bulk('entries-read')
  if (entriesRead < 0) reply.nil()
  else reply.integer(entriesRead)
  reply.bulk('lag')
  if (lag === null) reply.nil()
  else reply.integer(lag)
}

function replyFullGroup(reply: Reply, group: Group, lag: number | null, count: number): void {
  const most = count === 0 ? Infinity : count
  const pending = [...group.pending.from(idMin)]
  reply.map(7)
  reply.bulk('name')
  reply.bulk(group.name)
  reply.bulk('last-delivered-id')
  reply.bulk(idText(group.lastId))
  replyRead(reply, group, lag)
  reply.bulk('pel-count')
  reply.integer(pending.length)
  reply.bulk('pending')
  const shown = pending.slice(0, most)
  reply.array(shown.length)
  for (const { id, consumer, deliveredAt, count: times } of shown) {
    reply.array(4)
    reply.bulk(idText(id))
    reply.bulk(consumer.name)
    reply.integer(deliveredAt)
    reply.integer(times)
  }
  reply.bulk('consumers')
  reply.array(group.consumers.size)
  for (const consumer of group.sortedConsumers) {
    reply.map(5)
    reply.bulk('name')
    reply.bulk(consumer.name)
    reply.bulk('seen-time')
    reply.integer(consumer.seenAt)
    reply.bulk('active-time')
    reply.integer(consumer.activeAt)
    reply.bulk('pel-count')
    reply.integer(consumer.pending)
    reply.bulk('pending')
    const own = pending.filter((each) => each.consumer === consumer).slice(0, most)
    reply.array(own.length)
    for (const { id, deliveredAt, count: times } of own) {
      reply.array(3)
      reply.bulk(idText(id))
      reply.integer(deliveredAt)
      reply.integer(times)
    }
  }
}

function groups(call: Call): void {
  const held = mustExist(call)
  perform(
    call,
    held,
    () => lagsOf(held),
    (reply, lags) => {
      reply.array(lags.length)
      for (const [index, group] of sorted(held).entries()) {
        reply.map(6)
        reply.bulk('name')
        reply.bulk(group.name)
        reply.bulk('consumers')
        reply.integer(group.consumers.size)
        reply.bulk('pending')
        reply.integer(group.pending.size)
        reply.bulk('last-delivered-id')
        reply.bulk(idText(group.lastId))
        replyRead(reply, group, lags[index] ?? null)
      }
    },
  )
}

function consumers(call: Call): void {
  const { reply, now } = call
  const held = mustExist(call)
  const name = text(call.args[3])
  const group = held.stream.groups.get(name)
  if (group === undefined) throw new RedisError(`NOGROUP No such consumer group '${name}' for key name '${text(call.args[2])}'`)
  reply.array(group.consumers.size)
  for (const consumer of group.sortedConsumers) replyConsumer(reply, consumer, now)
}

function replyConsumer(reply: Reply, { name, pending, seenAt, activeAt }: Consumer, now: number): void {
  reply.map(4)
  reply.bulk('name')
  reply.bulk(name)
  reply.bulk('pending')
  reply.integer(pending)
  reply.bulk('idle')
  reply.integer(Math.max(0, now - seenAt))
  reply.bulk('inactive')
  reply.integer(activeAt < 0 ? -1 : Math.max(0, now - activeAt))
}

const help = (call: Call): void => {
  const lines = [
    'XINFO <subcommand> [<arg> [value] [opt] ...]. Subcommands are:',
    'CONSUMERS <key> <groupname>',
    'GROUPS <key>',
    'STREAM <key> [FULL [COUNT <count>]',
    'HELP',
  ]
  call.reply.array(lines.length)
  for (const line of lines) call.reply.status(line)
}

export const streamInfoCommands: readonly Command[] = [
  command('stream', 'xinfo|stream', -3, 'readonly', [2, 2, 1], stream),
  command('stream', 'xinfo|groups', 3, 'readonly', [2, 2, 1], groups),
  command('stream', 'xinfo|consumers', 4, 'readonly', [2, 2, 1], consumers),
  command('stream', 'xinfo|help', 2, '', null, help),
]
