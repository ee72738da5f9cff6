// What tools read: pages, columns, rates, connections, health; and the requests of KEDA as its RabbitMQ scaler makes them.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventually } from '../../../test/support/amqp.ts'
import { Management } from '../../../test/support/management.ts'

const management = new Management()
const { call } = management
const names = (items: { name: string }[]): string[] => items.map(({ name }) => name)

test('lists are sorted, cut to columns, and paged', async () => {
  for (const name of ['b', 'a', 'c']) await call('PUT', `/queues/%2F/${name}`, {})
  const message = { routing_key: 'b', payload: 'x', payload_encoding: 'string', properties: {} }
  await call('POST', '/exchanges/%2F/amq.default/publish', message)
  assert.deepEqual((await call('GET', '/queues?columns=name,message_stats.publish')).json, [
    { name: 'a', message_stats: { publish: 0 } },
    { name: 'b', message_stats: { publish: 1 } },
    { name: 'c', message_stats: { publish: 0 } },
  ])
  assert.deepEqual(names((await call('GET', '/queues?sort=messages&sort_reverse=true')).json)[0], 'b')
  assert.deepEqual((await call('GET', '/queues?page=2&page_size=2&columns=name')).json, {
    filtered_count: 3,
    item_count: 1,
    items: [{ name: 'c' }],
    page: 2,
    page_count: 2,
    page_size: 2,
    total_count: 3,
  })
  assert.deepEqual(names((await call('GET', '/queues/%2F?page=1&name=B')).json.items), ['b'])
  assert.deepEqual(names((await call('GET', '/queues/%2F?page=1&name=%5E%5Bac%5D&use_regex=true')).json.items), ['a', 'c'])
  const wrong = async (query: string): Promise<string> => {
    const { status, json } = await call('GET', `/queues?${query}`)
    return `${status} ${json.error}: ${json.reason}`
  }
  assert.equal(await wrong('page=9'), '400 page_out_of_range: Page out of range, page: 9 page size: 100, len: 3')
  const page = '400 invalid_pagination_parameters: Invalid pagination parameters: page number'
  assert.equal(await wrong('page=0'), `${page} 0, page size undefined`)
  assert.equal(await wrong('page=1&page_size=501'), `${page} 1, page size 501`)
  assert.equal(await wrong('page=1&name=(&use_regex=true'), '400 bad_request: Pagination parameters are invalid')
  const [first] = (await call('GET', '/queues/detailed')).json
  assert.deepEqual([first.name, first.consumer_details], ['a', []])
})

test('KEDA: one queue, and the queues of a pattern', async () => {
  const channel = await management.channel()
  for (const name of ['work.a', 'work.b', 'rest']) await channel.assertQueue(name)
  await channel.prefetch(1)
  for (let i = 0; i < 3; i++) channel.sendToQueue('work.a', Buffer.from('x'))
  await channel.consume('work.a', () => undefined)
  await eventually(async () => (await call('GET', '/queues/%2F/work.a')).json.messages_unacknowledged === 1)
  const { json } = await call('GET', '/queues/%2F/work.a')
  assert.deepEqual([json.name, json.messages, json.messages_unacknowledged, json.messages_ready], ['work.a', 3, 1, 2])
  assert.equal(typeof json.message_stats.publish_details.rate, 'number')
  const query = 'page=1&use_regex=true&pagination=false&name=%5Ework&page_size=100'
  for (const path of [`/queues?${query}`, `/queues/%2F?${query}`]) {
    const found = (await call('GET', path)).json
    assert.deepEqual([names(found.items), found.page_count], [['work.a', 'work.b'], 1])
  }
})

