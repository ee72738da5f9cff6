/** Jobs as commands show them. */
import type { Buffer } from 'node:buffer'
import type { Reply } from '../../lib/resp/reply.ts'
import type { Call } from './command.ts'
import type { Job } from './job.ts'
import { ttlMinutesMax } from './job-id.ts'
import type { Fetched } from './queue.ts'
import type { Server } from './server.ts'

/** As GETJOB and QPEEK tell them. */
export function writeFetched(reply: Reply, { job, body }: Fetched, withCounters: boolean): void {
  reply.array(withCounters ? 7 : 3)
  reply.bulk(job.queue.label)
  reply.bulk(job.id)
  reply.bulk(body)
  if (!withCounters) return
  reply.bulk('nacks')
  reply.integer(job.nacks)
  reply.bulk('additional-deliveries')
  reply.integer(job.deliveries)
}

/** Before a job is queued again, so long, other nodes would be told (JOB_WILLQUEUE_ADVANCE). */
const advanceMs = 500

/** All of it, as SHOW and JSCAN tell it. */
export function writeJob(reply: Reply, { broker, nodeId }: Server, job: Job, body: Buffer | null): void {
  const now = broker.clock.now()
  const { head, queue, state } = job
  const isQueued = state === 'queued'
  const requeueAt = isQueued ? queue.nextRequeue(job) : job.requeueAt
  const ttlSeconds = Number.isFinite(head.ttlSeconds) ? head.ttlSeconds : ttlMinutesMax * 60
  const endsAt = Math.max(now, head.createdMs + ttlSeconds * 1000)
  const tellAt = requeueAt - advanceMs > now ? requeueAt - advanceMs : requeueAt
  const wakesAt = requeueAt === 0 ? endsAt + 1000 : Math.min(endsAt + 1000, tellAt)
  const text = (name: string, value: string): void => {
    reply.bulk(name)
    reply.bulk(value)
  }
  const number = (name: string, value: number | bigint): void => {
    reply.bulk(name)
    reply.integer(value)
  }
  reply.array(30)
  text('id', job.id)
  text('queue', queue.label)
  text('state', isQueued ? 'queued' : 'active')
  number('repl', 1)
  number('ttl', Math.ceil((endsAt - now) / 1000))
  number('ctime', job.createdAt)
  number('delay', head.delaySeconds)
  number('retry', head.retrySeconds)
  number('nacks', job.nacks)
  number('additional-deliveries', job.deliveries)
  reply.bulk('nodes-delivered')
  reply.array(1)
  reply.bulk(nodeId)
  reply.bulk('nodes-confirmed')
  reply.array(0)
  reply.bulk('next-requeue-within')
  if (requeueAt === 0) reply.nil()
  else reply.integer(Math.max(0, requeueAt - now))
  number('next-awake-within', Math.max(0, wakesAt - now))
  reply.bulk('body')
  if (body === null) reply.nil()
  else reply.bulk(body)
}

/** What a job says is read first, where it stands on the disk alone. */
export function withBody(call: Call, job: Job, then: (job: Job, body: Buffer | null) => void): void {
  const body = job.queue.bodyOf(job)
  if (body !== undefined) return then(job, body)
  call.wait((goOn) =>
    job.queue.loadBody(job, (error) =>
      goOn(() => {
        if (error !== null) throw error
        then(job, job.queue.bodyOf(job) ?? null)
      }),
    ),
  )
}
