/** Conversations of protocol V2: flow control, deadlines, delays, what each error says, and what crosses. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { createInflateRaw, deflateRawSync, constants as zlib } from 'node:zlib'
import amqplib from 'amqplib'
import { type EmbeddedBroker, startBroker } from '../../index.ts'
import { NsqClient } from './client.testing.ts'

let broker: EmbeddedBroker
let port: number

before(async () => {
  broker = await startBroker({ protocols: ['nsq', 'amqp'] })
  port = broker.port('nsqd')
})
after(() => broker.close())

let topics = 0
const newTopic = (): string => `t${topics++}`

interface ChannelJson {
  channel_name: string
  depth: number
  in_flight_count: number
  deferred_count: number
  requeue_count: number
  timeout_count: number
  clients: { client_id: string }[]
}
interface TopicJson {
  topic_name: string
  depth: number
  paused: boolean
  channels: ChannelJson[]
}

async function statsOf(topic: string): Promise<TopicJson | undefined> {
  const response = await fetch(
    `http://127.0.0.1:${broker.port('nsqd-http')}/stats?format=json&topic=${encodeURIComponent(topic)}`,
  )
  return ((await response.json()) as { topics: TopicJson[] | null }).topics?.[0]
}

async function post(path: string): Promise<number> {
  return (await fetch(`http://127.0.0.1:${broker.port('nsqd-http')}${path}`, { method: 'POST' })).status
}

async function eventually(holds: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    if (await holds()) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error('it did not happen')
}

test('each channel gets every message from its creation on; the first also those before', async () => {
  const topic = newTopic()
  const producer = await NsqClient.connected(port)
  await producer.ok(`PUB ${topic}`, 'before')
  assert.equal((await statsOf(topic))?.depth, 1)
  const a = await NsqClient.subscribed(port, topic, 'a', 10)
  const b = await NsqClient.subscribed(port, topic, 'b', 10)
  await producer.ok(`PUB ${topic}`, 'after')
  assert.equal((await a.message()).body, 'before')
  assert.equal((await a.message()).body, 'after')
  const message = await b.message()
  assert.equal(message.body, 'after')
  assert.equal(message.attempts, 1)
  assert.match(message.id, /^[0-9a-f]{16}$/)
  assert.ok(Math.abs(Number(message.timestampNs / 1_000_000n) - broker.clock.now()) < 60_000)
  assert.equal((await statsOf(topic))?.depth, 0)
  for (const each of [producer, a, b]) each.close()
})

test('RDY is how many may be in flight; FIN makes room', async () => {
  const topic = newTopic()
  const consumer = await NsqClient.subscribed(port, topic, 'c', 2)
  const producer = await NsqClient.connected(port)
  for (const body of ['1', '2', '3', '4']) await producer.ok(`PUB ${topic}`, body)
  const first = await consumer.message()
  await consumer.message()
  await eventually(async () => (await statsOf(topic))?.channels[0]?.depth === 2)
  assert.equal((await statsOf(topic))?.channels[0]?.in_flight_count, 2)
  consumer.send(`FIN ${first.id}\n`)
  assert.equal((await consumer.message()).body, '3')
  // Zero stops, and what is in flight may still be finished.
  consumer.send('RDY 0\n')
  consumer.send(`FIN ${first.id}\n`)
  assert.deepEqual(await consumer.frame(), { type: 'error', text: `E_FIN_FAILED FIN ${first.id} failed ID not in flight` })
  consumer.send('RDY 3\n')
  assert.equal((await consumer.message()).body, '4')
  consumer.close()
  producer.close()
})

/** Resolves when the broker has read what was sent before. */
async function heard(client: NsqClient): Promise<void> {
  const nobodys = 'f'.repeat(16)
  assert.equal((await client.ask(`FIN ${nobodys}`)).text, `E_FIN_FAILED FIN ${nobodys} failed ID not in flight`)
}

