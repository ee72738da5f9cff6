/** QSCAN and JSCAN: all queues, all jobs, some at a time. A cursor is the number of a place that the server remembers for a while. */
import type { Buffer } from 'node:buffer'
import { integer, option, queueName, text } from '../arguments.ts'
import { type Call, type Command, command } from '../command.ts'
import { Refusal, words } from '../errors.ts'
import type { Job, State } from '../job.ts'
import { withBody, writeJob } from '../job-reply.ts'
import type { Queue } from '../queue.ts'
import { namespace, type ScanPosition } from '../server.ts'

const countDefault = 100
/** With BUSYLOOP too: the rest is for the next cursor. */
const foundMax = 100_000
const bytesMax = 16 * 1024 * 1024
/** Looked at in one call, for each that was asked for. */
const looksForOne = 10

interface Scan {
  count: number
  isBusy: boolean
  /** null: from the beginning. */
  from: ScanPosition | null
}

/** Options that both have; `more` reads those of one, and says how many arguments it took. */
function readScan(call: Call, more: (name: string, value: Buffer | undefined) => number): Scan {
  const { args, server } = call
  const scan: Scan = { count: countDefault, isBusy: false, from: null }
  let hasCursor = false
  for (let at = 1; at < args.length; at++) {
    const name = option(args[at])
    const value = args[at + 1]
    const taken = more(name, value)
    if (taken > 0) at += taken - 1
    else if (name === 'count' && value !== undefined) scan.count = Math.max(1, integer(args[++at]))
    else if (name === 'busyloop') scan.isBusy = true
    else if (hasCursor) throw new Refusal(words.syntax)
    else {
      hasCursor = true
      const cursor = text(args[at])
      if (!/^[+-]?\d+$/.test(cursor)) throw new Refusal(words.cursor)
      if (Number(cursor) === 0) continue
      scan.from = server.cursor(Number(cursor)) ?? null
      if (scan.from === null) throw new Refusal(words.cursor)
    }
  }
  return scan
}

const mayRead = ({ client }: Call, name: string): boolean => client.principal?.may('consume', namespace, name) === true

function scanQueues(call: Call): void {
  const { server, reply } = call
  const limits = { minlen: -1, maxlen: -1, importrate: -1 }
  const { count, isBusy, from } = readScan(call, (name, value) => {
    if (!(name in limits) || value === undefined) return 0
    limits[name as keyof typeof limits] = integer(value) // it is in them
    return 2
  })
  const names = server.queueNames()
  let at = from === null ? 0 : names.findIndex((name) => name > from.queue)
  if (at < 0) at = names.length
  const found: string[] = []
  const end = isBusy ? names.length : Math.min(names.length, at + count * looksForOne)
  const most = isBusy ? foundMax : count
  for (; at < end && found.length < most; at++) {
    const name = names[at] as string // at < length
    const queue = mayRead(call, name) ? server.named(name) : undefined
    if (queue === undefined || limits.importrate > 0) continue
    const hasLength = limits.minlen !== -1 || limits.maxlen !== -1
    const length = hasLength ? queue.length : 0
    if (limits.minlen !== -1 && length < limits.minlen) continue
    if (limits.maxlen !== -1 && length > limits.maxlen) continue
    found.push(queue.label)
  }
  const last = names[at - 1]
  reply.array(2)
  reply.bulk(String(at < names.length && last !== undefined ? server.cursorTo({ queue: last, place: -1 }) : 0))
  reply.array(found.length)
  for (const label of found) reply.bulk(label)
}

const stateNames: Readonly<Record<string, State | null>> = { 'wait-repl': null, active: 'active', queued: 'queued', acked: null }

interface Found {
  readonly job: Job
  readonly body: Buffer | null
}

function scanJobs(call: Call): void {
  const { server } = call
  const states = new Set<State | null>()
  let only: string | null = null
  let isWhole = false
  const { count, isBusy, from } = readScan(call, (name, value) => {
    if (value === undefined) return 0
    if (name === 'queue') only = queueName(value)
    else if (name === 'state') {
      const state = stateNames[option(value)]
      if (state === undefined) throw new Refusal('ERR Invalid job state name')
      states.add(state)
      if (state === 'active') states.add('elsewhere')
    } else if (name === 'reply') {
      if (option(value) !== 'id' && option(value) !== 'all') throw new Refusal('ERR Invalid REPLY type, try ID or ALL')
      isWhole = option(value) === 'all'
    } else return 0
    return 2
  })
  const names = (only === null ? server.queueNames() : [only]).filter((name) => mayRead(call, name))
  let at = from === null ? 0 : names.findIndex((name) => name >= from.queue)
  if (at < 0) at = names.length
  let place = from !== null && names[at] === from.queue ? from.place : 0
  const most = isBusy ? foundMax : Math.min(foundMax, count)
  let looks = isBusy ? Infinity : count * looksForOne
  const found: Found[] = []
  let bytes = 0
  goOn()

  function goOn(): void {
    for (; at < names.length; at++, place = 0) {
      const queue = server.named(names[at] as string) // at < length
      if (queue !== undefined && !look(queue)) return
    }
    finish('0')
  }

  /** Goes through one queue; false: it waits for something, or there is enough. */
  function look(queue: Queue): boolean {
    // Those that were delivered for the only time have no record any more.
    if (place === 0) for (const job of [...queue.jobs.values()]) if (job.body !== null) take(job, job.body)
    const { records } = queue
    if (records === null) return true
    for (let next = records.notDone(place); next >= 0; next = records.notDone(place)) {
      place = next
      if (found.length >= most || looks-- <= 0 || bytes > bytesMax) {
        finish(String(server.cursorTo({ queue: queue.name, place })))
        return false
      }
      const job = queue.at(place)
      if (job === undefined) {
        call.wait((then) => queue.loadAt(next, (error) => then(() => again(error))))
        return false
      }
      place++
      if (job === null) continue
      if (!isWhole) take(job, null)
      else if (queue.bodyOf(job) !== undefined) withBody(call, job, take)
      else {
        withBody(call, job, (read, body) => {
          take(read, body)
          goOn()
        })
        return false
      }
    }
    return true
  }

  function again(error: Error | null): void {
    if (error !== null) throw error
    goOn()
  }

  function take(job: Job, body: Buffer | null): void {
    if (states.size > 0 && !states.has(job.state)) return
    found.push({ job, body })
    bytes += body?.length ?? 0
  }

  function finish(cursor: string): void {
    const { reply } = call
    reply.array(2)
    reply.bulk(cursor)
    reply.array(found.length)
    for (const { job, body } of found) {
      if (isWhole) writeJob(reply, server, job, body)
      else reply.status(job.id)
    }
    if (found.length > 0) call.durably()
  }
}

export const scanCommands: readonly Command[] = [
  command('qscan', -1, 'readonly', scanQueues),
  command('jscan', -1, 'readonly', scanJobs),
]
