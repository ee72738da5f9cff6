/** thunk-disque: it asks HELLO for the nodes, connects to these, and sends what has an id to the node that the id names. */
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { runCases, setting, unique } from '../cases/cases.ts'
import { nodeDisque } from '../install.ts'

/** As far as it is used here. */
type Client = Record<string, (...words: unknown[]) => Promise<unknown>>
const { createClient } = createRequire(`${nodeDisque}/`)('thunk-disque') as {
  createClient(addresses: readonly string[], options: object): Client
}

const client = createClient([setting('DISQUE')], { usePromise: Promise })
const run = (command: string, ...words: unknown[]): Promise<unknown> => {
  const call = client[command]
  if (call === undefined) throw new Error(`it has no ${command}`)
  return call(...words)
}

await runCases({
  'jobs are added, handed out and acknowledged': async () => {
    const queue = unique('thunk')
    const id = String(await run('addjob', queue, 'one', 0, 'RETRY', 60))
    const late = String(await run('addjob', queue, 'late', 0, 'DELAY', 1))
    assert.deepEqual(await run('getjob', ['FROM', queue]), [[queue, id, 'one']])
    const shown = (await run('show', id)) as Record<string, unknown>
    assert.deepEqual([shown['queue'], shown['state'], shown['retry'], shown['body']], [queue, 'active', 60, 'one'])
    assert.equal(await run('ackjob', id), 1)
    assert.equal(await run('show', id), null)
    assert.deepEqual(await run('getjob', ['TIMEOUT', 10_000, 'FROM', queue]), [[queue, late, 'late']])
    assert.equal(await run('fastack', late), 1)
  },
  'queues are shown, paused and scanned': async () => {
    const queue = unique('thunk')
    await run('addjob', queue, 'x', 0)
    assert.equal(await run('qlen', queue), 1)
    assert.equal(((await run('qstat', queue)) as Record<string, unknown>)['len'], 1)
    assert.equal(await run('pause', queue, 'all'), 'all')
    await assert.rejects(run('addjob', queue, 'y', 0), /PAUSED/)
    assert.equal(await run('getjob', ['NOHANG', 'FROM', queue]), null)
    assert.equal(await run('pause', queue, 'none'), 'none')
    const [, names] = (await run('qscan', 0, 'BUSYLOOP')) as [string, string[]]
    assert.ok(names.includes(queue))
    const [, ids] = (await run('jscan', 0, 'QUEUE', queue, 'BUSYLOOP')) as [string, string[]]
    assert.equal(ids.length, 1)
  },
  'the server is asked': async () => {
    const info = (await run('info')) as Record<string, unknown>
    assert.equal(info['disque_version'], '1.0-rc1')
    assert.equal(await run('ping'), 'PONG')
    assert.ok(Array.isArray(await run('time')))
  },
})