test('a message whose time is over comes again, with one attempt more; TOUCH begins its time anew, up to 15 minutes in all', async () => {
  const topic = newTopic()
  const identity = { msg_timeout: 600_000, heartbeat_interval: 60_000 }
  const consumer = await NsqClient.subscribed(port, topic, 'c', 1, identity)
  const producer = await NsqClient.connected(port)
  await producer.ok(`PUB ${topic}`, 'x')
  producer.close()
  const { id } = await consumer.message()
  for (let step = 0; step < 8; step++) {
    await broker.clock.advance('100s')
    consumer.send(`TOUCH ${id}\n`)
    await heard(consumer)
  }
  await broker.clock.advance('95s')
  await heard(consumer)
  assert.equal((await statsOf(topic))?.channels[0]?.timeout_count, 0)
  await broker.clock.advance('10s')
  const again = await consumer.message()
  assert.deepEqual([again.id, again.attempts], [id, 2])
  assert.equal((await statsOf(topic))?.channels[0]?.timeout_count, 1)
  consumer.close()
})

test('REQ gives back, at once or after a delay of at most an hour; what waits is shown as deferred', async () => {
  const topic = newTopic()
  const consumer = await NsqClient.subscribed(port, topic, 'c', 1)
  const producer = await NsqClient.connected(port)
  await producer.ok(`PUB ${topic}`, 'x')
  const first = await consumer.message()
  consumer.send(`REQ ${first.id} 0\n`)
  const second = await consumer.message()
  assert.deepEqual([second.id, second.attempts], [first.id, 2])
  consumer.send(`REQ ${first.id} 999999999\n`)
  await heard(consumer)
  const channel = (await statsOf(topic))?.channels[0]
  assert.deepEqual([channel?.deferred_count, channel?.in_flight_count, channel?.depth, channel?.requeue_count], [1, 0, 0, 2])
  for (let minutes = 0; minutes < 59; minutes++) {
    await broker.clock.advance('1m')
    consumer.send('NOP\n')
    await heard(consumer)
  }
  await broker.clock.advance('1m')
  assert.equal((await consumer.message()).attempts, 3)
  consumer.close()
  producer.close()
})

test('DPUB comes when its time has come', async () => {
  const topic = newTopic()
  const consumer = await NsqClient.subscribed(port, topic, 'c', 1)
  const producer = await NsqClient.connected(port)
  await producer.ok(`DPUB ${topic} 20000`, 'later')
  await producer.ok(`PUB ${topic}`, 'now')
  const { id, body } = await consumer.message()
  assert.equal(body, 'now')
  consumer.send(`FIN ${id}\n`)
  await heard(consumer)
  assert.equal((await statsOf(topic))?.channels[0]?.deferred_count, 1)
  await broker.clock.advance('20s')
  assert.equal((await consumer.message()).body, 'later')
  consumer.close()
  producer.close()
})

test('what a connection had in flight is ready for others when it goes, and its ids are nobody else’s', async () => {
  const topic = newTopic()
  const first = await NsqClient.subscribed(port, topic, 'c', 1)
  const second = await NsqClient.subscribed(port, topic, 'c', 0)
  const producer = await NsqClient.connected(port)
  await producer.ok(`PUB ${topic}`, 'x')
  const { id } = await first.message()
  assert.equal((await second.ask(`FIN ${id}`)).text, `E_FIN_FAILED FIN ${id} failed client does not own message`)
  assert.equal((await second.ask(`TOUCH ${id}`)).text, `E_TOUCH_FAILED TOUCH ${id} failed client does not own message`)
  first.close()
  second.send('RDY 1\n')
  const again = await second.message()
  assert.deepEqual([again.id, again.attempts], [id, 2])
  second.close()
  producer.close()
})

