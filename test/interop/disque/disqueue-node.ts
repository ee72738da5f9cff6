/** disqueue-node: jobs, what becomes of them, and a worker that waits. */
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { runCases, setting, unique, within } from '../cases/cases.ts'
import { nodeDisque } from '../install.ts'

/** As far as it is used here. */
interface Client {
  on(event: string, run: (error?: Error) => void): void
  [command: string]: unknown
}
const connect = createRequire(`${nodeDisque}/`)('disqueue-node') as (options: object) => Client

const [host, port] = setting('DISQUE').split(':')

async function client(): Promise<Client> {
  const made = connect({ host, port: Number(port) })
  await within(10_000, 'a connection', new Promise<void>((resolve) => made.on('ready', () => resolve())))
  return made
}

function run(of: Client, command: string, options?: unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const call = of[command] as (options: unknown, done: (error: Error | null, answer: unknown) => void) => void // one of its commands
    call.call(of, options, (error, answer) => (error === null || error === undefined ? resolve(answer) : reject(error)))
  })
}

const own = await client()

await runCases({
  'jobs are added, handed out and acknowledged': async () => {
    const queue = unique('disqueue')
    const id = await run(own, 'addJob', { queue, job: 'one', timeout: 0, retry: 60, ttl: 600 })
    assert.equal(await run(own, 'qlen', queue), 1)
    assert.deepEqual(await run(own, 'getJob', { queue, count: 5 }), [{ queue, jobId: id, body: 'one' }])
    assert.equal(await run(own, 'nack', [id]), 1)
    const [again] = (await run(own, 'getJob', { queue, withcounters: true })) as Record<string, unknown>[]
    assert.deepEqual([again?.['jobId'], again?.['nacks'], again?.['additionalDeliveries']], [id, 1, 0])
    assert.equal(await run(own, 'working', id), 60)
    assert.equal(await run(own, 'ackJob', [id]), 1)
    assert.equal(await run(own, 'show', id), null)
  },
  'a worker waits for a job': async () => {
    const queue = unique('disqueue')
    const worker = await client()
    const waiting = run(worker, 'getJob', { queue })
    const id = await run(own, 'addJob', { queue, job: 'late', delay: 1 })
    assert.deepEqual(await waiting, [{ queue, jobId: id, body: 'late' }])
    assert.equal(await run(own, 'fastAck', [id]), 1)
  },
  'jobs leave the queue and come back': async () => {
    const queue = unique('disqueue')
    const id = await run(own, 'addJob', { queue, job: 'x', async: true })
    assert.equal(await run(own, 'dequeue', [id]), 1)
    assert.equal(await run(own, 'qlen', queue), 0)
    assert.equal(await run(own, 'enqueue', [id]), 1)
    assert.equal(await run(own, 'delJob', [id]), 1)
    assert.equal(await run(own, 'qlen', queue), 0)
  },
  'errors are told': async () => {
    await assert.rejects(run(own, 'ackJob', ['nonsense']), /BADID/)
    await assert.rejects(run(own, 'addJob', { queue: 'q', job: 'x', replicate: 3 }), /NOREPL/)
  },
})
