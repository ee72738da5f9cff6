/** What is done with queues: GETJOB, QLEN, QPEEK, QSTAT, PAUSE. */
import type { Buffer } from 'node:buffer'
import { integer, option, parseInteger, queueName, timeoutMs } from '../arguments.ts'
import { type Call, type Command, command } from '../command.ts'
import { Refusal, words } from '../errors.ts'
import { bodyOf } from '../job.ts'
import { writeFetched } from '../job-reply.ts'
import type { Fetched, Queue } from '../queue.ts'

/** One reply is not made much larger: who asked for more asks again. */
const replyBytesMax = 16 * 1024 * 1024

interface Wanted {
  readonly labels: readonly Buffer[]
  readonly count: number
  readonly isPatient: boolean
  /** 0 waits for ever. */
  readonly timeoutMs: number
  readonly withCounters: boolean
}

function readWanted(args: readonly Buffer[]): Wanted {
  let [count, isPatient, timeout, withCounters] = [1, true, 0, false]
  for (let at = 1; at < args.length; at++) {
    const name = option(args[at])
    const isLast = at === args.length - 1
    if (name === 'nohang') isPatient = false
    else if (name === 'withcounters') withCounters = true
    else if (name === 'timeout' && !isLast) timeout = timeoutMs(args[++at])
    else if (name === 'count' && !isLast) {
      count = parseInteger(args[++at]) ?? 0
      if (count <= 0) throw new Refusal('ERR COUNT must be a number greater than zero')
    } else if (name === 'from' && !isLast) {
      return { labels: args.slice(at + 1), count, isPatient, timeoutMs: timeout, withCounters }
    } else break
  }
  throw new Refusal(words.syntax)
}

function getJob(call: Call): void {
  const { args, server, client } = call
  const wanted = readWanted(args)
  // Arguments are views: what is needed after a wait is kept.
  const queues = wanted.labels.map((label) => {
    call.check('consume', queueName(label))
    return wanted.isPatient ? server.queue(label) : server.find(label)
  })
  const fetched: Fetched[] = []
  let bytes = 0
  let at = 0
  let before = 0
  goOn()

  /** Round and round, one job of each queue, until there are enough or a round brings none. */
  function goOn(): void {
    for (;;) {
      for (; at < queues.length; at++) {
        const queue = queues[at]
        if (queue === undefined || queue.pausedOut) continue
        if (server.isFull) return finish()
        const next = queue.fetch()
        if (next === undefined) return load(queue)
        if (next === null) continue
        fetched.push(next)
        bytes += next.body.length
        if (fetched.length === wanted.count || bytes > replyBytesMax) return finish()
      }
      if (fetched.length === before) return finish()
      at = 0
      before = fetched.length
    }
  }

  function load(queue: Queue): void {
    call.wait((then) =>
      queue.load((error) =>
        then(() => {
          // What was fetched already must be told.
          if (error === null) goOn()
          else if (fetched.length === 0) throw error
          else finish()
        }),
      ),
    )
  }

  function finish(): void {
    const { reply } = call
    if (fetched.length > 0) {
      reply.array(fetched.length)
      for (const each of fetched) writeFetched(reply, each, wanted.withCounters)
      return call.durably()
    }
    if (server.isFull) throw new Refusal(words.memory)
    if (!wanted.isPatient) return reply.nilArray()
    if (server.leaving) throw new Refusal(words.leaving)
    client.block(new Set(queues as Queue[]), wanted.timeoutMs, wanted.withCounters) // who is patient has them made
  }
}

function queueLength(call: Call): void {
  const queue = queueOf(call)
  call.reply.integer(queue?.length ?? 0)
}

/** The queue that is the first argument, if anybody has heard of it. */
function queueOf(call: Call): Queue | undefined {
  const label = call.args[1] as Buffer // by the commands' arity
  call.check('consume', queueName(label))
  return call.server.find(label)
}

function peek(call: Call): void {
  const count = integer(call.args[2])
  const queue = queueOf(call)
  const records = queue?.records ?? null
  const found: Fetched[] = []
  const isBackwards = count < 0
  const most = Math.abs(count)
  let bytes = 0
  let place = records === null || most === 0 ? -1 : isBackwards ? records.last() : records.first()
  goOn()

  function goOn(): void {
    while (place >= 0 && queue !== undefined && records !== null && found.length < most && bytes < replyBytesMax) {
      const record = records.get(place)
      if (record === undefined) {
        return call.wait((then) =>
          records.load(place, (error) =>
            then(() => {
              if (error !== null) throw error
              goOn()
            }),
          ),
        )
      }
      if (record !== null) {
        const body = bodyOf(record)
        found.push({ job: queue.queuedAt(place, record), body })
        bytes += body.length
      }
      place = isBackwards ? records.before(place) : records.after(place)
    }
    call.reply.array(found.length)
    for (const each of found) writeFetched(call.reply, each, false)
    if (found.length > 0) call.durably()
  }
}

function statistics(call: Call): void {
  const { reply } = call
  const queue = queueOf(call)
  if (queue === undefined) return reply.nilArray()
  const now = call.server.broker.clock.now()
  const seconds = (since: number): number => Math.max(0, Math.floor((now - since) / 1000))
  reply.array(20)
  reply.bulk('name')
  reply.bulk(queue.label)
  reply.bulk('len')
  reply.integer(queue.length)
  reply.bulk('age')
  reply.integer(seconds(queue.topic?.createdAt ?? queue.createdAt))
  reply.bulk('idle')
  reply.integer(seconds(queue.usedAt))
  reply.bulk('blocked')
  reply.integer(queue.waiting.size)
  reply.bulk('import-from')
  reply.array(0)
  reply.bulk('import-rate')
  reply.integer(0)
  reply.bulk('jobs-in')
  reply.integer((call.server.space.status(queue.name)?.recordsIn ?? 0) + queue.requeued)
  reply.bulk('jobs-out')
  reply.integer(queue.jobsOut)
  reply.bulk('pause')
  reply.bulk(pauseState(queue))
}

const pauseState = (queue: Queue | undefined): string => {
  if (queue?.pausedIn === true) return queue.pausedOut ? 'all' : 'in'
  return queue?.pausedOut === true ? 'out' : 'none'
}

function pause(call: Call): void {
  const { args, reply } = call
  let [isIn, isOut, isChange] = [false, false, false]
  for (const arg of args.slice(2)) {
    const name = option(arg)
    if (name === 'none') [isIn, isOut] = [false, false]
    if (name === 'in' || name === 'all') isIn = true
    if (name === 'out' || name === 'all') isOut = true
    if (['none', 'in', 'out', 'all'].includes(name)) isChange = true
    // There are no other nodes to tell.
    else if (name !== 'state' && name !== 'bcast') throw new Refusal(words.syntax)
  }
  let queue = queueOf(call)
  if (isChange) call.check('publish', queueName(args[1]))
  if (isChange && (isIn || isOut)) queue ??= call.server.queue(args[1] as Buffer)
  if (isChange && queue !== undefined) {
    queue.pausedIn = isIn
    queue.pausedOut = isOut
    if (!isOut) queue.wake()
  }
  reply.status(pauseState(queue))
}

export const queueCommands: readonly Command[] = [
  command('getjob', -2, 'write fast', getJob),
  command('qlen', 2, 'readonly fast', queueLength),
  command('qpeek', 3, 'readonly', peek),
  command('qstat', 2, 'readonly fast', statistics),
  command('pause', -3, 'readonly fast', pause),
]