test('CLS lets what is in flight be finished, and nothing more come', async () => {
  const topic = newTopic()
  const consumer = await NsqClient.subscribed(port, topic, 'c', 5)
  const producer = await NsqClient.connected(port)
  await producer.ok(`PUB ${topic}`, 'x')
  const { id } = await consumer.message()
  assert.deepEqual(await consumer.ask('CLS'), { type: 'response', text: 'CLOSE_WAIT' })
  consumer.send('RDY 5\n')
  consumer.send(`FIN ${id}\n`)
  await producer.ok(`PUB ${topic}`, 'y')
  await heard(consumer)
  assert.equal((await statsOf(topic))?.channels[0]?.depth, 1)
  consumer.close()
  producer.close()
})

test('MPUB is all of it, at any split of its bytes; answers come in the order of commands', async () => {
  const topic = newTopic()
  const messages = ['one', 'two', 'three'].map((body) => NsqClient.frame('', body).subarray(1))
  const count = Buffer.alloc(4)
  count.writeInt32BE(messages.length)
  const frame = NsqClient.frame(`MPUB ${topic}`, Buffer.concat([count, ...messages]))
  const producer = await NsqClient.connected(port)
  for (const byte of frame) {
    producer.send(Buffer.from([byte]))
    await new Promise((resolve) => setImmediate(resolve))
  }
  assert.equal((await producer.frame()).text, 'OK')
  producer.send(Buffer.concat([frame, NsqClient.frame(`PUB ${topic}`, 'four'), NsqClient.frame('BAD')]))
  assert.equal((await producer.frame()).text, 'OK')
  assert.equal((await producer.frame()).text, 'OK')
  assert.deepEqual(await producer.frame(), { type: 'error', text: 'E_INVALID invalid command BAD' })
  await producer.closed()
  assert.deepEqual(
    (await broker.messages(topic)).map(({ text }) => text),
    ['one', 'two', 'three', 'one', 'two', 'three', 'four'],
  )
})

