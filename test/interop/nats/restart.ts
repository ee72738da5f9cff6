/** nats.js while its broker, one of its own, is stopped and killed and started again on the same data. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import { type AnyMQ, startAnyMQ } from '../anymq.ts'
import { runCases, unique, until } from '../cases/cases.ts'

const data = mkdtempSync(join(tmpdir(), 'anymq-restart-'))
let broker: AnyMQ = await startAnyMQ({ data })
const { portOffset } = broker

async function startAgain(): Promise<void> {
  await broker.process.exited
  broker = await startAnyMQ({ data, portOffset })
}

type Told = readonly string[]

/** Until the client is back: nats.js loses what it is told to publish before, whatever the server. */
async function backAgain(told: Told, end: () => Promise<void> | void): Promise<void> {
  const before = told.filter((type) => type === 'reconnect').length
  await end()
  await startAgain()
  await until('the connection', () => told.filter((type) => type === 'reconnect').length > before)
}

const stopAndStart = (told: Told): Promise<void> => backAgain(told, () => broker.stop())
const killAndStart = (told: Told): Promise<void> => backAgain(told, () => void broker.process.kill('SIGKILL'))

/** With what the client tells of its connection. */
async function open(): Promise<{ connection: NatsConnection; told: string[] }> {
  const connection = await connect({ servers: broker.nats, reconnectTimeWait: 50, maxReconnectAttempts: -1 })
  const told: string[] = []
  void (async () => {
    for await (const { type } of connection.status()) told.push(type)
  })()
  return { connection, told }
}

process.on('exit', () => {
  broker.process.kill('SIGKILL')
  rmSync(data, { recursive: true, force: true })
})

await runCases({
  'a stop is announced, and what was subscribed to is there again afterwards': async () => {
    const { connection, told } = await open()
    const subject = unique('js')
    const heard: string[] = []
    connection.subscribe(subject, { callback: (_, message) => void heard.push(message.string()) })
    connection.subscribe(`${subject}.echo`, { callback: (_, message) => void message.respond(message.data) })
    await connection.flush()
    await stopAndStart(told)
    assert.deepEqual(
      told.filter((type) => ['ldm', 'disconnect', 'reconnect'].includes(type)),
      ['ldm', 'disconnect', 'reconnect'],
    )
    connection.publish(subject, 'again')
    assert.equal((await connection.request(`${subject}.echo`, 'x')).string(), 'x')
    await until('the message', () => heard.length === 1)
    await connection.close()
  },

  'a drain during which the broker stops is told to have failed, and the client comes back': async () => {
    const { connection, told } = await open()
    const subject = unique('js')
    const heard: string[] = []
    connection.subscribe(subject, { callback: (_, message) => void heard.push(message.string()) })
    await connection.flush()
    broker.process.kill('SIGTERM')
    await until('its announcement', () => told.includes('ldm'))
    await connection.drain().then(
      () => assert.ok(connection.isClosed()),
      (cause: unknown) => assert.match(String(cause), /disconnected|closed/),
    )
    await startAgain()
    if (!connection.isClosed()) await until('the connection', () => told.includes('reconnect'))
    await connection.close()
  },

  'a consumer goes on over a stop and a kill, and hears everything': async () => {
    const { connection, told } = await open()
    const js = jetstream(connection)
    await (await jetstreamManager(connection)).streams.add({ name: 'RESTART', subjects: ['restart.>'] })
    const manager = await jetstreamManager(connection)
    await manager.consumers.add('RESTART', { durable_name: 'all', ack_policy: 'explicit', ack_wait: 2_000_000_000 })
    const consumer = await js.consumers.get('RESTART', 'all')
    const heard = new Set<string>()
    const messages = await consumer.consume({ expires: 2000 })
    const consuming = (async () => {
      for await (const message of messages) {
        heard.add(message.string())
        message.ack()
      }
    })()
    let published = 0
    const publish = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i++) await js.publish('restart.a', String(published++))
    }
    await publish(100)
    await stopAndStart(told)
    await publish(100)
    await killAndStart(told)
    await publish(100)
    await until('all of them', () => heard.size === published, 25_000)
    await messages.close()
    await consuming
    await connection.close()
  },

  'what is published again after a kill is known by its id': async () => {
    const { connection, told } = await open()
    const js = jetstream(connection)
    const manager = await jetstreamManager(connection)
    await manager.streams.add({ name: 'ONCE', subjects: ['once'] })
    const publish = async (): Promise<boolean[]> => {
      const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => js.publish('once', String(i), { msgID: `id ${i}` })))
      return answers.map(({ duplicate }) => duplicate)
    }
    assert.ok((await publish()).every((duplicate) => !duplicate))
    await killAndStart(told)
    await connection.flush()
    assert.ok((await publish()).every((duplicate) => duplicate))
    assert.equal((await manager.streams.info('ONCE')).state.messages, 50)
    await connection.close()
  },
})