test('rates are what happened between the last two readings of the broker’s clock', async () => {
  const channel = await management.channel()
  await channel.assertQueue('q')
  const confirmed = await (await management.connect()).createConfirmChannel()
  await call('GET', '/overview')
  // Readings go on while somebody asks; this lets the one under way end.
  await management.broker.clock.advance(5000)
  for (let i = 0; i < 20; i++) confirmed.sendToQueue('q', Buffer.from('x'), { persistent: true })
  await confirmed.waitForConfirms()
  await management.broker.clock.advance(5000)
  const { json } = await call('GET', '/queues/%2F/q')
  assert.equal(json.message_stats.publish, 20)
  assert.equal(json.message_stats.publish_details.rate, 4)
  assert.equal(json.messages_details.rate, 4)
  const overview = (await call('GET', '/overview')).json
  assert.equal(overview.message_stats.publish_details.rate, 4)
  assert.deepEqual([overview.queue_totals.messages, overview.object_totals.queues], [20, 1])
  await management.broker.clock.advance(5000)
  assert.equal((await call('GET', '/queues/%2F/q')).json.message_stats.publish_details.rate, 0)
})

test('connections, channels and consumers are shown as they are', async () => {
  const connection = await management.connect()
  const channel = await connection.createConfirmChannel()
  await channel.assertQueue('q')
  await channel.prefetch(7)
  await channel.consume('q', () => undefined, { consumerTag: 'tag', priority: 2 })
  const [shown] = (await call('GET', '/connections')).json
  assert.deepEqual(
    [shown.user, shown.vhost, shown.channels, shown.user_provided_name, shown.auth_mechanism, shown.state, shown.ssl],
    ['guest', '/', 1, 'tester', 'PLAIN', 'running', false],
  )
  assert.equal(shown.client_properties.capabilities['basic.nack'], true)
  const [one] = (await call('GET', '/channels')).json
  assert.deepEqual(
    [one.name, one.number, one.confirm, one.prefetch_count, one.consumer_count],
    [`${shown.name} (1)`, 1, true, 7, 1],
  )
  const [consumer] = (await call('GET', '/consumers')).json
  assert.deepEqual(
    [consumer.consumer_tag, consumer.queue, consumer.ack_required, consumer.prefetch_count, consumer.arguments],
    ['tag', { name: 'q', vhost: '/' }, true, 7, { 'x-priority': 2 }],
  )
  assert.deepEqual((await call('GET', '/queues/%2F/q')).json.consumer_details, [consumer])
  const name = encodeURIComponent(shown.name)
  assert.equal((await call('GET', `/connections/${name}`)).json.name, shown.name)
  assert.equal((await call('GET', `/connections/${name}/channels`)).json.length, 1)
  assert.equal((await call('GET', `/channels/${encodeURIComponent(one.name)}`)).json.consumer_details.length, 1)
  assert.equal((await call('GET', '/vhosts/%2F/connections')).json.length, 1)
  const closed = new Promise((resolve) => connection.once('close', resolve))
  assert.equal((await call('DELETE', `/connections/${name}`)).status, 204)
  await closed
  await eventually(async () => (await call('GET', '/connections')).json.length === 0)
  assert.equal((await call('DELETE', `/connections/${name}`)).status, 404)
})

test('health, the node and who asks', async () => {
  const port = management.broker.port('amqp')
  for (const path of ['alarms', 'local-alarms', 'virtual-hosts', 'node-is-quorum-critical', 'is-in-service'])
    assert.deepEqual([path, (await call('GET', `/health/checks/${path}`)).json.status], [path, 'ok'])
  assert.deepEqual((await call('GET', `/health/checks/port-listener/${port}`)).json, { status: 'ok', port })
  const missing = await call('GET', '/health/checks/port-listener/1')
  assert.deepEqual([missing.status, missing.json.status, missing.json.missing], [503, 'failed', 1])
  assert.equal((await call('GET', '/health/checks/protocol-listener/amqp')).status, 200)
  assert.equal((await call('GET', '/health/checks/protocol-listener/mqtt')).status, 503)
  assert.deepEqual((await call('GET', '/aliveness-test/%2F')).json, { status: 'ok' })
  assert.deepEqual((await call('GET', '/queues')).json, [], 'the test leaves nothing behind')
  const [node] = (await call('GET', '/nodes')).json
  assert.deepEqual([node.running, node.mem_alarm, node.disk_free_alarm, node.os_pid], [true, false, false, String(process.pid)])
  assert.equal((await call('GET', `/nodes/${node.name}`)).json.name, node.name)
  assert.deepEqual((await call('GET', '/whoami')).json, { name: 'guest', tags: ['administrator'] })
})
