import assert from 'node:assert/strict'
import { BeanstalkClient } from '../../../src/protocols/beanstalkd/client.testing.ts'
import type { Corpus } from './corpus.ts'
import { lines } from './lines.ts'

export const beanstalkd: Corpus = {
  listener: 'beanstalkd',
  standardPort: 11300,
  frames: lines,

  async drive(port) {
    const client = await BeanstalkClient.connected(port)
    await client.ask('use fuzzed')
    await client.ask('watch fuzzed')
    const id = await client.put('job', { ttr: 100 })
    await client.put('delayed', { delay: 1 })
    for (const line of [
      'reserve-with-timeout 0',
      `touch ${id}`,
      `release ${id} 5 0`,
      'peek-ready',
      `reserve-job ${id}`,
      `bury ${id} 1`,
      'peek-buried',
      'kick 1',
      'peek-delayed',
      `kick-job ${id}`,
      'stats',
      `stats-job ${id}`,
      'stats-tube fuzzed',
      'list-tubes',
      'list-tubes-watched',
      'pause-tube fuzzed 1',
      'ignore default',
      `delete ${id}`,
    ])
      await client.ask(line)
    client.close()
  },

  async healthy(port) {
    const client = await BeanstalkClient.connected(port)
    await client.ask('use healthy.jobs')
    await client.ask('watch healthy.jobs')
    await client.ask('ignore default')
    return {
      async beat() {
        // Whoever has a job's number may reserve, release or delete it, and bad clients come upon some: then there is another.
        for (;;) {
          await client.put('beat')
          const answer = await client.ask('reserve-with-timeout 1')
          const [, id] = /^RESERVED (\d+) 4 beat$/.exec(answer) ?? []
          if (id === undefined) assert.equal(answer, 'TIMED_OUT')
          else return void (await client.ask(`delete ${id}`))
        }
      },
      close: async () => client.close(),
    }
  },
}
