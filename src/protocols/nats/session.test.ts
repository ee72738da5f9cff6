/** NATS conversations over real sockets: what each operation does, and every refusal. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type EmbeddedBroker, startBroker } from '../../index.ts'
import { NatsClient } from './nats-client.testing.ts'

let broker: EmbeddedBroker
const clients: NatsClient[] = []

before(async () => {
  broker = await startBroker({ protocols: ['nats'] })
})
after(async () => {
  for (const client of clients) client.close()
  await broker.close()
})

async function open(options: object | null = {}): Promise<NatsClient> {
  const client = await NatsClient.open(broker.port('nats'), options)
  clients.push(client)
  return client
}

test('INFO says what clients look for', async () => {
  const { info } = await open()
  const { proto, headers, max_payload: payload, jetstream, auth_required: login, client_ip: ip } = info
  assert.deepEqual([proto, headers, payload, jetstream, login, ip], [1, true, 1024 * 1024, true, undefined, '127.0.0.1'])
  assert.match(String(info['server_id']), /^N[A-Z0-9]{55}$/)
})

test('a person with telnet needs no CONNECT and hears +OK of each operation', async () => {
  const client = await open(null)
  client.send('sub a 1', 'pub a 5', 'hello', 'ping', 'unsub 1', 'pub a 0', '')
  assert.deepEqual(await client.lines(7), ['+OK', 'MSG a 1 5', 'hello', '+OK', 'PONG', '+OK', '+OK'])
})

test('wildcards: one word, and one or more at the end', async () => {
  const client = await open()
  client.send('SUB w.*.c star', 'SUB w.> more', 'SUB w exact')
  for (const subject of ['w.b.c', 'w.b', 'w', 'x.b.c']) client.publish(subject, subject)
  const lines = await client.flush()
  assert.deepEqual(
    lines.filter((line) => line.startsWith('MSG')).sort(),
    ['MSG w exact 1', 'MSG w.b more 3', 'MSG w.b.c more 5', 'MSG w.b.c star 5'].sort(),
  )
})

test('what a client hears of what it published itself, and that nobody heard, comes before the PONG behind it', async () => {
  const client = await open()
  client.send('SUB mine.* 1', 'SUB answers 2')
  await client.flush()
  const published = ['PUB mine.1 1', 'a', 'PUB nobody answers 1', 'b', 'PUB mine.2 answers 1', 'c']
  client.send(...published, 'PING')
  const nobody = ['HMSG answers 2 38 38', 'NATS/1.0 503', 'Nats-Subject: nobody', '', '']
  assert.deepEqual(await client.lines(10), ['MSG mine.1 1 1', 'a', 'MSG mine.2 1 answers 1', 'c', ...nobody, 'PONG'])
})

test('subjects and sids of any letters are written as they were', async () => {
  const client = await open()
  client.send('SUB ü.* ß')
  client.publish('ü.€😀', 'x')
  const line = (await client.flush())[0] ?? ''
  assert.equal(Buffer.from(line, 'latin1').toString(), 'MSG ü.€😀 ß 1')
})

test('messages come in the order of publishing, before the PONG that follows them, however large', async () => {
  const [publisher, subscriber] = [await open(), await open()]
  subscriber.send('SUB order 1')
  await subscriber.flush()
  const sizes = [0, 1, 9, 10, 99, 100, 1000, 4096, 16_384, 16_385, 100_000, 1_048_576]
  for (const size of sizes) publisher.publish('order', 'x'.repeat(size))
  await publisher.flush()
  const lines = await subscriber.flush()
  assert.deepEqual(
    lines,
    sizes.flatMap((size) => [`MSG order 1 ${size}`, 'x'.repeat(size)]),
  )
})

test('of a queue group one member gets each message', async () => {
  const [a, b, publisher] = [await open(), await open(), await open()]
  a.send('SUB jobs workers 1')
  b.send('SUB jobs workers 1')
  await Promise.all([a.flush(), b.flush()])
  for (let i = 0; i < 10; i++) publisher.publish('jobs', String(i))
  await publisher.flush()
  const [first, second] = [await a.flush(), await b.flush()]
  const bodies = [...first, ...second].filter((line) => !line.startsWith('MSG')).sort()
  assert.deepEqual(bodies, ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
  assert.ok(first.length > 0 && second.length > 0)
})

test('UNSUB with a number ends after so many since SUB, also within one chunk; without, at once', async () => {
  const client = await open()
  client.send('SUB u 1', 'UNSUB 1 2', 'PUB u 1', '1', 'PUB u 1', '2', 'PUB u 1', '3')
  assert.deepEqual(await client.flush(), ['MSG u 1 1', '1', 'MSG u 1 1', '2'])
  client.send('SUB u 2', 'PUB u 1', '1', 'UNSUB 2', 'PUB u 1', '2')
  assert.deepEqual(await client.flush(), ['MSG u 2 1', '1'])
  client.send('SUB u 3', 'PUB u 1', '1', 'UNSUB 3 1', 'PUB u 1', '2', 'UNSUB 99')
  assert.deepEqual(await client.flush(), ['MSG u 3 1', '1'])
  // Its sid is free again.
  client.send('SUB v 3', 'PUB v 1', '4')
  assert.deepEqual(await client.flush(), ['MSG v 3 1', '4'])
})

/** The status that a request is answered with. */
function nobodyHears(subject: string, to: string): string[] {
  const bytes = `NATS/1.0 503\r\nNats-Subject: ${subject}\r\n\r\n`.length
  return [`HMSG ${to} ${bytes} ${bytes}`, 'NATS/1.0 503', `Nats-Subject: ${subject}`, '', '']
}

