/** A publisher that is faster than its subscribers waits for them, and for those who take nothing no longer than it must. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'node:test'
import { startBroker } from '../../index.ts'
import { VirtualClock } from '../../lib/timers.ts'
import { NatsClient } from './nats-client.testing.ts'
import { Outflow } from './outflow.ts'

const mib = 1024 * 1024

class Client {
  outboundBytes = 0
  takenBytes = 0
  held = false
  cut = false
  cutOff(): void {
    this.cut = true
    this.outboundBytes = 0
  }
  hold(): void {
    this.held = true
  }
  goOn(): void {
    this.held = false
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** A look every 5 ms is a turn of its own. */
async function pass(clock: VirtualClock, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 5) {
    clock.advance(5)
    await turn()
  }
}

test('while too much waits publishers are held; one after the other they go on', async () => {
  const clock = new VirtualClock()
  const outflow = new Outflow(clock)
  const [reader, one, other] = [new Client(), new Client(), new Client()]
  const write = (bytes: number): void => {
    reader.outboundBytes += bytes
    outflow.wrote(reader, 0, [])
  }
  write(100 * mib)
  assert.equal(outflow.full, false)
  write(50 * mib)
  assert.equal(outflow.full, true)
  outflow.hold(one, 1)
  outflow.hold(other, 2)
  reader.outboundBytes = 110 * mib
  await pass(clock, 10)
  assert.deepEqual([outflow.full, one.held], [true, true])
  reader.outboundBytes = 10 * mib
  await pass(clock, 5)
  assert.deepEqual([outflow.full, one.held, other.held], [false, false, true])
  // What the first one publishes now is too much again.
  write(200 * mib)
  await turn()
  assert.deepEqual([outflow.full, other.held], [true, true])
  reader.outboundBytes = 0
  await pass(clock, 10)
  await turn()
  await turn()
  assert.equal(other.held, false)
})

test('what was taken meanwhile does not count', async () => {
  const outflow = new Outflow(new VirtualClock())
  for (let client = 0; client < 10; client++) {
    const reader = new Client()
    reader.outboundBytes = 50 * mib
    outflow.wrote(reader, 0, [])
    reader.outboundBytes = 0
    await turn()
  }
  assert.equal(outflow.full, false)
})

test('whoever is furthest behind is cut off, and one that is gone counts no longer', async () => {
  const clock = new VirtualClock()
  const outflow = new Outflow(clock)
  const readers = [60, 40, 50].map((size) => Object.assign(new Client(), { outboundBytes: size * mib }))
  for (const reader of readers) outflow.wrote(reader, 0, [])
  await pass(clock, 1000)
  assert.deepEqual(
    readers.map(({ cut }) => cut),
    [false, false, false],
  )
  await pass(clock, 1500)
  assert.deepEqual(
    readers.map(({ cut }) => cut),
    [true, false, false],
  )
  assert.equal(outflow.full, false)
  for (const reader of readers) outflow.gone(reader)
  assert.equal(outflow.bytes, 0)
})

test('who is far behind is waited for by those who publish to it, and by nobody else, while it takes what there is', async () => {
  const clock = new VirtualClock()
  const outflow = new Outflow(clock)
  const [reader, publisher] = [new Client(), new Client()]
  const write = (bytes: number, from: number): void => {
    reader.outboundBytes += bytes
    outflow.wrote(reader, bytes, [from])
  }
  write(40 * mib, 1)
  assert.equal(outflow.mustWait(1), false)
  write(9 * mib, 2)
  assert.deepEqual([outflow.full, outflow.mustWait(2), outflow.mustWait(3)], [false, true, false])
  outflow.hold(publisher, 2)
  for (let count = 0; count < 60; count++) {
    reader.outboundBytes -= 0.25 * mib
    await pass(clock, 5)
  }
  assert.deepEqual([reader.outboundBytes / mib, publisher.held], [34, true])
  reader.outboundBytes = 32 * mib
  await pass(clock, 5)
  assert.deepEqual([outflow.mustWait(2), publisher.held], [false, false])
})

test('who takes next to nothing is waited for no longer, until it does', async () => {
  const clock = new VirtualClock()
  const outflow = new Outflow(clock)
  const [reader, publisher] = [new Client(), new Client()]
  reader.outboundBytes = 50 * mib
  outflow.wrote(reader, mib, [1])
  outflow.hold(publisher, 1)
  await pass(clock, 195)
  assert.equal(publisher.held, true)
  reader.outboundBytes -= 0.5 * mib
  await pass(clock, 5)
  assert.deepEqual([outflow.mustWait(1), publisher.held], [false, false])
  // As much as it is sent.
  for (let count = 0; count < 40; count++) {
    outflow.wrote(reader, 0.05 * mib, [1])
    await pass(clock, 5)
  }
  assert.equal(outflow.mustWait(1), true)
})

