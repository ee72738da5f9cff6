// The figures of port 15692, under RabbitMQ's names.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Management } from '../../../test/support/management.ts'

const management = new Management()

async function scrape(path: string, login?: string): Promise<{ status: number; text: string; value(series: string): number }> {
  const headers = login === undefined ? {} : { authorization: `Basic ${Buffer.from(login).toString('base64')}` }
  const response = await fetch(`http://127.0.0.1:${management.broker.port('rabbitmq-prometheus')}${path}`, { headers })
  const text = await response.text()
  const value = (series: string): number => {
    const line = text.split('\n').find((each) => each.startsWith(`${series} `))
    return line === undefined ? Number.NaN : Number(line.slice(series.length + 1))
  }
  return { status: response.status, text, value }
}

test('sums and queues have the names and values that RabbitMQ’s exporter gives them', async () => {
  const channel = await management.channel()
  const name = 'a "quoted" \\ name'
  await channel.assertQueue(name)
  await channel.assertQueue('other')
  await channel.prefetch(1)
  for (let i = 0; i < 3; i++) channel.sendToQueue(name, Buffer.from('x'))
  const delivered = new Promise((resolve) => channel.consume(name, resolve))
  await delivered
  await channel.checkQueue(name)
  const { status, text, value } = await scrape('/metrics')
  assert.equal(status, 200)
  assert.deepEqual(
    ['messages_ready', 'messages_unacked', 'messages', 'consumers', 'messages_published_total'].map((each) =>
      value(`rabbitmq_queue_${each}`),
    ),
    [2, 1, 3, 1, 3],
  )
  assert.deepEqual(
    ['connections', 'channels', 'consumers', 'queues', 'channel_messages_unacked'].map((each) => value(`rabbitmq_${each}`)),
    [1, 1, 1, 2, 1],
  )
  assert.equal(value('rabbitmq_alarms_memory_used_watermark'), 0)
  assert.match(text, /^# TYPE rabbitmq_queue_messages_ready gauge$/m)
  assert.equal(text.includes('quoted'), false, 'no names where nobody logs in')
  const whose = '{vhost="/",queue="a \\"quoted\\" \\\\ name"}'
  assert.equal((await scrape('/metrics/per-object')).value(`rabbitmq_queue_messages_ready${whose}`), 2)
  const detailed = await scrape('/metrics/detailed?family=queue_coarse_metrics&vhost=%2F')
  assert.equal(detailed.value(`rabbitmq_detailed_queue_messages${whose}`), 3)
  assert.equal((await scrape('/metrics/detailed?family=queue_coarse_metrics&vhost=none')).text.includes(whose), false)
  assert.equal((await scrape('/nothing')).status, 404)
})

test('once users exist sums stay open, and names want a login that may monitor', async () => {
  await management.call('PUT', '/users/root', { password: 'secret', tags: 'administrator' })
  const root = management.as('root:secret')
  await root('PUT', '/users/ada', { password: 'love', tags: 'management' })
  assert.equal((await scrape('/metrics')).status, 200)
  for (const path of ['/metrics/per-object', '/metrics/detailed?family=queue_coarse_metrics']) {
    assert.equal((await scrape(path)).status, 401)
    assert.equal((await scrape(path, 'ada:love')).status, 401)
    assert.equal((await scrape(path, 'root:secret')).status, 200)
  }
})
