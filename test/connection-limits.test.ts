/** A limit on a vhost's connections is told by every protocol in its own words, whoever holds the places. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { after, before, test } from 'node:test'
import { type EmbeddedBroker, startBroker } from '../src/index.ts'

let broker: EmbeddedBroker
const open: Socket[] = []

before(async () => {
  broker = await startBroker({
    protocols: [
      'amqp',
      'rabbitmq-management',
      'rabbitmq-stream',
      'stomp',
      'mqtt',
      'nats',
      'kafka',
      'redis',
      'disque',
      'beanstalkd',
      'nsq',
    ],
  })
})
after(async () => {
  for (const socket of open) socket.destroy()
  await broker.close()
})

async function limit(connections: number): Promise<void> {
  const response = await fetch(`${broker.url('rabbitmq-management')}/api/vhost-limits/%2F/max-connections`, {
    method: 'PUT',
    body: JSON.stringify({ value: connections }),
  })
  assert.equal(response.status, 201)
}

/** Sends and waits until what came so far fits, or the connection has ended. */
async function answer(protocol: string, sent: Buffer | string, enough: RegExp): Promise<string> {
  const socket = connect(broker.port(protocol), '127.0.0.1')
  open.push(socket)
  socket.write(sent)
  let text = ''
  return await new Promise((resolve) => {
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
      if (enough.test(text)) resolve(text)
    })
    socket.on('error', () => undefined)
    socket.on('close', () => resolve(text))
  })
}

const stomp = 'CONNECT\naccept-version:1.2\nhost:/\n\n\0'
const nats = 'CONNECT {"verbose":true}\r\n'
const mqtt = (level: number, properties: string): Buffer => {
  const body = Buffer.concat([
    Buffer.from(`\0\x04MQTT${String.fromCharCode(level)}\x02\0\0`, 'latin1'),
    Buffer.from(`${properties}\0\x01a`, 'latin1'),
  ])
  return Buffer.concat([Buffer.from([0x10, body.length]), body])
}
/** Metadata, version 0, of no topic. */
const kafka = Buffer.from('\0\0\0\x10\0\x03\0\0\0\0\0\x01\0\x02me\0\0\0\0', 'latin1')

test('each protocol says that the vhost has all the connections it may have', async () => {
  await limit(1)
  assert.match(await answer('stomp', stomp, /CONNECTED|ERROR/), /^CONNECTED/)
  assert.match(
    await answer('stomp', stomp, /body|\0/),
    /^ERROR\nmessage:resource_error[\s\S]*namespace "default" has the 1 connections that it may have/,
  )
  assert.match(await answer('nats', nats, /\+OK|-ERR/), /-ERR 'maximum connections exceeded'/)
  assert.equal(await answer('mqtt', mqtt(4, ''), /^..../s), '\x20\x02\0\x03', 'CONNACK: server unavailable')
  assert.equal((await answer('mqtt', mqtt(5, '\0'), /^..../s)).charCodeAt(3), 0x97, 'CONNACK: quota exceeded')
  assert.equal(await answer('kafka', kafka, /./s), '', 'Kafka closes what is above its limits')
  assert.equal(await answer('redis', 'PING\r\n', /\n/), '-ERR max number of clients reached\r\n')
  assert.equal(await answer('disque', 'PING\r\n', /\n/), '-ERR max number of clients reached\r\n')
  assert.equal(await answer('beanstalkd', 'list-tubes\r\n', /\n/), 'OUT_OF_MEMORY\r\n')
  assert.match(await answer('nsqd', '  V2NOP\n', /E_/), /E_INVALID namespace "default" has the 1 connections that it may have/)
  await limit(2)
  assert.match(await answer('nats', nats, /\+OK|-ERR/), /\+OK/)
  assert.match(await answer('stomp', stomp, /CONNECTED|ERROR/), /^ERROR/)
})

for (const [protocol, asked, answered] of [
  ['redis', 'PING\r\n', /^\+PONG/],
  ['disque', 'PING\r\n', /^\+PONG/],
  ['beanstalkd', 'list-tube-used\r\n', /^USING/],
  ['nsqd', '  V2PUB\x20t\n\0\0\0\x01a', /OK$/],
] as const)
  test(`a connection over ${protocol} takes one of the places`, async () => {
    await limit(100)
    for (const socket of open.splice(0)) {
      if (socket.closed) continue
      socket.destroy()
      await once(socket, 'close')
    }
    await limit(1)
    // Those that have gone are noticed a little later.
    const deadline = Date.now() + 10_000
    while (!answered.test(await answer(protocol, asked, /\n|OK$|E_/))) assert.ok(Date.now() < deadline)
    assert.match(await answer('nats', nats, /\+OK|-ERR/), /-ERR 'maximum connections exceeded'/)
  })