test('a request is answered by whoever hears it, by a 503 where nobody does', async () => {
  const [asking, answering] = [await open(), await open()]
  answering.send('SUB time 1')
  await answering.flush()
  asking.send('SUB _INBOX.x.* 7')
  asking.publish('time', 'now?', '_INBOX.x.1')
  assert.deepEqual(await answering.lines(2), ['MSG time 1 _INBOX.x.1 4', 'now?'])
  answering.publish('_INBOX.x.1', 'noon')
  assert.deepEqual(await asking.lines(2), ['MSG _INBOX.x.1 7 4', 'noon'])
  asking.publish('nobody', '', '_INBOX.x.2')
  assert.deepEqual(await asking.lines(5), nobodyHears('nobody', '_INBOX.x.2 7'))
  // What JetStream does not know is nobody's, too.
  asking.publish('$JS.API.NOTHING', '', '_INBOX.x.3')
  assert.deepEqual(await asking.lines(5), nobodyHears('$JS.API.NOTHING', '_INBOX.x.3 7'))
  const plain = await open({ no_responders: false })
  plain.send('SUB _INBOX.y.* 7')
  plain.publish('nobody', '', '_INBOX.y.2')
  assert.deepEqual(await plain.flush(), [])
})

test('that nobody hears is no answer for a queue group', async () => {
  const client = await open()
  client.send('SUB nobody.in group 1')
  client.publish('nobody.there', '', 'nobody.in')
  assert.deepEqual(await client.flush(), [])
})

test('headers pass as they came; who does not understand them gets the payload', async () => {
  const [one, other] = [await open(), await open({ headers: false, no_responders: false })]
  one.send('SUB h 1')
  other.send('SUB h 1')
  await Promise.all([one.flush(), other.flush()])
  one.send('HPUB h r.1 26 30', 'NATS/1.0', 'Key:  v ', 'k:', '', 'body')
  await one.flush().then((lines) => assert.deepEqual(lines, ['HMSG h 1 r.1 26 30', 'NATS/1.0', 'Key:  v ', 'k:', '', 'body']))
  assert.deepEqual(await other.flush(), ['MSG h 1 r.1 4', 'body'])
})

