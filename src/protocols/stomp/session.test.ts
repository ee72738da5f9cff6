/** STOMP conversations over real sockets: connecting, queues, topics, acknowledgements, transactions, temporary queues, and every refusal. */
import assert from 'node:assert/strict'
import { connect, type Socket } from 'node:net'
import { after, before, test } from 'node:test'
import amqplib from 'amqplib'
import { type EmbeddedBroker, startBroker } from '../../index.ts'
import { encodeFrame, type Frame, FrameDecoder, Version } from './codec.ts'
import { temporariesMax } from './temporary.ts'

let broker: EmbeddedBroker

before(async () => {
  broker = await startBroker({ protocols: ['stomp', 'amqp'] })
})
after(() => broker.close())

class Client {
  readonly #socket: Socket
  readonly #decoder = new FrameDecoder({ bodyBytesMax: 1e7, headersMax: 1000, lineBytesMax: 1e5 })
  readonly #frames: Frame[] = []
  readonly #waiting: ((frame: Frame | null) => void)[] = []
  #ended = false
  version: Version = Version.V12

  constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk) => {
      this.#decoder.push(chunk)
      for (let frame = this.#decoder.next(); frame !== null; frame = this.#decoder.next()) {
        const waiting = this.#waiting.shift()
        if (waiting === undefined) this.#frames.push(frame)
        else waiting(frame)
      }
    })
    socket.on('error', () => undefined)
    socket.on('close', () => {
      this.#ended = true
      for (const waiting of this.#waiting.splice(0)) waiting(null)
    })
  }

  static async open(headers: Record<string, string> = {}): Promise<Client> {
    const socket = connect(broker.port('stomp'), '127.0.0.1')
    await new Promise((resolve) => socket.once('connect', resolve))
    const client = new Client(socket)
    client.send('CONNECT', { 'accept-version': '1.0,1.1,1.2', host: 'localhost', ...headers })
    return client
  }

  static async connected(headers: Record<string, string> = {}): Promise<Client> {
    const client = await Client.open(headers)
    const frame = await client.frame()
    assert.equal(frame?.command, 'CONNECTED', String(frame?.body))
    client.version = client.#decoder.version = frame.headers.get('version') as Version
    return client
  }

  send(command: string, headers: Record<string, string>, body = ''): void {
    this.#socket.write(encodeFrame(command, Object.entries(headers), Buffer.from(body), this.version))
  }

  raw(bytes: string): void {
    this.#socket.write(bytes)
  }

  /** The next frame, or null when the connection ends first. */
  async frame(): Promise<Frame | null> {
    const frame = this.#frames.shift()
    if (frame !== undefined) return frame
    if (this.#ended) return null
    return await new Promise((resolve) => this.#waiting.push(resolve))
  }

  async message(): Promise<Frame> {
    const frame = await this.frame()
    assert.equal(frame?.command, 'MESSAGE', String(frame?.body))
    return frame
  }

  /** Sends with a receipt and waits for it; MESSAGEs before it are kept for later. */
  async done(command: string, headers: Record<string, string>, body = ''): Promise<void> {
    const receipt = `r${Math.random()}`
    this.send(command, { ...headers, receipt }, body)
    const early: Frame[] = []
    for (;;) {
      const frame = await this.frame()
      if (frame?.command === 'MESSAGE') {
        early.push(frame)
        continue
      }
      assert.equal(frame?.command, 'RECEIPT', String(frame?.body))
      assert.equal(frame.headers.get('receipt-id'), receipt)
      this.#frames.unshift(...early)
      return
    }
  }

  async refused(command: string, headers: Record<string, string>, message: string | RegExp): Promise<void> {
    this.send(command, { ...headers, receipt: 'bad' })
    const frame = await this.frame()
    assert.equal(frame?.command, 'ERROR')
    assert.match(frame.headers.get('message') ?? '', typeof message === 'string' ? new RegExp(`^${message}$`) : message)
    assert.equal(frame.headers.get('receipt-id'), 'bad')
    assert.equal(await this.frame(), null, 'the connection ends')
  }

  close(): void {
    this.#socket.destroy()
  }
}

test('the highest common version is spoken; without one the client is told which there are', async () => {
  for (const [accepted, spoken] of [
    ['1.0,1.1,1.2', '1.2'],
    ['1.1', '1.1'],
    ['1.0', '1.0'],
    ['1.2,2.0', '1.2'],
  ] as const) {
    const client = await Client.open({ 'accept-version': accepted, 'heart-beat': '7000,3000' })
    const frame = await client.frame()
    assert.equal(frame?.headers.get('version'), spoken)
    assert.equal(frame.headers.get('heart-beat'), '3000,7000')
    client.close()
  }
  const client = await Client.open({ 'accept-version': '3.0' })
  assert.equal((await client.frame())?.headers.get('version'), '1.0,1.1,1.2')
  assert.equal(await client.frame(), null)
})

test('a queue keeps what is sent, with its headers, for a subscriber that comes later', async () => {
  const client = await Client.connected()
  await client.done(
    'SEND',
    { destination: '/queue/kept', persistent: 'true', colour: 'blue: and\nred', 'content-type': 'text/plain' },
    'hello\0there'.slice(0, 5),
  )
  client.send('SUBSCRIBE', { id: '1', destination: '/queue/kept', ack: 'client-individual' })
  const message = await client.message()
  assert.equal(String(message.body), 'hello')
  assert.equal(message.headers.get('colour'), 'blue: and\nred')
  assert.equal(message.headers.get('content-type'), 'text/plain')
  assert.equal(message.headers.get('destination'), '/queue/kept')
  assert.equal(message.headers.get('subscription'), '1')
  assert.equal(message.headers.get('redelivered'), 'false')
  await client.done('ACK', { id: message.headers.get('ack') ?? '' })
  assert.equal((await broker.messages('kept')).length, 0)
  await client.done('DISCONNECT', {})
  assert.equal(await client.frame(), null)
})

test('client mode acknowledges all before as well; what is not acknowledged comes back to another', async () => {
  const client = await Client.connected()
  for (const text of ['a', 'b', 'c', 'd']) await client.done('SEND', { destination: '/queue/many' }, text)
  client.send('SUBSCRIBE', { id: 's', destination: '/queue/many', ack: 'client' })
  const messages = [await client.message(), await client.message(), await client.message(), await client.message()]
  await client.done('ACK', { id: messages[1]?.headers.get('ack') ?? '' })
  client.close()
  const other = await Client.connected({ 'accept-version': '1.1' })
  other.send('SUBSCRIBE', { id: 't', destination: '/queue/many', ack: 'client-individual' })
  const again = await other.message()
  assert.deepEqual([String(again.body), again.headers.get('redelivered')], ['c', 'true'])
  assert.equal(again.headers.get('ack'), undefined, '1.1 has no ack header')
  await other.done('NACK', { 'message-id': again.headers.get('message-id') ?? '', subscription: 't' })
  assert.equal(String((await other.message()).body), 'd')
  assert.equal(String((await other.message()).body), 'c')
  other.close()
})

test('a prefetch bounds what is out', async () => {
  const client = await Client.connected()
  for (const text of ['1', '2', '3']) await client.done('SEND', { destination: '/queue/few' }, text)
  await client.done('SUBSCRIBE', { id: 's', destination: '/queue/few', ack: 'client-individual', 'prefetch-count': '1' })
  const first = await client.message()
  await client.done('BEGIN', { transaction: 'nothing meanwhile' })
  await client.done('ACK', { id: first.headers.get('ack') ?? '' })
  assert.equal(String((await client.message()).body), '2')
  client.close()
})

test('a topic reaches live patterns, AMQP bindings and durable subscriptions', async () => {
  const client = await Client.connected({ 'client-id': 'me' })
  await client.done('SUBSCRIBE', { id: 'live', destination: '/topic/sensors.*.temp' })
  await client.done('SUBSCRIBE', { id: 'wide', destination: '/topic/sensors.>' })
  await client.done('SUBSCRIBE', { id: 'kept', destination: '/topic/sensors.#', durable: 'true', 'auto-delete': 'false' })
  const connection = await amqplib.connect(broker.url('amqp'))
  const channel = await connection.createChannel()
  const { queue } = await channel.assertQueue('')
  await channel.bindQueue(queue, 'amq.topic', 'sensors.#')
  await client.done('SEND', { destination: '/topic/sensors.1.temp', unit: 'C' }, '21')
  const got = [await client.message(), await client.message(), await client.message()]
  assert.deepEqual(got.map(({ headers }) => headers.get('subscription')).sort(), ['kept', 'live', 'wide'])
  assert(got.every(({ headers }) => headers.get('destination') === '/topic/sensors.1.temp'))
  const crossed = await channel.get(queue, { noAck: true })
  assert(crossed !== false)
  assert.equal(crossed.content.toString(), '21')
  assert.equal(crossed.fields.routingKey, 'sensors.1.temp')
  assert.equal(crossed.properties.headers?.['unit'], 'C')
  client.close()

  channel.publish('amq.topic', 'sensors.2.temp', Buffer.from('22'), { headers: { unit: 'F' } })
  const later = await Client.connected({ 'client-id': 'me' })
  await later.done('SUBSCRIBE', { id: 'kept', destination: '/topic/sensors.#', durable: 'true', 'auto-delete': 'false' })
  const missed = await later.message()
  assert.deepEqual([String(missed.body), missed.headers.get('unit')], ['22', 'F'])
  assert.equal(missed.headers.get('destination'), '/topic/sensors.2.temp')
  await later.done('UNSUBSCRIBE', { id: 'kept', durable: 'true', 'auto-delete': 'false' })
  later.close()
  await connection.close()
})

test('a selector lets through what it says', async () => {
  const client = await Client.connected()
  await client.done('SUBSCRIBE', { id: 'big', destination: '/topic/sizes', selector: "size = 'big' AND JMSPriority > 3" })
  await client.done('SEND', { destination: '/topic/sizes', size: 'small', priority: '5' }, 'a')
  await client.done('SEND', { destination: '/topic/sizes', size: 'big', priority: '1' }, 'b')
  await client.done('SEND', { destination: '/topic/sizes', size: 'big', priority: '5' }, 'c')
  assert.equal(String((await client.message()).body), 'c')
  client.close()
})

test('consumers of one queue select what they want of it, and leave the rest', async () => {
  const client = await Client.connected()
  const other = await Client.connected()
  const destination = '/queue/selected'
  await client.done('SUBSCRIBE', { destination, id: 'red', selector: "colour = 'red'", ack: 'client-individual' })
  for (const [body, colour] of Object.entries({ one: 'blue', two: 'red', three: 'green', four: 'blue' }))
    await other.done('SEND', { destination, colour }, body)
  assert.equal(String((await client.message()).body), 'two')
  await other.done('SUBSCRIBE', { destination, id: 'blue', selector: "colour IN ('blue', 'black')" })
  for (const body of ['one', 'four']) assert.equal(String((await other.message()).body), body)
  await other.done('SUBSCRIBE', { destination, id: 'any' })
  const last = await other.message()
  assert.deepEqual([String(last.body), last.headers.get('subscription')], ['three', 'any'])
  client.close()
  assert.equal(String((await other.message()).body), 'two')
  other.close()
})

test('a transaction happens at its commit, whole, or never', async () => {
  const client = await Client.connected()
  await client.done('SEND', { destination: '/queue/in' }, 'work')
  await client.done('SUBSCRIBE', { id: 's', destination: '/queue/in', ack: 'client-individual' })
  const work = await client.message()
  for (const end of ['ABORT', 'COMMIT']) {
    await client.done('BEGIN', { transaction: 't' })
    await client.done('SEND', { destination: '/queue/out', transaction: 't' }, end)
    if (end === 'COMMIT') await client.done('ACK', { id: work.headers.get('ack') ?? '', transaction: 't' })
    assert.equal((await broker.messages('out')).length, 0)
    await client.done(end, { transaction: 't' })
  }
  assert.deepEqual(
    (await broker.messages('out')).map(({ text }) => text),
    ['COMMIT'],
  )
  assert.equal((await broker.messages('in')).length, 0)
  client.close()
})

test('a request is answered to a temporary queue', async () => {
  const client = await Client.connected()
  const server = await Client.connected()
  await server.done('SUBSCRIBE', { id: 'rpc', destination: '/queue/rpc' })
  await client.done('SEND', { destination: '/queue/rpc', 'reply-to': '/temp-queue/answers', 'correlation-id': '7' }, 'question')
  const request = await server.message()
  assert.match(request.headers.get('reply-to') ?? '', /^\/reply-queue\//)
  await server.done('SEND', { destination: request.headers.get('reply-to') ?? '', 'correlation-id': '7' }, 'answer')
  const answer = await client.message()
  assert.deepEqual(
    [String(answer.body), answer.headers.get('subscription'), answer.headers.get('correlation-id')],
    ['answer', '/temp-queue/answers', '7'],
  )
  client.close()
  server.close()
})

test('a delayed message waits for its time', async () => {
  const client = await Client.connected()
  await client.done('SUBSCRIBE', { id: 's', destination: '/queue/later' })
  await client.done('SEND', { destination: '/queue/later', AMQ_SCHEDULED_DELAY: '60000' }, 'late')
  await client.done('SEND', { destination: '/queue/later' }, 'now')
  assert.equal(String((await client.message()).body), 'now')
  await broker.clock.advance('61s')
  assert.equal(String((await client.message()).body), 'late')
  client.close()
})

test('a message comes again as often as it says, without its schedule and with the id of it', async () => {
  const client = await Client.connected()
  await client.done('SUBSCRIBE', { id: 's', destination: '/queue/again' })
  const every = { AMQ_SCHEDULED_DELAY: '5000', AMQ_SCHEDULED_PERIOD: '2000', AMQ_SCHEDULED_REPEAT: '2' }
  await client.done('SEND', { destination: '/queue/again', colour: 'red', ...every }, 'tick')
  const ids = new Set<string | undefined>()
  for (const after of ['5s', '2s', '2s']) {
    await broker.clock.advance(after)
    const { headers, body } = await client.message()
    assert.deepEqual([String(body), headers.get('colour')], ['tick', 'red'])
    for (const name of Object.keys(every)) assert.equal(headers.get(name), undefined)
    ids.add(headers.get('scheduledJobId'))
  }
  assert.match([...ids].join(), /^\d+$/)
  await broker.clock.advance('10s')
  await client.done('SEND', { destination: '/queue/again', ...every, scheduledJobId: 'of another broker' }, 'sent on')
  assert.equal(String((await client.message()).body), 'sent on', 'nothing came between, and what is sent on is not scheduled')
  client.close()
})

test('what is scheduled for ever is looked at, and taken off, through the management topic', async () => {
  const client = await Client.connected()
  const management = '/topic/ActiveMQ.Scheduler.Management'
  await client.done('SUBSCRIBE', { id: 's', destination: '/queue/ever' })
  const send = async (body: string, headers: Record<string, string>): Promise<void> =>
    await client.done('SEND', { destination: '/queue/ever', ...headers }, body)
  const soon = new Date(broker.clock.now() + 90 * 60_000)
  const cron = [soon.getMinutes(), soon.getHours(), soon.getDate(), soon.getMonth() + 1, '*'].join(' ')
  await send('every', { AMQ_SCHEDULED_PERIOD: '300000', AMQ_SCHEDULED_REPEAT: '-1' })
  await send('pattern', { AMQ_SCHEDULED_CRON: cron, AMQ_SCHEDULED_PERIOD: '1000', AMQ_SCHEDULED_REPEAT: '1' })
  await client.done('SEND', { destination: management, AMQ_SCHEDULER_ACTION: 'BROWSE', 'reply-to': '/temp-queue/jobs' })
  const jobs = new Map<string, Frame>()
  for (let count = 0; count < 2; count++) {
    const job = await client.message()
    jobs.set(String(job.body), job)
  }
  assert.deepEqual([...jobs.keys()].sort(), ['every', 'pattern'])
  assert.equal(jobs.get('every')?.headers.get('destination'), '/queue/ever')
  await broker.clock.advance('5m')
  const every = (await client.message()).headers.get('scheduledJobId') ?? ''
  assert.equal(every, jobs.get('every')?.headers.get('scheduledJobId'))
  await client.done('SEND', { destination: management, AMQ_SCHEDULER_ACTION: 'REMOVE', scheduledJobId: every })
  await broker.clock.advance('2h')
  for (let count = 0; count < 2; count++) assert.equal(String((await client.message()).body), 'pattern')
  await client.done('SEND', { destination: management, AMQ_SCHEDULER_ACTION: 'REMOVEALL' })
  const { scheduled } = (await (await fetch(`${broker.url('http')}/v1/scheduled`)).json()) as { scheduled: unknown[] }
  assert.deepEqual(scheduled, [])
  await send('last', {})
  assert.equal(String((await client.message()).body), 'last')
  client.close()
})

test('whatever is wrong is said, and ends the connection', async () => {
  const refusals: [string, Record<string, string>, string | RegExp][] = [
    ['SEND', {}, 'Missing header: destination'],
    ['SEND', { destination: '/nowhere/a' }, 'Unknown destination'],
    ['SEND', { destination: '/queue/100%' }, 'Unknown destination'],
    ['SEND', { destination: '/amq/queue/missing' }, 'not_found'],
    ['SEND', { destination: '/exchange/missing/k' }, 'not_found'],
    ['SEND', { destination: '/queue/a', transaction: 'none' }, 'Invalid transaction'],
    ['SEND', { destination: '/queue/a', AMQ_SCHEDULED_CRON: '0 0 30 2 *' }, 'precondition_failed'],
    ['SEND', { destination: '/queue/a', AMQ_SCHEDULED_CRON: '* * * *' }, 'precondition_failed'],
    ['SEND', { destination: '/queue/a', AMQ_SCHEDULED_CRON: '* * * * MON' }, 'precondition_failed'],
    ['SEND', { destination: '/queue/a', AMQ_SCHEDULED_REPEAT: '3' }, 'precondition_failed'],
    ['SEND', { destination: '/queue/a', AMQ_SCHEDULED_PERIOD: '1', AMQ_SCHEDULED_REPEAT: '1001' }, 'precondition_failed'],
    ['SEND', { destination: '/topic/ActiveMQ.Scheduler.Management', AMQ_SCHEDULER_ACTION: 'EDIT' }, 'precondition_failed'],
    [
      'SEND',
      { destination: '/topic/ActiveMQ.Scheduler.Management', AMQ_SCHEDULER_ACTION: 'REMOVE' },
      'Missing header: scheduledJobId',
    ],
    ['SEND', { destination: '/queue/a', priority: 'high' }, 'precondition_failed'],
    ['SUBSCRIBE', { destination: '/queue/a' }, 'Missing header: id'],
    ['SUBSCRIBE', { destination: '/queue/a', id: '1', ack: 'never' }, 'Invalid ack mode'],
    ['SUBSCRIBE', { destination: '/queue/a', id: '1', selector: 'a =' }, 'precondition_failed'],
    ['SUBSCRIBE', { destination: '/queue/s', id: '1', selector: 'a = 1', 'x-queue-type': 'stream' }, 'not_implemented'],
    ['SUBSCRIBE', { destination: '/topic/a', id: '1', selector: 'a =' }, 'precondition_failed'],
    ['SUBSCRIBE', { destination: '/queue/b', id: '1', 'x-queue-type': 'novel' }, 'precondition_failed'],
    ['SUBSCRIBE', { destination: '/queue/b', id: '1', 'x-max-length': 'many' }, 'precondition_failed'],
    ['SUBSCRIBE', { destination: '/queue/b', id: '1', 'x-queue-type': 'quorum', 'x-max-priority': '5' }, 'precondition_failed'],
    ['SUBSCRIBE', { destination: '/topic/b', id: '1', 'x-queue-type': 'quorum' }, 'precondition_failed'],
    ['SUBSCRIBE', { destination: '/topic/a', id: '1', 'activemq.noLocal': 'true' }, 'not_implemented'],
    ['SEND', { destination: '/temp-queue/none' }, 'Unknown destination'],
    ['UNSUBSCRIBE', { id: 'none' }, 'Subscription not found'],
    ['ACK', { id: '1-1' }, 'Message not found'],
    ['COMMIT', { transaction: 'none' }, 'Invalid transaction'],
    ['SING', {}, 'Unknown command'],
  ]
  for (const [command, headers, message] of refusals) {
    const client = await Client.connected()
    await client.refused(command, headers, message)
  }
  const percent = await Client.connected()
  percent.raw('SEND\ndestination:/queue/100%\n\nx\0')
  assert.match(String((await percent.frame())?.body), /percent sign/)
  const client = await Client.connected()
  client.raw('SEND\ndestination:/queue/a\\t\n\nx\0')
  assert.equal((await client.frame())?.headers.get('message'), 'Invalid frame')
  assert.equal(await client.frame(), null)
})

test('wrong passwords are refused; heart-beats that stop end the connection', async () => {
  const secured = await startBroker({ protocols: ['stomp'] })
  const open = broker
  broker = secured
  try {
    const response = await fetch(`${secured.url('http')}/v1/users/ann`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ password: 'right', admin: true }),
    })
    assert(response.ok)
    for (const headers of [{}, { login: 'ann', passcode: 'wrong' }] as Record<string, string>[]) {
      const client = await Client.open(headers)
      assert.equal((await client.frame())?.headers.get('message'), 'Bad CONNECT')
      assert.equal(await client.frame(), null)
    }
    const client = await Client.connected({ login: 'ann', passcode: 'right', 'heart-beat': '1000,0' })
    await secured.clock.advance('10s')
    assert.equal(await client.frame(), null)
  } finally {
    broker = open
    await secured.close()
  }
})

