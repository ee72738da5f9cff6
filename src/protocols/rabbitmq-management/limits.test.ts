// Limits of vhosts and users, parameters, and what else a vhost is given: set over the API, enforced on AMQP clients, carried by definitions.
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { beforeEach, test } from 'node:test'
import amqplib, { type Channel, type ChannelModel } from 'amqplib'
import { Machine } from '../../../test/support/machine.ts'
import { Management } from '../../../test/support/management.ts'
import { FrameDecoder, FrameResult, methodFrame, protocolHeader } from '../amqp/codec.ts'
import { decodeMethod, type MethodName } from '../amqp/methods.ts'
import { globalParametersMax, putGlobalParameter } from './global-parameters.ts'

const management = new Management()
const { call } = management
const limited = (of: string, name: string, value: unknown) => call('PUT', `/${of}/${name}`, { value })

beforeEach(async () => {
  for (const name of ['max-queues', 'max-connections']) await call('DELETE', `/vhost-limits/%2F/${name}`)
})

/** The error with which the broker ends the channel or connection. */
async function refusal(use: () => Promise<unknown>): Promise<string> {
  const error = await use().then(
    () => new Error('nothing was refused'),
    (cause: Error) => cause,
  )
  return error.message.replace(/^.*?"(.*)".*$/s, '$1')
}

/** How the broker closes a connection that only opens a vhost; amqplib does not say. */
async function openRefusal(login: string, vhost: string): Promise<string> {
  const socket = connect(management.broker.port('amqp'), '127.0.0.1')
  const decoder = new FrameDecoder()
  const answers: Partial<Record<MethodName, () => Buffer>> = {
    'connection.start': () =>
      methodFrame(0, 'connection.start-ok', {
        clientProperties: new Map(),
        mechanism: 'PLAIN',
        response: Buffer.from(`\0${login.replace(':', '\0')}`),
        locale: 'en_US',
      }),
    'connection.tune': () =>
      Buffer.concat([
        methodFrame(0, 'connection.tune-ok', { channelMax: 2047, frameMax: 131_072, heartbeat: 0 }),
        methodFrame(0, 'connection.open', { virtualHost: vhost, capabilities: '', insist: false }),
      ]),
  }
  socket.write(protocolHeader)
  try {
    for await (const chunk of socket) {
      decoder.push(chunk as Buffer)
      while (decoder.next() === FrameResult.Frame) {
        const method = decodeMethod(decoder.buffer, decoder.start, decoder.end)
        if (method?.name === 'connection.close') return method.fields.replyText
        const answer = method === undefined ? undefined : answers[method.name]
        if (answer !== undefined) socket.write(answer())
      }
    }
  } finally {
    socket.destroy()
  }
  return 'the connection ended'
}

async function channelOf(
  login = 'guest:guest',
  vhost = '%2F',
): Promise<{ connection: ChannelModel; channel: Channel; close(): Promise<void> }> {
  const connection = await amqplib.connect(
    `${management.broker.url('amqp').replace('//', `//${login}@`).replace(/\/$/, '')}/${vhost}`,
  )
  connection.on('error', () => undefined)
  const channel = await connection.createChannel()
  channel.on('error', () => undefined)
  return { connection, channel, close: () => connection.close() }
}

test('a vhost takes so many queues, over AMQP and over the API', async () => {
  assert.equal((await limited('vhost-limits', '%2F/max-queues', 1)).status, 201)
  const channel = await management.channel()
  channel.on('error', () => undefined)
  await channel.assertQueue('one')
  await channel.assertQueue('one')
  const text = "PRECONDITION_FAILED - cannot declare queue 'two': queue limit in vhost '/' (1) is reached"
  assert.equal(await refusal(() => channel.assertQueue('two')), text)
  const { status, json } = await call('PUT', '/queues/%2F/two', {})
  assert.deepEqual([status, json.reason.includes("queue limit in vhost '/' (1) is reached")], [400, true])
  assert.deepEqual((await call('GET', '/vhost-limits')).json, [{ vhost: '/', value: { 'max-queues': 1 } }])
  assert.equal((await call('DELETE', '/vhost-limits/%2F/max-queues')).status, 204)
  assert.deepEqual((await call('GET', '/vhost-limits/%2F')).json, [])
  assert.equal((await call('PUT', '/queues/%2F/two', {})).status, 201)
})

