/** The commands of lists that wait: each tries its keys in their order, and waits for all of them where none has anything. */

import type { Reply } from '../../lib/resp/reply.ts'
import { text, timeoutMs } from './arguments.ts'
import { type Call, type Command, command, type KeySpec, numberedKeys } from './command.ts'
import type { End } from './list.ts'
import { endOf, severalOf } from './list-arguments.ts'
import { listAt, moveBetween, popFrom, popped } from './list-commands.ts'
import { perform } from './list-run.ts'
import type { HeldList } from './lists.ts'

interface Wanted {
  readonly keys: readonly string[]
  readonly timeoutMs: number
  /** Takes from a list that has something. Should it turn out to have nothing, `nothing` is called. */
  take(call: Call, key: string, held: HeldList, nothing: (reply: Reply) => void): void
  nothing(reply: Reply): void
}

function takeOrWait(call: Call, wanted: Wanted): void {
  for (const key of wanted.keys) {
    const held = listAt(call, call.db, key)
    if (held !== undefined && takes(call, key, held, wanted)) return
  }
  call.block({
    keys: wanted.keys,
    timeoutMs: wanted.timeoutMs,
    serve: (served, key) => {
      // One that holds something else by now is passed over.
      if (served.db.get(key) !== undefined) return false
      const held = served.server.lists.find(served.db, key)
      return held !== undefined && held.list.length > 0 && takes(served, key, held, wanted)
    },
    timedOut: wanted.nothing,
  })
}

/** False when what was there has expired. That is known at once, but for what has to be read from the disk. */
function takes(call: Call, key: string, held: HeldList, wanted: Wanted): boolean {
  let empty = false
  wanted.take(call, key, held, (reply) => {
    if (reply === call.reply) empty = true
    else wanted.nothing(reply)
  })
  return !empty
}

const pop =
  (end: End) =>
  (call: Call): void => {
    const keys = call.args.slice(1, -1).map(text)
    takeOrWait(call, {
      keys,
      timeoutMs: timeoutMs(call.args.at(-1)),
      take: (taker, key, held, nothing) => {
        const replyWith = (reply: Reply, element: Buffer): void => {
          popped(taker, taker.db, key, held, end)
          reply.array(2)
          reply.bulk(key)
          reply.bulk(element)
        }
        const element = held.busy === null && held.list.isPrepared ? held.list.popOne(end) : undefined
        if (element === null) return nothing(taker.reply)
        if (element !== undefined) return replyWith(taker.reply, element)
        perform(
          taker,
          held,
          () => held.list.pop(end, 1),
          (reply, [first]) => (first === undefined ? nothing(reply) : replyWith(reply, first)),
        )
      },
      nothing: (reply) => reply.nilArray(),
    })
  }

const popSeveral = (call: Call): void => {
  const waitMs = timeoutMs(call.args[1])
  const { keys, end, count } = severalOf(call.args, 2)
  takeOrWait(call, {
    keys,
    timeoutMs: waitMs,
    take: (taker, key, held, nothing) => popFrom(taker, key, held, end, count, nothing),
    nothing: (reply) => reply.nilArray(),
  })
}

function move(call: Call, from: End, into: End): void {
  const to = text(call.args[2])
  const { atomic } = call
  takeOrWait(call, {
    keys: [text(call.args[1])],
    timeoutMs: timeoutMs(call.args.at(-1)),
    take: (taker, key, held, nothing) => moveBetween(taker, key, held, from, to, into, nothing),
    // Redis says it in two ways.
    nothing: (reply) => (atomic ? reply.nil() : reply.nilArray()),
  })
}

const allButLast: KeySpec = [1, -2, 1]

export const blockingListCommands: readonly Command[] = [
  command('list', 'blpop', -3, 'write blocking', allButLast, pop('left')),
  command('list', 'brpop', -3, 'write blocking', allButLast, pop('right')),
  command('list', 'blmove', 6, 'write denyoom blocking', [1, 2, 1], (call) => {
    const from = endOf(call.args[3])
    move(call, from, endOf(call.args[4]))
  }),
  command('list', 'brpoplpush', 4, 'write denyoom blocking', [1, 2, 1], (call) => move(call, 'right', 'left')),
  command('list', 'blmpop', -5, 'write blocking', numberedKeys(2), popSeveral),
]
