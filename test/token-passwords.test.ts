/** A signed token as the password over STOMP, MQTT and RabbitMQ's management API, until it ends. (AMQP, streams and Kafka have tests of their own.) */
import assert from 'node:assert/strict'
import { connect, type Socket } from 'node:net'
import { after, before, test } from 'node:test'
import { VirtualClock } from '../src/lib/timers.ts'
import type { RunningBroker } from '../src/server/start.ts'
import { portOf, startTestBroker } from './support/running.ts'
import { TokenIssuer } from './support/tokens.ts'

const clock = new VirtualClock()
const issuer = await TokenIssuer.start(clock)
const sockets: Socket[] = []
let broker: RunningBroker

before(async () => {
  broker = await startTestBroker({
    clock,
    only: ['amqp', 'stomp', 'mqtt', 'rabbitmq-management'],
    tokens: issuer.settings,
    beforeListening: async ({ users }) => {
      await users.put('root', { password: 'root', admin: true })
      await users.put('robot', {
        password: 'robot',
        tags: ['management'],
        permissions: [{ namespace: 'default', publish: '.*', consume: '.*', manage: 'mine.*' }],
      })
    },
  })
})
after(async () => {
  for (const socket of sockets) socket.destroy()
  await broker.stop()
  issuer.stop()
})

/** What a server sends, and that it closes. */
class Conversation {
  readonly #socket: Socket
  #text = ''
  #ended = false
  #heard: () => void = () => undefined

  constructor(protocol: string, first: string | Buffer) {
    this.#socket = connect(portOf(broker, protocol), '127.0.0.1')
    sockets.push(this.#socket)
    this.#socket.on('error', () => undefined)
    this.#socket.on('data', (chunk: Buffer) => {
      this.#text += chunk.toString('latin1')
      this.#heard()
    })
    this.#socket.on('close', () => {
      this.#ended = true
      this.#heard()
    })
    this.#socket.write(first)
  }

  /** All that came so far once it has this in it, or the connection has ended. */
  async until(expected: RegExp): Promise<string> {
    while (!expected.test(this.#text) && !this.#ended) await new Promise<void>((resolve) => (this.#heard = resolve))
    return this.#text
  }
}

const field = (text: string): Buffer => Buffer.concat([Buffer.from([text.length >> 8, text.length & 0xff]), Buffer.from(text)])

function mqttConnect(user: string, password: string): Buffer {
  const variable = Buffer.concat([field('MQTT'), Buffer.from([5, 0xc2, 0, 0, 0]), field(''), field(user), field(password)])
  return Buffer.concat([Buffer.from([0x10, 0x80 | (variable.length & 0x7f), variable.length >> 7]), variable])
}

const stompConnect = (passcode: string): string => `CONNECT\naccept-version:1.2\nhost:/\nlogin:any\npasscode:${passcode}\n\n\0`

test('STOMP: the token says who it is; with its end the connection ends', async () => {
  const refused = await new Conversation('stomp', stompConnect(await issuer.token('robot', -1))).until(/\0/)
  assert.match(refused, /^ERROR/)
  const client = new Conversation('stomp', stompConnect(await issuer.token('robot', 60)))
  assert.match(await client.until(/\0/), /^CONNECTED/)
  assert.ok(broker.broker.connections().some(({ protocol, user }) => protocol === 'stomp' && user === 'robot'))
  clock.advance('70s')
  assert.match(await client.until(/ERROR[^\0]*\0/), /credential expired/)
})

test('MQTT: the token says who it is; with its end the connection ends, for having lasted too long', async () => {
  assert.equal(
    (await new Conversation('mqtt', mqttConnect('any', await issuer.token('robot', -1))).until(/^.{4}/s)).charCodeAt(3),
    0x86,
  )
  const client = new Conversation('mqtt', mqttConnect('any', await issuer.token('robot', 60)))
  assert.equal((await client.until(/^.{4}/s)).charCodeAt(3), 0)
  assert.ok(broker.broker.connections().some(({ protocol, user }) => protocol === 'mqtt' && user === 'robot'))
  clock.advance('70s')
  const maximumConnectTime = '\xa0'
  assert.match(await client.until(/\xe0/), new RegExp(`\xe0.${maximumConnectTime}`, 's'))
})

test('management API: by Basic and Bearer, also for what acts over AMQP, in the name of the token’s user', async () => {
  const api = `http://127.0.0.1:${portOf(broker, 'rabbitmq-management')}/api`
  const basic = (password: string): string => `Basic ${Buffer.from(`any:${password}`).toString('base64')}`
  const good = await issuer.token('robot', 60)
  for (const authorization of [basic(good), `Bearer ${good}`]) {
    const headers = { authorization }
    assert.equal(((await (await fetch(`${api}/whoami`, { headers })).json()) as { name: string }).name, 'robot')
    const declare = (queue: string) => fetch(`${api}/queues/%2F/${queue}`, { method: 'PUT', headers, body: '{}' })
    assert.ok((await declare('mine')).ok)
    assert.equal((await declare('yours')).status, 401)
  }
  for (const [bad, reason] of [
    [basic(await issuer.token('robot', -1)), 'Login failed'],
    [`Bearer ${await issuer.token('nobody', 60)}`, 'Not management user'],
  ] as const) {
    const answer = await fetch(`${api}/whoami`, { headers: { authorization: bad } })
    assert.deepEqual([answer.status, ((await answer.json()) as { reason: string }).reason], [401, reason])
  }
})
