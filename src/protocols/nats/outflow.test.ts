/** A publisher that is faster than its subscribers waits for them, and for those who take nothing no longer than it must. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { startBroker } from '../../index.ts'
import { VirtualClock } from '../../lib/timers.ts'
import { NatsClient } from './nats-client.testing.ts'
import { Outflow } from './outflow.ts'

const mib = 1024 * 1024

class Client {
  outboundBytes = 0
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

test('while too much waits publishers are held; one after the other they go on', async () => {
  const clock = new VirtualClock()
  const outflow = new Outflow(clock)
  const [reader, one, other] = [new Client(), new Client(), new Client()]
  const write = (bytes: number): void => {
    reader.outboundBytes += bytes
    outflow.wrote(reader)
  }
  write(100 * mib)
  assert.equal(outflow.full, false)
  write(50 * mib)
  assert.equal(outflow.full, true)
  outflow.hold(one)
  outflow.hold(other)
  reader.outboundBytes = 110 * mib
  clock.advance(10)
  assert.deepEqual([outflow.full, one.held], [true, true])
  reader.outboundBytes = 10 * mib
  clock.advance(10)
  assert.deepEqual([outflow.full, one.held, other.held], [false, false, true])
  // What the first one publishes now is too much again.
  write(200 * mib)
  await turn()
  assert.deepEqual([outflow.full, other.held], [true, true])
  reader.outboundBytes = 0
  clock.advance(10)
  await turn()
  await turn()
  assert.equal(other.held, false)
})

test('what was taken meanwhile does not count', async () => {
  const outflow = new Outflow(new VirtualClock())
  for (let client = 0; client < 10; client++) {
    const reader = new Client()
    reader.outboundBytes = 50 * mib
    outflow.wrote(reader)
    reader.outboundBytes = 0
    await turn()
  }
  assert.equal(outflow.full, false)
})

test('whoever is furthest behind is cut off, and one that is gone counts no longer', () => {
  const clock = new VirtualClock()
  const outflow = new Outflow(clock)
  const readers = [60, 40, 50].map((size) => Object.assign(new Client(), { outboundBytes: size * mib }))
  for (const reader of readers) outflow.wrote(reader)
  clock.advance(1000)
  assert.deepEqual(
    readers.map(({ cut }) => cut),
    [false, false, false],
  )
  clock.advance(1500)
  assert.deepEqual(
    readers.map(({ cut }) => cut),
    [true, false, false],
  )
  assert.equal(outflow.full, false)
  for (const reader of readers) outflow.gone(reader)
  assert.equal(outflow.bytes, 0)
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