test('every refusal has the words of the reference server, and ends the connection', async () => {
  const long = 'x'.repeat(65)
  const cases: readonly (readonly [Buffer, string])[] = [
    [NsqClient.frame('SUB a'), 'E_INVALID SUB insufficient number of parameters'],
    [NsqClient.frame('SUB a b!'), 'E_BAD_CHANNEL SUB channel name "b!" is not valid'],
    [NsqClient.frame(`SUB ${long} b`), `E_BAD_TOPIC SUB topic name "${long}" is not valid`],
    [NsqClient.frame('SUB  b'), 'E_BAD_TOPIC SUB topic name "" is not valid'],
    [NsqClient.frame('PUB'), 'E_INVALID PUB insufficient number of parameters'],
    [NsqClient.frame('PUB a"b\x01\xff'), 'E_BAD_TOPIC PUB topic name "a\\"b\\x01\\xff" is not valid'],
    [NsqClient.frame('MPUB #ephemeral'), 'E_BAD_TOPIC E_BAD_TOPIC MPUB topic name "#ephemeral" is not valid'],
    [NsqClient.frame('PUB a', ''), 'E_BAD_MESSAGE PUB invalid message body size 0'],
    [Buffer.concat([Buffer.from('PUB a\n'), Buffer.from([0, 16, 0, 1])]), 'E_BAD_MESSAGE PUB message too big 1048577 > 1048576'],
    [NsqClient.frame('MPUB a', ''), 'E_BAD_BODY MPUB invalid body size 0'],
    [NsqClient.frame('MPUB a', '\0\0\0\0'), 'E_BAD_BODY MPUB invalid message count 0'],
    [NsqClient.frame('MPUB a', '\0\0\0\x01\0\0\0\0'), 'E_BAD_MESSAGE MPUB invalid message(0) body size 0'],
    [NsqClient.frame('DPUB a'), 'E_INVALID DPUB insufficient number of parameters'],
    [NsqClient.frame('DPUB a 1s'), 'E_INVALID DPUB could not parse timeout 1s'],
    [NsqClient.frame('DPUB a 3600001'), 'E_INVALID DPUB timeout 3600001 out of range 0-3600000'],
    [NsqClient.frame('IDENTIFY', '{'), 'E_BAD_BODY IDENTIFY failed to decode JSON body'],
    [NsqClient.frame('IDENTIFY', '{"msg_timeout":1}'), 'E_BAD_BODY IDENTIFY msg timeout (1) is invalid'],
    [NsqClient.frame('IDENTIFY', '{"heartbeat_interval":60001}'), 'E_BAD_BODY IDENTIFY heartbeat interval (60001) is invalid'],
    [NsqClient.frame('IDENTIFY', '{"sample_rate":100}'), 'E_BAD_BODY IDENTIFY sample rate (100) is invalid'],
    [NsqClient.frame('IDENTIFY', '{"output_buffer_size":1}'), 'E_BAD_BODY IDENTIFY output buffer size (1) is invalid'],
    [
      NsqClient.frame('IDENTIFY', '{"feature_negotiation":true,"snappy":true,"deflate":true}'),
      'E_IDENTIFY_FAILED cannot enable both deflate and snappy compression',
    ],
    [NsqClient.frame('AUTH', 'a:b'), 'E_AUTH_DISABLED AUTH disabled'],
    [NsqClient.frame('AUTH x'), 'E_INVALID AUTH invalid number of parameters'],
    [NsqClient.frame('RDY 1'), 'E_INVALID cannot RDY in current state'],
    [NsqClient.frame(`FIN ${'0'.repeat(16)}`), 'E_INVALID cannot FIN in current state'],
    [NsqClient.frame('CLS'), 'E_INVALID cannot CLS in current state'],
    [NsqClient.frame(''), 'E_INVALID invalid command '],
  ]
  for (const [bytes, text] of cases) {
    const client = await NsqClient.connected(port)
    client.send(bytes)
    assert.deepEqual(await client.frame(), { type: 'error', text })
    await client.closed()
  }
  const subscribed: readonly (readonly [string, string])[] = [
    ['SUB a b', 'E_INVALID cannot SUB in current state'],
    ['IDENTIFY', 'E_INVALID cannot IDENTIFY in current state'],
    ['RDY 2501', 'E_INVALID RDY count 2501 out of range 0-2500'],
    ['RDY -1', 'E_INVALID RDY could not parse count -1'],
    ['FIN', 'E_INVALID FIN insufficient number of params'],
    ['FIN 1', 'E_INVALID invalid message ID'],
    [`REQ ${'0'.repeat(16)} x`, 'E_INVALID REQ could not parse timeout x'],
    [`TOUCH ${'0'.repeat(15)}`, 'E_INVALID invalid message ID'],
  ]
  for (const [line, text] of subscribed) {
    const client = await NsqClient.subscribed(port, 'refusals', 'c', 0)
    assert.deepEqual(await client.ask(line), { type: 'error', text })
    await client.closed()
  }
  const other = await NsqClient.connected(port, 'GET ')
  assert.deepEqual(await other.frame(), { type: 'error', text: 'E_BAD_PROTOCOL' })
  await other.closed()
})

test('with a sample rate a client gets about so many of a hundred, and the others are done', async () => {
  const topic = newTopic()
  const consumer = await NsqClient.subscribed(port, topic, 'c', 2500, { sample_rate: 50 })
  const producer = await NsqClient.connected(port)
  for (let batch = 0; batch < 10; batch++) {
    const messages = Array.from({ length: 100 }, () => NsqClient.frame('', 'x').subarray(1))
    const count = Buffer.alloc(4)
    count.writeInt32BE(messages.length)
    await producer.ok(`MPUB ${topic}`, Buffer.concat([count, ...messages]))
  }
  await eventually(async () => (await statsOf(topic))?.channels[0]?.depth === 0)
  const channel = (await statsOf(topic))?.channels[0]
  assert.ok(channel !== undefined && 350 < channel.in_flight_count && channel.in_flight_count < 650)
  consumer.close()
  producer.close()
})