test('a queue has the type and the arguments that AMQP clients know, and is refused to who wants another', async () => {
  const client = await Client.connected()
  const headers = { destination: '/queue/typed', 'x-queue-type': 'quorum', 'x-delivery-limit': '1', 'x-dead-letter-exchange': '' }
  await client.done('SUBSCRIBE', { ...headers, id: '1', ack: 'client-individual', 'x-dead-letter-routing-key': 'typed.dead' })
  const connection = await amqplib.connect(broker.url('amqp'))
  const channel = await connection.createChannel()
  const types = { 'x-queue-type': 'quorum', 'x-delivery-limit': 1, 'x-dead-letter-exchange': '' }
  await channel.assertQueue('typed', { arguments: { ...types, 'x-dead-letter-routing-key': 'typed.dead' } })
  await channel.assertQueue('typed.dead')
  channel.sendToQueue('typed', Buffer.from('poison'))
  for (const count of [1, 2]) {
    const message = await client.message()
    assert.equal(message.headers.get('redelivered'), String(count > 1))
    client.send('NACK', { id: message.headers.get('ack') ?? '' })
  }
  const dead = await Client.connected()
  await dead.done('SUBSCRIBE', { destination: '/queue/typed.dead', id: '1' })
  assert.equal(String((await dead.message()).body), 'poison')
  await (await Client.connected()).refused(
    'SUBSCRIBE',
    { destination: '/queue/typed', id: '1', 'x-queue-type': 'stream' },
    'precondition_failed',
  )
  await connection.close()
  client.close()
  dead.close()
})

