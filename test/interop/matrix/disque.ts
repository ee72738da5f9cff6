/** The matrix's Disque side, by thunk-disque: a job, which is the value alone. */
import { createRequire } from 'node:module'
import { setting } from '../cases/cases.ts'
import { nodeDisque } from '../install.ts'
import { allButTheBody, BODY, type Driver, type Seen } from './message.ts'

type Job = readonly [queue: Buffer, id: Buffer, body: Buffer, ...counters: (Buffer | number)[]]

/** As far as it is used here. */
interface Client {
  addjob(queue: string, body: Buffer, timeoutMs: number): Promise<string>
  getjob(words: readonly (string | number)[]): Promise<Job[] | null>
  nack(id: string): Promise<number>
  ackjob(id: string): Promise<number>
  ping(): Promise<unknown>
  clientEnd(): void
}

export async function disqueDriver(): Promise<Driver> {
  const { createClient } = createRequire(`${nodeDisque}/`)('thunk-disque') as {
    createClient(addresses: readonly string[], options: object): Client
  }
  const client = createClient([setting('DISQUE')], { usePromise: Promise, returnBuffers: true })
  await client.ping()
  const get = async (queue: string): Promise<Job> => {
    const [job] = (await client.getjob(['WITHCOUNTERS', 'TIMEOUT', 12_000, 'FROM', queue])) ?? []
    if (job === undefined) throw new Error(`no job in ${queue}`)
    return job
  }
  const done = async (job: Job): Promise<Seen> => {
    await client.ackjob(String(job[1]))
    const [, , body, , nacks] = job
    return {
      body,
      key: undefined,
      timestamp: undefined,
      attributes: {},
      headers: new Map(),
      redelivered: Number(nacks) > 0,
    }
  }
  return {
    name: 'disque',
    typedHeaders: false,
    declares: 'queue',
    cannotWrite: allButTheBody,
    cannotRead: allButTheBody,
    cannotCopy: allButTheBody,
    declare: async (queue) => {
      // A queue is made by its first job.
      await client.ackjob(await client.addjob(queue, BODY, 0))
    },
    produce: async (queue) => {
      await client.addjob(queue, BODY, 0)
    },
    consume: async (queue) => done(await get(queue)),
    consumeTwice: async (queue) => {
      const [, id] = await get(queue)
      await client.nack(String(id))
      return done(await get(queue))
    },
    forward: async (from, to) => {
      const { body } = await done(await get(from))
      await client.addjob(to, body, 0)
    },
    close: async () => client.clientEnd(),
  }
}