test('who does not read is sent no more than the limit, whatever its RDY', async () => {
  const slow = await startBroker({ protocols: ['nsq'], limits: { outboundBytesMax: 64 * 1024 } })
  const producer = await NsqClient.connected(slow.port('nsqd'))
  const consumer = await NsqClient.subscribed(slow.port('nsqd'), 't', 'c', 0)
  const messages = 300
  for (let count = 0; count < messages; count++) await producer.ok('PUB t', 'x'.repeat(100_000))
  consumer.pause(true)
  consumer.send('RDY 2500\n')
  const inFlight = async (): Promise<number> => {
    const response = await fetch(`http://127.0.0.1:${slow.port('nsqd-http')}/stats?format=json&topic=t`)
    return ((await response.json()) as { topics: TopicJson[] }).topics[0]?.channels[0]?.in_flight_count ?? 0
  }
  let last = -1
  await eventually(async () => {
    const before = last
    last = await inFlight()
    return last > 0 && last === before
  })
  assert.ok(last < messages, `${last} of ${messages} were sent`)
  consumer.pause(false)
  for (let count = 0; count < messages; count++) assert.equal((await consumer.message()).body.length, 100_000)
  consumer.close()
  producer.close()
  await slow.close()
})

test('ephemeral channels and topics go with their last consumer', async () => {
  const topic = `${newTopic()}#ephemeral`
  const first = await NsqClient.subscribed(port, topic, 'c#ephemeral', 1)
  const second = await NsqClient.subscribed(port, topic, 'c#ephemeral', 1)
  first.close()
  const producer = await NsqClient.connected(port)
  await producer.ok(`PUB ${topic}`, 'x')
  assert.equal((await second.message()).body, 'x')
  second.close()
  await eventually(async () => (await statsOf(topic)) === undefined)
  producer.close()
})

test('pausing a channel or a topic stops delivery until it goes on; deleting ends its consumers', async () => {
  const topic = newTopic()
  const consumer = await NsqClient.subscribed(port, topic, 'c', 1)
  const producer = await NsqClient.connected(port)
  for (const thing of ['channel', 'topic']) {
    assert.equal(await post(`/${thing}/pause?topic=${topic}&channel=c`), 200)
    await producer.ok(`PUB ${topic}`, thing)
    await eventually(async () => {
      const stats = await statsOf(topic)
      return (thing === 'topic' ? stats : stats?.channels[0])?.depth === 1
    })
    assert.equal(await post(`/${thing}/unpause?topic=${topic}&channel=c`), 200)
    const { id, body } = await consumer.message()
    assert.equal(body, thing)
    consumer.send(`FIN ${id}\n`)
  }
  assert.equal(await post(`/channel/delete?topic=${topic}&channel=c`), 200)
  await consumer.closed()
  assert.equal(await post(`/channel/delete?topic=${topic}&channel=c`), 404)
  producer.close()
})

test('a paused topic keeps what is published, for all channels there are when it goes on, and its channels go on with what they have', async () => {
  const topic = newTopic()
  const producer = await NsqClient.connected(port)
  await producer.ok(`PUB ${topic}`, '1')
  // What nobody has read when it is paused stays, too.
  assert.equal(await post(`/topic/pause?topic=${topic}`), 200)
  const early = await NsqClient.subscribed(port, topic, 'early', 10)
  await heard(early)
  assert.equal((await statsOf(topic))?.depth, 1)
  assert.equal((await statsOf(topic))?.channels[0]?.depth, 0)
  assert.equal(await post(`/topic/unpause?topic=${topic}`), 200)
  assert.equal((await early.message()).body, '1')
  early.send('RDY 0\n')
  await producer.ok(`PUB ${topic}`, '2')
  assert.equal(await post(`/topic/pause?topic=${topic}`), 200)
  await producer.ok(`PUB ${topic}`, '3')
  const late = await NsqClient.subscribed(port, topic, 'late', 10)
  const elsewhere = await amqplib.connect(`amqp://127.0.0.1:${broker.port('amqp')}`)
  const channel = await elsewhere.createChannel()
  const others: string[] = []
  await channel.consume(topic, (message) => void others.push(String(message?.content)), { noAck: true })
  await eventually(async () => others.includes('3'))
  early.send('RDY 10\n')
  assert.equal((await early.message()).body, '2')
  await heard(late)
  const paused = await statsOf(topic)
  assert.deepEqual([paused?.paused, paused?.depth], [true, 1])
  assert.deepEqual(
    paused?.channels.map(({ depth, in_flight_count }) => [depth, in_flight_count]),
    [
      [0, 2],
      [0, 0],
    ],
  )
  assert.equal(await post(`/topic/unpause?topic=${topic}`), 200)
  assert.equal((await early.message()).body, '3')
  assert.equal((await late.message()).body, '3')
  // What a paused topic keeps is its own: emptied there, and kept when the last channel goes.
  assert.equal(await post(`/topic/pause?topic=${topic}`), 200)
  await producer.ok(`PUB ${topic}`, '4')
  assert.equal(await post(`/topic/empty?topic=${topic}`), 200)
  assert.equal((await statsOf(topic))?.depth, 0)
  await producer.ok(`PUB ${topic}`, '5')
  assert.equal(await post(`/topic/unpause?topic=${topic}`), 200)
  assert.equal((await late.message()).body, '5')
  for (const each of [early, late, producer]) each.close()
  await elsewhere.close()
})

