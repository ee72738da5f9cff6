/** The matrix's beanstalkd side, by jackd: a job, which is the value alone. */
import { createRequire } from 'node:module'
import { setting } from '../cases/cases.ts'
import { nodeBeanstalk } from '../install.ts'
import { allButTheBody, BODY, type Driver, type Seen } from './message.ts'

interface Job {
  readonly id: string
  readonly payload: Buffer
}

/** As far as it is used here. */
interface Client {
  connect(address: { host: string; port: number }): Promise<unknown>
  use(tube: string): Promise<string>
  watch(tube: string): Promise<number>
  ignore(tube: string): Promise<number>
  /** It makes JSON of anything but text. */
  put(body: string): Promise<string>
  reserveWithTimeout(seconds: number): Promise<Job>
  release(id: string): Promise<void>
  delete(id: string): Promise<void>
  statsJob(id: string): Promise<string>
  quit(): Promise<void>
}

export async function beanstalkdDriver(): Promise<Driver> {
  const JackdClient = createRequire(`${nodeBeanstalk}/`)('jackd') as new () => Client
  const [host = '', port = ''] = setting('BEANSTALKD').split(':')
  const client = new JackdClient()
  await client.connect({ host, port: Number(port) })
  let watched = 'default'
  const reserve = async (tube: string): Promise<Job> => {
    if (tube !== watched) {
      await client.watch(tube)
      await client.ignore(watched)
      watched = tube
    }
    return await client.reserveWithTimeout(12)
  }
  const put = async (tube: string, body: Buffer): Promise<string> => {
    await client.use(tube)
    return await client.put(body.toString())
  }
  const done = async ({ id, payload }: Job): Promise<Seen> => {
    const releases = Number(/^releases: (\d+)$/m.exec(await client.statsJob(id))?.[1])
    await client.delete(id)
    const seen = { key: undefined, timestamp: undefined, attributes: {}, headers: new Map() }
    return { ...seen, body: payload, redelivered: releases > 0 }
  }
  return {
    name: 'beanstalkd',
    typedHeaders: false,
    declares: 'queue',
    cannotWrite: allButTheBody,
    cannotRead: allButTheBody,
    cannotCopy: allButTheBody,
    declare: async (tube) => {
      // The topic of a tube is made by its first job.
      await client.delete(await put(tube, BODY))
    },
    produce: async (tube) => void (await put(tube, BODY)),
    consume: async (tube) => done(await reserve(tube)),
    consumeTwice: async (tube) => {
      const { id } = await reserve(tube)
      await client.release(id)
      return done(await reserve(tube))
    },
    forward: async (from, to) => {
      const { body } = await done(await reserve(from))
      await put(to, body)
    },
    close: () => client.quit(),
  }
}