test('a vhost takes so many connections', async () => {
  await call('PUT', '/vhosts/shop', {})
  await limited('vhost-limits', 'shop/max-connections', 1)
  const first = await channelOf('guest:guest', 'shop')
  const text = "NOT_ALLOWED - access to vhost 'shop' refused for user 'guest': connection limit (1) is reached"
  assert.equal(await openRefusal('guest:guest', 'shop'), text)
  await (await channelOf()).close()
  await first.close()
  await (await channelOf('guest:guest', 'shop')).close()
  await limited('vhost-limits', 'shop/max-connections', -1)
  assert.deepEqual((await call('GET', '/vhost-limits/shop')).json, [])
})

test('a user has so many connections and channels', async () => {
  await call('PUT', '/users/root', { password: 'secret', tags: 'administrator' })
  const root = management.as('root:secret')
  await root('PUT', '/users/ada', { password: 'love', tags: '' })
  await root('PUT', '/permissions/%2F/ada', { configure: '', write: '', read: '' })
  assert.equal((await root('PUT', '/user-limits/ada/max-connections', { value: 2 })).status, 201)
  assert.equal((await root('PUT', '/user-limits/ada/max-channels', { value: 2 })).status, 201)
  assert.deepEqual((await root('GET', '/users/ada')).json.limits, { 'max-connections': 2, 'max-channels': 2 })
  assert.deepEqual((await root('GET', '/user-limits')).json, [
    { user: 'ada', value: { 'max-connections': 2, 'max-channels': 2 } },
  ])
  const first = await channelOf('ada:love')
  const second = await channelOf('ada:love')
  assert.equal(
    await openRefusal('ada:love', '/'),
    "NOT_ALLOWED - connection refused for user 'ada': user connection limit (2) is reached",
  )
  await first.close()
  const again = await channelOf('ada:love')
  assert.equal(
    await new Promise<string>((resolve) => {
      again.connection.on('error', ({ message }: Error) => resolve(message.replace(/^.*?"(.*)".*$/s, '$1')))
      again.connection.createChannel().catch(() => undefined)
    }),
    "NOT_ALLOWED - number of channels opened for user 'ada' has reached the maximum allowed user limit of (2)",
  )
  await second.close()
  await root('DELETE', '/users/ada')
  assert.deepEqual((await root('GET', '/user-limits')).json, [])
})

test('what is no limit, and whose there is none, is refused', async () => {
  const reason = async (path: string, body: unknown) => {
    const { status, json } = await call('PUT', path, body)
    return `${status} ${json.reason}`
  }
  assert.equal(await reason('/vhost-limits/none/max-queues', { value: 1 }), '404 vhost_not_found')
  assert.equal(await reason('/user-limits/nobody/max-channels', { value: 1 }), '404 Not Found')
  assert.equal(await reason('/vhost-limits/%2F/max-queues', {}), '400 [{key_missing,value}]')
  const validation = '400 Validation failed\n\n'
  assert.equal(
    await reason('/vhost-limits/%2F/max-queues', { value: 'x' }),
    `${validation}max-queues should be a number, actually was "x"\n`,
  )
  assert.equal(
    await reason('/vhost-limits/%2F/max-x', { value: 1 }),
    `${validation}Unrecognised terms [{<<"max-x">>,1}] in limits\n`,
  )
})

test('parameters: limits and operator policies, and no others', async () => {
  const limits = { component: 'vhost-limits', vhost: '/', name: 'limits', value: { 'max-queues': 7 } }
  assert.equal((await call('PUT', '/parameters/vhost-limits/%2F/limits', limits)).status, 201)
  assert.equal((await call('PUT', '/parameters/vhost-limits/%2F/limits', limits)).status, 204)
  assert.deepEqual((await call('GET', '/parameters/vhost-limits/%2F/limits')).json, limits)
  assert.deepEqual((await call('GET', '/parameters')).json, [limits])
  assert.deepEqual((await call('GET', '/parameters/operator_policy')).json, [])
  const policy = { pattern: '.', definition: { expires: 1000 }, 'apply-to': 'queues', priority: 1 }
  assert.equal((await call('PUT', '/parameters/operator_policy/%2F/p', { value: policy })).status, 201)
  assert.deepEqual((await call('GET', '/operator-policies/%2F/p')).json.definition, { expires: 1000 })
  assert.equal((await call('DELETE', '/parameters/operator_policy/%2F/p')).status, 204)
  assert.equal((await call('DELETE', '/parameters/operator_policy/%2F/p')).status, 404)
  assert.equal(
    (await call('PUT', '/parameters/shovel/%2F/s', { value: {} })).json.reason,
    'Validation failed\n\ncomponent shovel not found\n',
  )
  assert.equal((await call('DELETE', '/parameters/vhost-limits/%2F/limits')).status, 204)
  assert.deepEqual((await call('GET', '/parameters')).json, [])
})