test('what a paused topic keeps is there for its next channel when the last one goes', async () => {
  const topic = newTopic()
  const producer = await NsqClient.connected(port)
  assert.equal(await post(`/topic/create?topic=${topic}`), 200)
  assert.equal(await post(`/channel/create?topic=${topic}&channel=c`), 200)
  await producer.ok(`PUB ${topic}`, 'left')
  assert.equal(await post(`/topic/pause?topic=${topic}`), 200)
  await producer.ok(`PUB ${topic}`, 'kept')
  assert.equal(await post(`/channel/delete?topic=${topic}&channel=c`), 200)
  assert.equal((await statsOf(topic))?.depth, 1)
  const next = await NsqClient.subscribed(port, topic, 'd', 10)
  assert.equal(await post(`/topic/unpause?topic=${topic}`), 200)
  assert.equal((await next.message()).body, 'kept')
  next.close()
  producer.close()
})

test('emptying a channel takes what waits, what is delayed and what is in flight', async () => {
  const topic = newTopic()
  const consumer = await NsqClient.subscribed(port, topic, 'c', 2)
  const producer = await NsqClient.connected(port)
  for (const body of ['1', '2', '3', '4']) await producer.ok(`PUB ${topic}`, body)
  const [first, second] = [await consumer.message(), await consumer.message()]
  consumer.send(`RDY 1\nREQ ${first.id} 60000\n`)
  await heard(consumer)
  assert.equal(await post(`/channel/empty?topic=${topic}&channel=c`), 200)
  assert.equal((await consumer.ask(`FIN ${second.id}`)).text, `E_FIN_FAILED FIN ${second.id} failed ID not in flight`)
  await producer.ok(`PUB ${topic}`, '5')
  assert.equal((await consumer.message()).body, '5')
  const channel = (await statsOf(topic))?.channels[0]
  assert.deepEqual([channel?.depth, channel?.deferred_count, channel?.in_flight_count], [0, 0, 1])
  consumer.close()
  producer.close()
})

test('after its last channel a topic keeps what comes for its next one', async () => {
  const topic = newTopic()
  const producer = await NsqClient.connected(port)
  const consumer = await NsqClient.subscribed(port, topic, 'old', 0)
  await producer.ok(`PUB ${topic}`, 'for old')
  assert.equal(await post(`/channel/delete?topic=${topic}&channel=old`), 200)
  await consumer.closed()
  await producer.ok(`PUB ${topic}`, 'for new')
  assert.equal((await statsOf(topic))?.depth, 1)
  const next = await NsqClient.subscribed(port, topic, 'new', 1)
  assert.equal((await next.message()).body, 'for new')
  next.close()
  producer.close()
})