test('a stream is read by each subscription for itself, from where it says, and by filter', async () => {
  const sender = await Client.connected()
  const stream = { destination: '/queue/stream', 'x-queue-type': 'stream', 'x-max-age': '1h' }
  for (const [at, colour] of ['red', 'blue', 'red', 'none'].entries())
    await sender.done('SEND', { ...stream, ...(colour !== 'none' && { 'x-stream-filter-value': colour }) }, `${at}`)
  const read = async (headers: Record<string, string>, count: number): Promise<string[]> => {
    const client = await Client.connected()
    await client.done('SUBSCRIBE', { ...stream, id: 's', ack: 'client', 'prefetch-count': '1', ...headers })
    const seen: string[] = []
    while (seen.length < count) {
      const message = await client.message()
      seen.push(`${message.headers.get('x-stream-offset')}:${message.body}`)
      // Either answer only asks for the next.
      client.send(seen.length % 2 === 0 ? 'ACK' : 'NACK', { id: message.headers.get('ack') ?? '' })
    }
    client.close()
    return seen
  }
  for (let again = 0; again < 2; again++)
    assert.deepEqual(await read({ 'x-stream-offset': 'first' }, 4), ['0:0', '1:1', '2:2', '3:3'])
  assert.deepEqual(await read({ 'x-stream-offset': 'offset=2' }, 2), ['2:2', '3:3'])
  assert.deepEqual(await read({ 'x-stream-offset': 'last' }, 1), ['3:3'])
  assert.deepEqual(await read({ 'x-stream-offset': 'timestamp=1', 'x-stream-filter': 'red' }, 2), ['0:0', '2:2'])
  const both = { 'x-stream-offset': 'first', 'x-stream-filter': 'blue,green', 'x-stream-match-unfiltered': 'true' }
  assert.deepEqual(await read(both, 2), ['1:1', '3:3'])
  const late = await Client.connected()
  await late.done('SUBSCRIBE', { ...stream, id: 's' })
  await sender.done('SEND', stream, 'new')
  assert.equal(String((await late.message()).body), 'new')
  await late.refused('SUBSCRIBE', { ...stream, id: 't', 'x-stream-offset': 'yesterday' }, 'precondition_failed')
  sender.close()
})

