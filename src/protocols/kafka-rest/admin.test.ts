// Version 3's administration: what it shows and changes is what Kafka's own clients see and change, and refuses what they are refused.
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { after, before, test } from 'node:test'
import { Kafka, logLevel } from 'kafkajs'
import { portOf, startTestBroker } from '../../../test/support/running.ts'
import { SystemClock } from '../../lib/timers.ts'
import type { RunningBroker } from '../../server/start.ts'

let running: RunningBroker
let kafka: Kafka
let cluster: string
const login = { mechanism: 'plain', username: 'root', password: 'secret' } as const

before(async () => {
  running = await startTestBroker({
    only: ['kafka', 'kafka-rest'],
    clock: new SystemClock(),
    advertise: new Map([['kafka', { host: 'broker.example', port: 19092 }]]),
  })
  const { users } = running.broker
  await users.put('root', { password: 'secret', admin: true })
  const permissions = [{ namespace: 'default', publish: '', consume: 'orders', manage: '' }]
  await users.put('reader', { password: 'secret', permissions })
  cluster = running.broker.clusterId
  await call('POST', '/topics', {
    topic_name: 'orders',
    partitions_count: 2,
    configs: [{ name: 'retention.ms', value: '60000' }],
  })
})
after(() => running.stop())

// biome-ignore lint/suspicious/noExplicitAny: answers are looked into freely, and a wrong shape fails the test anyway
type Answer = { status: number; json: any }

async function call(method: string, path: string, body?: object, user = 'root'): Promise<Answer> {
  const headers = {
    'content-type': 'application/json',
    authorization: `Basic ${Buffer.from(`${user}:secret`).toString('base64')}`,
  }
  const content = body === undefined ? {} : { body: JSON.stringify(body) }
  const url = `http://127.0.0.1:${portOf(running, 'kafka-rest')}/v3/clusters/${cluster}${path}`
  const response = await fetch(url, { method, headers, ...content })
  const text = await response.text()
  return { status: response.status, json: text === '' ? null : JSON.parse(text) }
}

/** The code of its error, or its status. */
async function code(method: string, path: string, body?: object, user = 'root'): Promise<number> {
  const { status, json } = await call(method, path, body, user)
  return json?.error_code ?? status
}

test('the broker, and the replicas of a partition', async () => {
  const { json } = await call('GET', '/brokers')
  assert.deepEqual(
    json.data.map((each: Answer['json']) => [each.kind, each.broker_id, each.host, each.port]),
    [['KafkaBroker', 1, 'broker.example', 19092]],
  )
  assert.equal((await call('GET', '/brokers/1')).json.broker_id, 1)
  assert.equal(await code('GET', '/brokers/2'), 404)
  const replicas = (await call('GET', '/topics/orders/partitions/1/replicas')).json.data
  assert.deepEqual(
    replicas.map((each: Answer['json']) => [each.broker_id, each.partition_id, each.is_leader, each.is_in_sync]),
    [[1, 1, true, true]],
  )
  assert.equal((await call('GET', '/topics/orders/partitions/1/replicas/1')).json.kind, 'KafkaReplica')
  assert.equal(await code('GET', '/topics/orders/partitions/7/replicas'), 40402)
})

test('configs of a topic are listed, set, altered together and forgotten', async () => {
  const path = '/topics/orders/configs'
  const { json: retention } = await call('GET', `${path}/retention.ms`)
  assert.deepEqual(
    [retention.kind, retention.topic_name, retention.value, retention.is_default, retention.source],
    ['KafkaTopicConfig', 'orders', '60000', false, 'DYNAMIC_TOPIC_CONFIG'],
  )
  assert.deepEqual(retention.synonyms, [{ name: 'retention.ms', value: '60000', source: 'DYNAMIC_TOPIC_CONFIG' }])
  assert.equal(await code('PUT', `${path}/retention.ms`, { value: '70000' }), 204)
  const changes = [
    { name: 'max.message.bytes', value: '5000' },
    { name: 'retention.ms', operation: 'DELETE' },
  ]
  assert.equal(await code('POST', `${path}:alter`, { data: changes, validate_only: true }), 204)
  assert.equal((await call('GET', `${path}/retention.ms`)).json.value, '70000')
  assert.equal(await code('POST', `${path}:alter`, { data: changes }), 204)
  const all = new Map((await call('GET', path)).json.data.map((each: Answer['json']) => [each.name, each]))
  assert.deepEqual(
    [(all.get('max.message.bytes') as Answer['json']).value, (all.get('retention.ms') as Answer['json']).is_default],
    ['5000', true],
  )
  assert.equal(await code('DELETE', `${path}/max.message.bytes`), 204)
  assert.equal((await call('GET', `${path}/max.message.bytes`)).json.value, '1048588')
  assert.equal(await code('PUT', `${path}/retention.ms`, { value: 'long' }), 40002)
  assert.equal(await code('GET', `${path}/no.such`), 404)
  assert.equal(await code('DELETE', `${path}/no.such`), 404)
  assert.equal(await code('GET', '/topics/missing/configs'), 40401)
  assert.equal(await code('POST', `${path}:alter`, { data: [{ name: 'retention.ms', value: '1', operation: 'APPEND' }] }), 400)
})