test('deflate goes around everything after IDENTIFY', async () => {
  const client = await NsqClient.connected(port)
  assert.equal((await client.identify({ deflate: true, deflate_level: 3 }))['deflate_level'], 3)
  const inflate = createInflateRaw({ flush: zlib.Z_SYNC_FLUSH })
  const opened: Buffer[] = []
  inflate.on('data', (bytes: Buffer) => opened.push(bytes))
  const until = async (bytes: number): Promise<Buffer> => {
    while (Buffer.concat(opened).length < bytes) {
      inflate.write(await client.raw())
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    return Buffer.concat(opened)
  }
  assert.equal((await until(10)).toString('latin1', 8), 'OK')
  client.send(deflateRawSync(NsqClient.frame(`PUB ${newTopic()}`, 'x'.repeat(100_000)), { finishFlush: zlib.Z_SYNC_FLUSH }))
  assert.equal((await until(20)).toString('latin1', 18), 'OK')
  client.send('what is not deflated')
  await client.closed()
})

test('a client that is not heard of for two heartbeats is closed', async () => {
  const client = await NsqClient.connected(port)
  await client.identify({ heartbeat_interval: 1000 })
  await broker.clock.advance('3s')
  await client.closed()
})

test('what AMQP publishes to the queue of its name reaches every channel, and AMQP consumes what NSQ publishes', async () => {
  const topic = newTopic()
  const connection = await amqplib.connect(broker.url('amqp'))
  const channel = await connection.createChannel()
  const a = await NsqClient.subscribed(port, topic, 'a', 5)
  const b = await NsqClient.subscribed(port, topic, 'b', 5)
  channel.sendToQueue(topic, Buffer.from('from AMQP'), { headers: { h: 1 } })
  assert.equal((await a.message()).body, 'from AMQP')
  assert.equal((await b.message()).body, 'from AMQP')
  const producer = await NsqClient.connected(port)
  await producer.ok(`PUB ${topic}`, 'from NSQ')
  const bodies: string[] = []
  await new Promise<void>((resolve, reject) => {
    const onMessage = (message: amqplib.ConsumeMessage | null): void => {
      bodies.push(message?.content.toString() ?? '')
      if (bodies.length === 2) resolve()
    }
    channel.consume(topic, onMessage, { noAck: true }).catch(reject)
  })
  assert.deepEqual(bodies, ['from AMQP', 'from NSQ'])
  await connection.close()
  for (const each of [a, b, producer]) each.close()
})

test('topics, channels, pauses and what waits outlive a restart', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'nsq-'))
  const begin = (): Promise<EmbeddedBroker> => startBroker({ protocols: ['nsq'], storage: { folder } })
  const first = await begin()
  const consumer = await NsqClient.subscribed(first.port('nsqd'), 'kept', 'c', 1)
  const producer = await NsqClient.connected(first.port('nsqd'))
  await producer.ok('PUB kept', 'done')
  const { id } = await consumer.message()
  consumer.send(`FIN ${id}\n`)
  await heard(consumer)
  await fetch(`http://127.0.0.1:${first.port('nsqd-http')}/channel/pause?topic=kept&channel=c`, { method: 'POST' })
  await producer.ok('PUB kept', 'waits')
  await fetch(`http://127.0.0.1:${first.port('nsqd-http')}/topic/pause?topic=kept`, { method: 'POST' })
  await producer.ok('PUB kept', 'is kept')
  await first.close()
  const second = await begin()
  const late = await NsqClient.subscribed(second.port('nsqd'), 'kept', 'c', 5)
  await heard(late)
  await fetch(`http://127.0.0.1:${second.port('nsqd-http')}/channel/unpause?topic=kept&channel=c`, { method: 'POST' })
  assert.equal((await late.message()).body, 'waits')
  await heard(late)
  await fetch(`http://127.0.0.1:${second.port('nsqd-http')}/topic/unpause?topic=kept`, { method: 'POST' })
  assert.equal((await late.message()).body, 'is kept')
  late.close()
  await second.close()
  rmSync(folder, { recursive: true })
})
