/** What is done with single jobs: ADDJOB, ACKJOB, FASTACK, DELJOB, ENQUEUE, NACK, DEQUEUE, WORKING, SHOW, LOADJOB. */
import type { Buffer } from 'node:buffer'
import { option, parseInteger, queueName, text, timeoutMs } from '../arguments.ts'
import { type Call, type Command, command } from '../command.ts'
import { Refusal, words } from '../errors.ts'
import type { Job } from '../job.ts'
import { isJobId } from '../job-id.ts'
import { withBody, writeJob } from '../job-reply.ts'
import { defaultRetry, secondsMax, ttlSecondsDefault } from '../mapping.ts'
import type { Server } from '../server.ts'

interface Options {
  replicate: number
  ttlSeconds: number
  /** -1: it was not said. */
  retrySeconds: number
  delaySeconds: number
  /** 0: no limit. */
  lengthMax: number
  async: boolean
}

function readOptions(args: readonly Buffer[]): Options {
  const said: Options = {
    replicate: 1,
    ttlSeconds: ttlSecondsDefault,
    retrySeconds: -1,
    delaySeconds: 0,
    lengthMax: 0,
    async: false,
  }
  for (let at = 4; at < args.length; at++) {
    const name = option(args[at])
    if (name === 'async') {
      said.async = true
      continue
    }
    if (at === args.length - 1) throw new Refusal(words.syntax)
    const value = parseInteger(args[++at])
    switch (name) {
      case 'replicate':
        said.replicate = checked(value, 1, 65_535, 'REPLICATE must be between 1 and 65535')
        break
      case 'ttl':
        said.ttlSeconds = checked(value, 1, Infinity, 'TTL must be a number > 0')
        break
      case 'retry':
        said.retrySeconds = checked(value, 0, Infinity, 'RETRY time must be a non negative number')
        break
      case 'delay':
        said.delaySeconds = checked(value, 0, Infinity, 'DELAY time must be a non negative number')
        break
      case 'maxlen':
        said.lengthMax = checked(value, 1, Infinity, 'MAXLEN must be a positive number')
        break
      default:
        throw new Refusal(words.syntax)
    }
  }
  return said
}

function checked(value: number | null, least: number, most: number, message: string): number {
  if (value === null || value < least || value > most) throw new Refusal(`ERR ${message}`)
  return value
}

function addJob(call: Call): void {
  const { args, server, reply } = call
  const said = readOptions(args)
  // How long to wait for other nodes: there are none.
  timeoutMs(args[3])
  if (said.replicate > 1 && said.retrySeconds === 0)
    throw new Refusal('ERR With RETRY set to 0 please explicitly set  REPLICATE to 1 (at-most-once delivery)')
  if (said.delaySeconds >= said.ttlSeconds)
    throw new Refusal('ERR The specified DELAY is greater than TTL. Job refused since would never be delivered')
  if (said.replicate > 1) throw new Refusal(words.noReplicas)
  const label = args[1] as Buffer // by its arity
  call.check('publish', queueName(label))
  const known = server.find(label)
  if (said.lengthMax > 0 && (known?.length ?? 0) >= said.lengthMax) throw new Refusal(words.maxLength)
  if (known?.pausedIn === true) throw new Refusal(words.paused)
  if (said.delaySeconds > 0 && server.isFull) throw new Refusal(words.memory)
  const ttlSeconds = Math.min(secondsMax, said.ttlSeconds)
  const head = {
    ...server.stamp(),
    ttlSeconds,
    delaySeconds: Math.min(secondsMax, said.delaySeconds),
    retrySeconds: said.retrySeconds < 0 ? defaultRetry(ttlSeconds) : Math.min(secondsMax, said.retrySeconds),
  }
  reply.status((known ?? server.queue(label)).add(head, args[2] as Buffer))
  if (!said.async) call.durably()
}

/** All of them, or an error before anything is done. */
function idsOf(args: readonly Buffer[]): string[] {
  return args.slice(1).map((arg) => {
    const id = text(arg)
    if (!isJobId(id)) throw new Refusal(words.badId)
    return id
  })
}

/** Calls `act` for each of the jobs that there are, then `end`; waits where a record must be read from the disk first. */
function eachJob(call: Call, ids: readonly string[], act: (job: Job) => void, end: () => void, from = 0): void {
  const { server } = call
  for (let at = from; at < ids.length; at++) {
    const id = ids[at] as string // at < length
    const job = server.findJob(id)
    if (job === undefined) {
      return call.wait((goOn) =>
        server.loadJob(id, (error) =>
          goOn(() => {
            if (error !== null) throw error
            eachJob(call, ids, act, end, at)
          }),
        ),
      )
    }
    if (job === null) continue
    call.check('consume', job.queue)
    act(job)
  }
  end()
}

/** Replies how many jobs `act` was true for. */
function counted(act: (job: Job, server: Server) => boolean, isDurable: boolean): (call: Call) => void {
  return (call) => {
    let count = 0
    eachJob(
      call,
      idsOf(call.args),
      (job) => {
        if (act(job, call.server)) count++
      },
      () => {
        call.reply.integer(count)
        if (isDurable && count > 0) call.durably()
      },
    )
  }
}

/** Takes it out of the queue, where it is in one; it is active then, or a consumer of another protocol has it. */
function dequeue(job: Job, server: Server): boolean {
  if (job.state !== 'queued') return false
  if (server.isFull) throw new Refusal(words.memory)
  return job.queue.hold(job)
}

/** Of a command that names one job; null: it is not known. */
function withJob(call: Call, run: (job: Job | null) => void): void {
  let found: Job | null = null
  eachJob(
    call,
    idsOf(call.args),
    (job) => {
      found = job
    },
    () => run(found),
  )
}

function working(call: Call): void {
  withJob(call, (job) => {
    if (job === null || job.state === 'elsewhere') throw new Refusal(words.noJob)
    const { head, queue } = job
    const lifeMs = head.ttlSeconds * 1000
    if (call.server.broker.clock.now() - head.createdMs > lifeMs / 2) throw new Refusal(words.tooLate)
    dequeue(job, call.server)
    queue.postpone(job)
    call.reply.integer(head.retrySeconds)
  })
}

function show(call: Call): void {
  const { server, reply } = call
  withJob(call, (found) => {
    if (found === null) reply.nil()
    else withBody(call, found, (job, body) => writeJob(reply, server, job, body))
  })
}

function loadJob(): void {
  throw new Refusal('ERR LOADJOB is a special command only processed from AOF')
}

export const jobCommands: readonly Command[] = [
  command('addjob', -4, 'write denyoom fast', addJob),
  command(
    'ackjob',
    -1,
    'write fast',
    counted((job) => job.queue.acknowledge(job), true),
  ),
  // Fast: an acknowledgement that a crash takes back is a job that comes again.
  command(
    'fastack',
    -1,
    'write fast',
    counted((job) => job.queue.acknowledge(job), false),
  ),
  command(
    'deljob',
    -1,
    'write fast',
    counted((job) => job.queue.acknowledge(job), true),
  ),
  command(
    'enqueue',
    -1,
    'denyoom write fast',
    counted((job) => job.queue.enqueue(job, false), false),
  ),
  command(
    'nack',
    -1,
    'denyoom write fast',
    counted((job) => job.queue.enqueue(job, true), false),
  ),
  command('dequeue', -1, 'write fast', counted(dequeue, false)),
  command('working', 2, 'write fast', working),
  command('show', 2, 'readonly fast', show),
  command('loadjob', 2, 'write', loadJob),
]
