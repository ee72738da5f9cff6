/** The largest job, as the configuration file has it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { portOf, startTestBroker } from '../../../test/support/running.ts'
import type { RunningBroker } from '../../server/start.ts'
import { BeanstalkClient } from './client.testing.ts'

const started = (settings: Record<string, unknown>): Promise<RunningBroker> =>
  startTestBroker({ only: ['beanstalkd'], protocolSettings: new Map([['beanstalkd', settings]]) })

test('jobs may be as large as the configuration says, and come back whole', async () => {
  const jobBytesMax = 3 * 1024 * 1024
  const running = await started({ jobBytesMax })
  const client = await BeanstalkClient.connected(portOf(running, 'beanstalkd'))
  const body = Buffer.alloc(jobBytesMax, 'abcdefg')
  client.send(Buffer.concat([Buffer.from(`put 0 0 60 ${jobBytesMax}\r\n`), body, Buffer.from('\r\nput 1 0 60 1\r\nx\r\n')]))
  const [inserted, id = ''] = (await client.answer()).split(' ')
  assert.equal(inserted, 'INSERTED')
  assert.match(await client.answer(), /^INSERTED /)
  assert.ok((await client.ask('reserve')) === `RESERVED ${id} ${jobBytesMax} ${body}`)
  client.send(`put 0 0 60 ${jobBytesMax + 1}\r\n`)
  client.send(Buffer.alloc(jobBytesMax + 1, 'y'))
  client.send('\r\n')
  assert.equal(await client.answer(), 'JOB_TOO_BIG')
  assert.match(await client.ask('stats'), new RegExp(`^max-job-size: ${jobBytesMax}$`, 'm'))
  await running.stop()
})

test('settings that cannot hold keep the broker from starting', async () => {
  for (const [settings, why] of [
    [{ jobBytesMax: 0 }, /jobBytesMax must be a whole number of bytes/],
    [{ jobBytesMax: '1 MiB' }, /jobBytesMax must be a whole number of bytes/],
    [{ jobBytesMax: 1024 ** 3 }, /jobBytesMax is at most \d+/],
    [{ jobSize: 1 }, /unknown key jobSize/],
  ] as const)
    await assert.rejects(started(settings), why)
})