test('configs of the broker, and of all brokers', async () => {
  assert.equal((await call('GET', '/brokers/1/configs/num.partitions')).json.is_read_only, true)
  assert.deepEqual((await call('GET', '/broker-configs')).json.data, [])
  assert.equal(await code('PUT', '/broker-configs/log.retention.ms', { value: '90000' }), 204)
  const { json } = await call('GET', '/brokers/1/configs/log.retention.ms')
  assert.deepEqual(
    [json.kind, json.broker_id, json.value, json.source],
    ['KafkaBrokerConfig', 1, '90000', 'DYNAMIC_DEFAULT_BROKER_CONFIG'],
  )
  assert.equal((await call('GET', '/broker-configs/log.retention.ms')).json.kind, 'KafkaClusterConfig')
  assert.equal(await code('DELETE', '/broker-configs/log.retention.ms'), 204)
  assert.equal(await code('GET', '/broker-configs/log.retention.ms'), 404)
  assert.equal(await code('PUT', '/brokers/1/configs/num.partitions', { value: '3' }), 40002)
})

test('a consumer group: its members, what they have, and how far behind they are', async () => {
  kafka = new Kafka({
    brokers: [`127.0.0.1:${portOf(running, 'kafka')}`],
    logLevel: logLevel.NOTHING,
    sasl: login,
    // The address that the broker advertises is nobody's.
    socketFactory: ({ onConnect }) => connect(portOf(running, 'kafka'), '127.0.0.1', onConnect),
  })
  const producer = kafka.producer()
  await producer.connect()
  await producer.send({ topic: 'orders', messages: ['a', 'b', 'c'].map((value) => ({ value, partition: 0 })) })
  await producer.send({ topic: 'orders', messages: [{ value: 'd', partition: 1 }] })
  await producer.disconnect()
  const admin = kafka.admin()
  await admin.connect()
  await admin.setOffsets({
    groupId: 'workers',
    topic: 'orders',
    partitions: [
      { partition: 0, offset: '1' },
      { partition: 1, offset: '1' },
    ],
  })
  await admin.disconnect()
  const path = '/consumer-groups/workers'
  const empty = (await call('GET', path)).json
  assert.deepEqual([empty.kind, empty.consumer_group_id, empty.state], ['KafkaConsumerGroup', 'workers', 'EMPTY'])
  const consumer = kafka.consumer({ groupId: 'workers' })
  await consumer.connect()
  await consumer.subscribe({ topic: 'orders' })
  const joined = new Promise<void>((resolve) => void consumer.on(consumer.events.GROUP_JOIN, () => resolve()))
  // It reads nothing, so that it stays behind.
  const held = Promise.withResolvers<void>()
  await consumer.run({ autoCommit: false, eachMessage: () => held.promise })
  await joined
  const { json: group } = await call('GET', path)
  assert.deepEqual([group.state, group.partition_assignor, group.is_simple], ['STABLE', 'RoundRobinAssigner', false])
  const [member] = (await call('GET', `${path}/consumers`)).json.data
  assert.deepEqual([member.kind, member.client_id], ['KafkaConsumer', 'kafkajs'])
  assert.equal((await call('GET', `${path}/consumers/${member.consumer_id}`)).json.consumer_id, member.consumer_id)
  const assignments = (await call('GET', `${path}/consumers/${member.consumer_id}/assignments`)).json.data
  assert.deepEqual(assignments.map((each: Answer['json']) => [each.topic_name, each.partition_id]).sort(), [
    ['orders', 0],
    ['orders', 1],
  ])
  const lags = (await call('GET', `${path}/lags`)).json.data
  assert.deepEqual(
    lags
      .map((each: Answer['json']) => [each.partition_id, each.current_offset, each.log_end_offset, each.lag, each.consumer_id])
      .sort(),
    [
      [0, 1, 3, 2, member.consumer_id],
      [1, 1, 1, 0, member.consumer_id],
    ],
  )
  assert.equal((await call('GET', `${path}/lags/orders/partitions/0`)).json.lag, 2)
  const { json: summary } = await call('GET', `${path}/lag-summary`)
  assert.deepEqual(
    [summary.max_lag, summary.total_lag, summary.max_lag_topic_name, summary.max_lag_partition_id, summary.max_lag_consumer_id],
    [2, 2, 'orders', 0, member.consumer_id],
  )
  assert.deepEqual(
    (await call('GET', '/consumer-groups')).json.data.map((each: Answer['json']) => each.consumer_group_id),
    ['workers'],
  )
  assert.equal(await code('GET', '/consumer-groups/nobodys'), 404)
  held.resolve()
  await consumer.disconnect()
})