test('with echo off a client does not hear itself, nor is it its own responder', async () => {
  const client = await open({ echo: false })
  const other = await open()
  client.send('SUB e 1', 'SUB in 2')
  client.publish('e', 'mine', 'in')
  assert.deepEqual(await client.flush(), nobodyHears('e', 'in 2'))
  other.publish('e', 'theirs')
  await other.flush()
  assert.deepEqual(await client.flush(), ['MSG e 1 6', 'theirs'])
})

test('errors that leave the connection open', async () => {
  const client = await open({ pedantic: true })
  client.send('SUB a..b 1', 'SUB a.>.b 2', 'SUB a.# 3', 'PUB a.* 0', '', 'PUB a..b 0', '')
  assert.deepEqual(await client.flush(), [
    ...new Array<string>(3).fill("-ERR 'Invalid Subject'"),
    ...new Array<string>(2).fill("-ERR 'Invalid Publish Subject'"),
  ])
})

for (const [line, error] of [
  ['NONSENSE', 'Unknown Protocol Operation'],
  ['SUB', 'Parser Error'],
  ['CONNECT {', 'Parser Error'],
  ['CONNECT {"verbose":1}', 'Parser Error'],
  ['CONNECT {"protocol":9}', 'Invalid Client Protocol'],
  ['PUB a 1048577', 'Maximum Payload Violation'],
  [`SUB ${'a'.repeat(5000)} 1`, 'maximum control line exceeded'],
] as const) {
  test(`an error that ends the connection: ${line.slice(0, 30)}`, async () => {
    const client = await open()
    client.send(line)
    assert.deepEqual(await client.lines(2), [`-ERR '${error}'`, 'closed'])
  })
}

test('the broker stops: an INFO with ldm, then the end', async () => {
  const own = await startBroker({ protocols: ['nats'] })
  const client = await NatsClient.open(own.port('nats'))
  await client.flush()
  const stopped = own.close()
  const line = await client.line()
  assert.equal((JSON.parse(line.slice('INFO '.length)) as { ldm?: boolean }).ldm, true)
  assert.equal(await client.line(), 'closed')
  await stopped
})

test('a client that leaves two PINGs unanswered is stale; an answer is enough', async () => {
  const own = await startBroker({ protocols: ['nats'] })
  const [alive, gone] = [await NatsClient.open(own.port('nats')), await NatsClient.open(own.port('nats'))]
  await Promise.all([alive.flush(), gone.flush()])
  for (let i = 0; i < 2; i++) {
    await own.clock.advance('2m')
    assert.deepEqual([await alive.line(), await gone.line()], ['PING', 'PING'])
    alive.send('PONG')
    await alive.flush()
  }
  await own.clock.advance('2m')
  assert.deepEqual(await gone.lines(2), ["-ERR 'Stale Connection'", 'closed'])
  assert.equal(await alive.line(), 'PING')
  alive.close()
  await own.close()
})

test('who does not read is cut off when too much waits, and the others are not disturbed', async () => {
  const [slow, publisher, other] = [await open(), await open(), await open()]
  slow.send('SUB big 1')
  other.send('SUB small 1')
  await Promise.all([slow.flush(), other.flush()])
  slow.socket.pause()
  const closed = new Promise((resolve) => slow.socket.once('close', resolve))
  const megabyte = 'x'.repeat(1024 * 1024)
  for (let i = 0; i < 90; i++) {
    publisher.publish('big', megabyte)
    await publisher.flush()
  }
  publisher.publish('small', 'still here')
  await publisher.flush()
  assert.deepEqual(await other.flush(), ['MSG small 1 10', 'still here'])
  publisher.send('SUB in 5')
  publisher.publish('big', '', 'in')
  assert.deepEqual(await publisher.flush(), nobodyHears('big', 'in 5'), 'nobody listens any more')
  slow.socket.resume()
  await closed
})
