/** BullMQ 6: jobs that are delayed, have priorities, fail and are tried again, come at intervals, depend on each other, and stall. */
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { runCases, setting, unique, until } from '../cases/cases.ts'
import { nodeRedis } from '../install.ts'

/** As far as it is used here. */
interface Job {
  readonly id: string
  readonly name: string
  readonly data: Record<string, unknown>
  readonly attemptsMade: number
  waitUntilFinished(events: QueueEvents, ms: number): Promise<unknown>
  updateProgress(progress: number): Promise<void>
  getChildrenValues(): Promise<Record<string, unknown>>
}
interface Queue {
  add(name: string, data: object, options?: object): Promise<Job>
  addBulk(jobs: readonly { name: string; data: object; opts?: object }[]): Promise<Job[]>
  upsertJobScheduler(id: string, repeat: object, template: object): Promise<Job>
  removeJobScheduler(id: string): Promise<boolean>
  getJobCounts(...types: string[]): Promise<Record<string, number>>
  getJob(id: string): Promise<(Job & { progress: unknown; returnvalue: unknown }) | undefined>
  pause(): Promise<void>
  resume(): Promise<void>
  obliterate(options: object): Promise<void>
  close(): Promise<void>
}
interface QueueEvents {
  waitUntilReady(): Promise<unknown>
  on(event: string, run: (args: { jobId: string }) => void): void
  close(): Promise<void>
}
interface Worker {
  on(event: string, run: (...args: unknown[]) => void): void
  close(force?: boolean): Promise<void>
}

const bullmq = createRequire(`${nodeRedis}/`)('bullmq') as {
  Queue: new (name: string, options: object) => Queue
  QueueEvents: new (name: string, options: object) => QueueEvents
  Worker: new (name: string, run: (job: Job) => Promise<unknown>, options: object) => Worker
  FlowProducer: new (options: object) => { add(flow: object): Promise<{ job: Job }>; close(): Promise<void> }
}
const [host = '', port = ''] = setting('REDIS').split(':')
const connection = { host, port: Number(port), maxRetriesPerRequest: null }

/** A queue with its events and a worker, closed at the end. */
async function withQueue(
  run: (job: Job) => Promise<unknown>,
  body: (queue: Queue, events: QueueEvents, name: string) => Promise<void>,
  options: object = {},
): Promise<void> {
  const name = unique('bull').replaceAll('.', '-')
  const queue = new bullmq.Queue(name, { connection })
  const events = new bullmq.QueueEvents(name, { connection })
  await events.waitUntilReady()
  const worker = new bullmq.Worker(name, run, { connection, ...options })
  worker.on('error', (cause) => console.error(cause))
  try {
    await body(queue, events, name)
  } finally {
    await worker.close(true)
    await events.close()
    await queue.obliterate({ force: true })
    await queue.close()
  }
}

await runCases({
  'jobs with results, progress and delays': () =>
    withQueue(
      async (job) => {
        await job.updateProgress(50)
        return { seen: job.data['n'] }
      },
      async (queue, events) => {
        const job = await queue.add('plain', { n: 1 })
        const delayed = await queue.add('delayed', { n: 2 }, { delay: 200 })
        assert.deepEqual(await job.waitUntilFinished(events, 10_000), { seen: 1 })
        assert.deepEqual(await delayed.waitUntilFinished(events, 10_000), { seen: 2 })
        const stored = await queue.getJob(job.id)
        assert.equal(stored?.progress, 50)
        assert.deepEqual(stored?.returnvalue, { seen: 1 })
      },
    ),
  priorities: async () => {
    const order: unknown[] = []
    await withQueue(
      async (job) => order.push(job.data['n']),
      async (queue) => {
        await queue.pause()
        await queue.addBulk([5, 1, 3].map((n) => ({ name: 'job', data: { n }, opts: { priority: n } })))
        await queue.resume()
        await until('three jobs', () => order.length === 3)
        assert.deepEqual(order, [1, 3, 5])
      },
    )
  },
  'failing jobs are tried again, then failed': async () => {
    const attempts: number[] = []
    await withQueue(
      async (job) => {
        attempts.push(job.attemptsMade)
        throw new Error('no')
      },
      async (queue, events) => {
        const job = await queue.add('job', {}, { attempts: 3, backoff: { type: 'fixed', delay: 20 } })
        await assert.rejects(job.waitUntilFinished(events, 10_000), /no/)
        assert.deepEqual(attempts, [0, 1, 2])
        assert.equal((await queue.getJobCounts('failed'))['failed'], 1)
      },
    )
  },
  'a job scheduler repeats': async () => {
    let ticks = 0
    await withQueue(
      async () => ticks++,
      async (queue) => {
        await queue.upsertJobScheduler('every', { every: 100 }, { name: 'tick', data: {} })
        await until('three ticks', () => ticks >= 3)
        await queue.removeJobScheduler('every')
      },
    )
  },
  'a flow: the parent comes after its children': async () => {
    await withQueue(
      async (job) => (job.name === 'parent' ? Object.values(await job.getChildrenValues()) : job.data['n']),
      async (_queue, events, name) => {
        const flow = new bullmq.FlowProducer({ connection })
        const children = [1, 2].map((n) => ({ name: 'child', queueName: name, data: { n } }))
        const { job } = await flow.add({ name: 'parent', queueName: name, data: {}, children })
        const values = (await job.waitUntilFinished(events, 10_000)) as number[]
        assert.deepEqual(values.sort(), [1, 2])
        await flow.close()
      },
    )
  },
  'a limit on the rate': async () => {
    const times: number[] = []
    await withQueue(
      async () => times.push(performance.now()),
      async (queue) => {
        await queue.addBulk(Array.from({ length: 6 }, (_, n) => ({ name: 'job', data: { n } })))
        await until('six jobs', () => times.length === 6)
        // Two in 200 ms: six take two intervals at least.
        assert.ok((times[5] as number) - (times[0] as number) >= 350, times.join(' '))
      },
      { limiter: { max: 2, duration: 200 } },
    )
  },
  'what a worker left is taken up by another': async () => {
    const name = unique('bull').replaceAll('.', '-')
    const queue = new bullmq.Queue(name, { connection })
    let began = false
    const first = new bullmq.Worker(
      name,
      () => {
        began = true
        return new Promise(() => undefined)
      },
      { connection, lockDuration: 300, lockRenewTime: 100_000, skipStalledCheck: true },
    )
    await queue.add('job', {})
    await until('the first worker has it', () => began)
    let done = false
    const second = new bullmq.Worker(
      name,
      async () => {
        done = true
      },
      { connection, stalledInterval: 200 },
    )
    await until('the second worker did it', () => done)
    await first.close(true)
    await second.close(true)
    await queue.close()
  },
  'a thousand jobs': async () => {
    const seen = new Set<unknown>()
    await withQueue(
      async (job) => seen.add(job.data['n']),
      async (queue) => {
        await queue.addBulk(Array.from({ length: 1000 }, (_, n) => ({ name: 'job', data: { n } })))
        await until('all jobs', () => seen.size === 1000, 25_000)
      },
      { concurrency: 20 },
    )
  },
})