test('access control lists are made, found and deleted', async () => {
  const acl = {
    resource_type: 'TOPIC',
    resource_name: 'bills',
    pattern_type: 'PREFIXED',
    principal: 'User:alice',
    host: '*',
    operation: 'READ',
    permission: 'ALLOW',
  }
  assert.equal(await code('POST', '/acls', acl), 201)
  assert.equal(await code('POST', '/acls', { ...acl, principal: 'User:bob' }), 201)
  const found = (await call('GET', '/acls?principal=User:alice')).json.data
  assert.equal(found.length, 1)
  for (const [name, value] of Object.entries(acl)) assert.equal(found[0][name], value, name)
  assert.equal(await code('DELETE', '/acls?principal=User:alice'), 400)
  const deleted = await call(
    'DELETE',
    '/acls?resource_type=TOPIC&pattern_type=ANY&operation=ANY&permission=ANY&principal=User:alice',
  )
  assert.deepEqual([deleted.status, deleted.json.data.length], [200, 1])
  assert.equal((await call('GET', '/acls')).json.data.length, 1)
  assert.equal(await code('POST', '/acls', { ...acl, operation: 'PAINT' }), 400)
  assert.equal(await code('POST', '/acls', { ...acl, host: 'client.example' }), 40002)
  assert.equal(await code('GET', '/acls?colour=red'), 400)
})

test('several access control lists are made at once', async () => {
  const entry = {
    resource_type: 'GROUP',
    pattern_type: 'LITERAL',
    principal: 'User:carol',
    operation: 'READ',
    permission: 'ALLOW',
  }
  const data = ['one', 'two'].map((resource_name) => ({ ...entry, resource_name, host: '10.0.0.1' }))
  assert.equal(await code('POST', '/acls:batch', { data }), 201)
  assert.equal((await call('GET', '/acls?principal=User:carol&host=10.0.0.1')).json.data.length, 2)
  assert.equal(await code('POST', '/acls:batch', { data: [{ ...data[0], host: 'client.example' }] }), 40002)
  assert.equal(await code('POST', '/acls:batch', { data: [{ ...data[0], colour: 'red' }] }), 422)
})

test('topics are made as Kafka makes them, grown, shown with all their configs, and none of them moves', async () => {
  assert.equal(await code('POST', '/topics', { topic_name: 'grown', configs: [{ name: 'retention.ms', value: '1000' }] }), 201)
  assert.equal(await code('POST', '/topics', { topic_name: 'grown' }), 40002)
  assert.equal(await code('POST', '/topics', { topic_name: 'no good!' }), 40002)
  assert.equal(await code('POST', '/topics', { topic_name: 'copied', replication_factor: 3 }), 40002)
  assert.equal(await code('POST', '/topics', { topic_name: 'half', partitions_count: 1.5 }), 400)
  assert.equal((await call('PATCH', '/topics/grown', { partitions_count: 3 })).json.partitions_count, 3)
  assert.equal(await code('PATCH', '/topics/grown', { partitions_count: 2 }), 40002)
  assert.equal(await code('PATCH', '/topics/grown', { partitions_count: 4 }, 'reader'), 40301)
  const { kind, data } = (await call('GET', '/topics/-/configs')).json
  const own = data.find((each: Answer['json']) => each.topic_name === 'grown' && each.name === 'retention.ms')
  assert.deepEqual([kind, own.value], ['KafkaTopicConfigList', '1000'])
  for (const path of ['/topics/-/partitions/-/reassignment', '/topics/grown/partitions/-/reassignment'])
    assert.deepEqual((await call('GET', path)).json.data, [])
  assert.equal(await code('GET', '/topics/grown/partitions/1/reassignment'), 404)
  assert.equal(await code('GET', '/topics/grown/partitions/7/reassignment'), 40402)
  assert.equal(await code('DELETE', '/topics/grown', undefined, 'reader'), 40301)
  assert.equal(await code('DELETE', '/topics/grown'), 204)
})

test('who has no rights is refused', async () => {
  assert.equal(await code('GET', '/acls', undefined, 'reader'), 40301)
  assert.equal(await code('GET', '/broker-configs', undefined, 'reader'), 40301)
  assert.equal(await code('GET', '/topics/orders/configs', undefined, 'reader'), 200)
  assert.equal(await code('PUT', '/topics/orders/configs/retention.ms', { value: '1' }, 'reader'), 40301)
  assert.equal(await code('GET', '/consumer-groups/workers', undefined, 'reader'), 40301)
  assert.deepEqual((await call('GET', '/consumer-groups', undefined, 'reader')).json.data, [])
})