test('who has kept pace may take nothing for a second; once it did for longer it has to keep it anew', async () => {
  const clock = new VirtualClock()
  const outflow = new Outflow(clock)
  const [reader, publisher] = [Object.assign(new Client(), { takenBytes: 64 * mib }), new Client()]
  reader.outboundBytes = 60 * mib
  outflow.wrote(reader, mib, [1])
  outflow.hold(publisher, 1)
  for (let pause = 0; pause < 3; pause++) {
    await pass(clock, 950)
    assert.equal(publisher.held, true)
    reader.outboundBytes -= 5 * mib
    await pass(clock, 5)
  }
  await pass(clock, 1000)
  assert.deepEqual([outflow.mustWait(1), publisher.held], [false, false])
  reader.outboundBytes -= mib
  await pass(clock, 5)
  outflow.hold(publisher, 1)
  assert.equal(outflow.mustWait(1), true)
  await pass(clock, 200)
  assert.equal(outflow.mustWait(1), false)
  for (let count = 0; count < 5; count++) {
    reader.outboundBytes -= mib
    await pass(clock, 5)
  }
  await pass(clock, 950)
  assert.equal(outflow.mustWait(1), true)
})

test('publishers wait for each that is behind, and no more for one that is gone', async () => {
  const clock = new VirtualClock()
  const outflow = new Outflow(clock)
  const [one, other, publisher] = [new Client(), new Client(), new Client()]
  for (const reader of [one, other]) {
    reader.outboundBytes = 50 * mib
    outflow.wrote(reader, mib, [1])
  }
  outflow.hold(publisher, 1)
  one.outboundBytes = 0
  await pass(clock, 5)
  assert.equal(publisher.held, true)
  outflow.gone(other)
  await pass(clock, 5)
  assert.equal(publisher.held, false)
})

test('a subscriber that is slower than its publishers together gets everything', { timeout: 60_000 }, async (t) => {
  const broker = await startBroker({ protocols: ['nats'] })
  t.after(() => broker.close())
  const reader = connect(broker.port('nats'), '127.0.0.1')
  let got = 0
  let listens = false
  reader.on('data', (chunk) => {
    if (listens) got += chunk.length
    else listens = chunk.includes('PONG')
    // Not at once the next one.
    reader.pause()
    setImmediate(() => setImmediate(() => reader.resume()))
  })
  reader.write('CONNECT {"verbose":false}\r\nSUB a 1\r\nPING\r\n')
  while (!listens) await turn()
  const publishers = await Promise.all(Array.from({ length: 6 }, () => NatsClient.open(broker.port('nats'))))
  const bytes = 8192
  const chunk = Buffer.from(`PUB a ${bytes}\r\n${'x'.repeat(bytes)}\r\n`.repeat(128))
  let published = 0
  const publishing = publishers.map(async (publisher) => {
    for (let count = 0; count < 24; count++) if (!publisher.socket.write(chunk)) await once(publisher.socket, 'drain')
    await publisher.flush()
    published++
  })
  const waiting = Promise.all(publishing)
  const all = publishers.length * 24 * 128 * `MSG a 1 ${bytes}\r\n${'x'.repeat(bytes)}\r\n`.length
  // Time goes on as the reader does: it reads 250 MiB a second. Slower, and a kernel that is late would make it look as one that takes nothing.
  let looked = 0
  while (got < all && !reader.destroyed) {
    await turn()
    if (got - looked < 256 * 1024) continue
    looked = got
    await broker.clock.advance('1ms')
  }
  assert.equal(reader.destroyed, false, `cut off after ${got} bytes`)
  await waiting
  assert.equal(got, all)
  assert.equal(published, publishers.length)
  reader.destroy()
  for (const publisher of publishers) publisher.close()
})

test('subscribers that take nothing do not fill the memory, nor stop their publisher for ever', { timeout: 60_000 }, async () => {
  const broker = await startBroker({ protocols: ['nats'] })
  const stalled: NatsClient[] = []
  for (let count = 0; count < 12; count++) {
    const client = await NatsClient.open(broker.port('nats'))
    client.send('SUB a 1')
    await client.flush()
    client.socket.pause()
    stalled.push(client)
  }
  const publisher = await NatsClient.open(broker.port('nats'))
  const one = `PUB a 8192\r\n${'x'.repeat(8192)}\r\n`
  const chunk = Buffer.from(one.repeat(128))
  let published = false
  const publish = async (): Promise<void> => {
    for (let count = 0; count < 40; count++) if (!publisher.socket.write(chunk)) await once(publisher.socket, 'drain')
    await publisher.flush()
    published = true
  }
  const publishing = publish()
  let most = 0
  const address = `http://127.0.0.1:${broker.port('nats-monitoring')}/connz`
  while (!published) {
    const { connections } = (await (await fetch(address)).json()) as { connections: { pending_bytes: number }[] }
    most = Math.max(
      most,
      connections.reduce((sum, { pending_bytes: bytes }) => sum + bytes, 0),
    )
    await broker.clock.advance('100ms')
  }
  await publishing
  assert.ok(most > 100 * mib, `the limit was not reached: ${most}`)
  assert.ok(most < 140 * mib, `${most} bytes waited`)
  for (const client of [...stalled, publisher]) client.close()
  await broker.close()
})