test('global parameters come back as they were set; those that a missing part would read are refused', async () => {
  const value = { region: 'north', racks: [1, 2] }
  assert.equal((await call('PUT', '/global-parameters/site', { name: 'site', value })).status, 201)
  assert.equal((await call('PUT', '/global-parameters/site', { name: 'site', value })).status, 204)
  assert.deepEqual((await call('GET', '/global-parameters/site')).json, { name: 'site', value })
  const { json: definitions } = await call('GET', '/definitions')
  assert.deepEqual(definitions.global_parameters, [{ name: 'site', value }])
  assert.equal((await call('DELETE', '/global-parameters/site')).status, 204)
  assert.equal((await call('DELETE', '/global-parameters/site')).status, 404)
  assert.equal((await call('POST', '/definitions', { global_parameters: [{ name: 'site', value }] })).status, 200)
  assert.equal((await call('GET', '/global-parameters')).json.length, 3)
  await call('DELETE', '/global-parameters/site')
  for (const name of ['cluster_name', 'mqtt_port_to_vhost_mapping'])
    assert.equal((await call('PUT', `/global-parameters/${name}`, { value: 'x' })).status, 400)
  assert.equal((await call('PUT', '/global-parameters/big', { value: 'x'.repeat(70_000) })).status, 400)
})

test('there are so many global parameters at most', async () => {
  const machine = new Machine()
  const broker = await machine.start()
  for (let i = 0; i < globalParametersMax; i++) broker.rows('rabbitmq global parameters').put(`p${i}`, '1')
  await assert.rejects(putGlobalParameter(broker, 'more', 1), /at most/)
  await putGlobalParameter(broker, 'p7', 2)
  await machine.stop()
})

test('a vhost has a type for queues that say none', async () => {
  await call('PUT', '/vhosts/shop', { default_queue_type: 'quorum' })
  assert.equal((await call('GET', '/vhosts/shop')).json.default_queue_type, 'quorum')
  const { channel, close } = await channelOf('guest:guest', 'shop')
  await channel.assertQueue('plain')
  await channel.assertQueue('plain')
  await channel.assertQueue('plain', { arguments: { 'x-queue-type': 'quorum' } })
  await channel.assertQueue('said', { arguments: { 'x-queue-type': 'classic' } })
  await channel.assertQueue('short', { durable: false })
  await channel.assertQueue('mine', { exclusive: true })
  await channel.assertQueue('')
  const types = (await call('GET', '/queues/shop?columns=name,type')).json as { name: string; type: string }[]
  const quorum = types.filter(({ type }) => type === 'quorum').map(({ name }) => name)
  assert.deepEqual([types.length, quorum], [5, ['plain']])
  await close()
})

test('a protected vhost is not deleted', async () => {
  await call('PUT', '/vhosts/shop', {})
  assert.equal((await call('POST', '/vhosts/shop/deletion/protection')).status, 201)
  const { status, json } = await call('DELETE', '/vhosts/shop')
  assert.deepEqual([status, json.reason], [412, "Refusing to delete virtual host 'shop' because it is protected from deletion"])
  assert.equal((await call('DELETE', '/vhosts/shop/deletion/protection')).status, 204)
  assert.equal((await call('DELETE', '/vhosts/shop')).status, 204)
})

test('limits are exported with definitions, and set when they are imported', async () => {
  await call('PUT', '/vhosts/shop', {})
  await limited('vhost-limits', 'shop/max-queues', 3)
  const { json } = await call('GET', '/definitions')
  assert.deepEqual(json.parameters, [{ component: 'vhost-limits', vhost: 'shop', name: 'limits', value: { 'max-queues': 3 } }])
  await call('DELETE', '/vhosts/shop')
  assert.deepEqual((await call('GET', '/vhost-limits')).json, [])
  assert.equal((await call('POST', '/definitions', json)).status, 200)
  assert.deepEqual((await call('GET', '/vhost-limits/shop')).json, [{ vhost: 'shop', value: { 'max-queues': 3 } }])
})