test('temporary queues and topics of ActiveMQ: subscribed to first, answered by others', async () => {
  for (const kind of ['temp-queue', 'temp-topic']) {
    const client = await Client.connected()
    const server = await Client.connected()
    const queue = `/queue/ask.${kind}`
    await server.done('SUBSCRIBE', { id: 'rpc', destination: queue })
    await client.done('SUBSCRIBE', { id: 'mine', destination: `/${kind}/answers`, ack: 'client-individual' })
    await client.done('SEND', { destination: queue, 'reply-to': `/${kind}/answers` }, 'question')
    const replyTo = (await server.message()).headers.get('reply-to') ?? ''
    assert.match(replyTo, kind === 'temp-queue' ? /^\/reply-queue\// : /^\/topic\/stomp-temporary-.*\.answers$/)
    await server.done('SEND', { destination: replyTo }, 'answer')
    const answer = await client.message()
    assert.deepEqual([String(answer.body), answer.headers.get('subscription')], ['answer', 'mine'])
    client.send('ACK', { id: answer.headers.get('ack') ?? '' })
    await client.done('SEND', { destination: `/${kind}/answers` }, 'to myself')
    assert.equal(String((await client.message()).body), 'to myself')
    client.close()
    server.close()
  }
  const greedy = await Client.connected()
  for (let at = 0; at < temporariesMax; at++) greedy.send('SEND', { destination: `/temp-topic/t${at}` })
  await greedy.refused('SEND', { destination: '/temp-topic/more' }, 'resource_error')
})

test('a queue that deletes itself goes with its last subscriber', async () => {
  const client = await Client.connected()
  await client.done('SUBSCRIBE', { id: '1', destination: '/queue/brief', 'auto-delete': 'true', durable: 'false' })
  await client.done('SEND', { destination: '/amq/queue/brief' }, 'here')
  assert.equal(String((await client.message()).body), 'here')
  await client.done('UNSUBSCRIBE', { id: '1' })
  await client.refused('SEND', { destination: '/amq/queue/brief' }, 'not_found')
})
