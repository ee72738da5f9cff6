/** Enhanced authentication (MQTT 5.0, 4.12): SCRAM in CONNECT, AUTH and CONNACK, and again on an open connection. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { portOf, startTestBroker } from '../../../test/support/running.ts'
import type { ScramMechanism } from '../../lib/scram.ts'
import { ScramClient } from '../../lib/scram-client.testing.ts'
import { SystemClock } from '../../lib/timers.ts'
import type { RunningBroker } from '../../server/start.ts'
import { TestClient } from './client.testing.ts'
import { encodeAuth, readAuth } from './codec.ts'
import { Reason } from './errors.ts'
import { encodeProperties, encodeText, Packet, type Properties, Reader, readProperties } from './properties.ts'

let broker: RunningBroker
let port: number

before(async () => {
  broker = await startTestBroker({
    clock: new SystemClock(),
    only: ['mqtt'],
    beforeListening: async ({ users }) => {
      await users.put('ada', { password: 'secret', admin: true })
      await users.put('eve', { password: 'other', admin: true })
    },
  })
  port = portOf(broker, 'mqtt')
})
after(() => broker.stop())

function connectWith(client: TestClient, properties: Properties, user?: string): void {
  const flags = 2 | (user === undefined ? 0 : 0x80)
  const body = [encodeText('MQTT'), Buffer.from([5, flags, 0, 0]), encodeProperties(properties), encodeText('')]
  if (user !== undefined) body.push(encodeText(user))
  const bytes = Buffer.concat(body)
  client.raw(Buffer.concat([Buffer.from([0x10, (bytes.length & 127) | 128, bytes.length >> 7]), bytes]))
}

const auth = (client: TestClient, reason: number, authMethod: string, text: string): void =>
  client.raw(encodeAuth(reason, { authMethod, authData: Buffer.from(text) }))

/** The reason and the data of the next packet, which is AUTH or CONNACK. */
async function answer(client: TestClient, type: Packet): Promise<{ reason: number; text: string; method: string | undefined }> {
  const packet = await client.packet(type)
  const at = type === Packet.Connack ? 1 : 0
  const properties =
    type === Packet.Auth ? readAuth(packet).properties : readProperties(new Reader(packet.body, 2), Packet.Connack)
  return { reason: packet.body[at] ?? 0, text: String(properties.authData ?? ''), method: properties.authMethod }
}

async function login(method: ScramMechanism, user: string, password: string): Promise<{ client: TestClient; reason: number }> {
  const client = await TestClient.open(port)
  const scram = new ScramClient(method, user, password)
  connectWith(client, { authMethod: method, authData: Buffer.from(scram.first()) })
  const challenge = await answer(client, Packet.Auth)
  assert.deepEqual([challenge.reason, challenge.method], [Reason.ContinueAuthentication, method])
  auth(client, Reason.ContinueAuthentication, method, scram.final(challenge.text))
  const end = await answer(client, Packet.Connack)
  if (end.reason === 0) assert.deepEqual([scram.trusts(end.text), end.method], [true, method])
  return { client, reason: end.reason }
}

test('4.12: both sides prove that they know the password', async () => {
  for (const method of ['SCRAM-SHA-256', 'SCRAM-SHA-512'] as const) {
    const { client, reason } = await login(method, 'ada', 'secret')
    assert.equal(reason, 0)
    assert(broker.broker.connections().some(({ user }) => user === 'ada'))
    await client.subscribe('a')
    await client.disconnect()
  }
})

test('a wrong password and an unknown user are not authorized, and a method that is none is bad', async () => {
  assert.equal((await login('SCRAM-SHA-256', 'ada', 'wrong')).reason, Reason.NotAuthorized)
  assert.equal((await login('SCRAM-SHA-256', 'nobody', 'secret')).reason, Reason.NotAuthorized)
  for (const authMethod of ['GS2-KRB5', 'constructor']) {
    const client = await TestClient.open(port)
    connectWith(client, { authMethod })
    assert.equal((await answer(client, Packet.Connack)).reason, Reason.BadAuthenticationMethod)
  }
})

test('4.12.0: nothing but AUTH with the same method goes on with it', async () => {
  const begun = async (): Promise<TestClient> => {
    const client = await TestClient.open(port)
    connectWith(client, {
      authMethod: 'SCRAM-SHA-256',
      authData: Buffer.from(new ScramClient('SCRAM-SHA-256', 'ada', 'secret').first()),
    })
    await answer(client, Packet.Auth)
    return client
  }
  const pings = await begun()
  pings.raw(Buffer.from([0xc0, 0]))
  assert.equal((await answer(pings, Packet.Connack)).reason, Reason.ProtocolError)
  const changes = await begun()
  auth(changes, Reason.ContinueAuthentication, 'SCRAM-SHA-512', 'x')
  assert.equal((await answer(changes, Packet.Connack)).reason, Reason.ProtocolError)
  const other = await TestClient.open(port)
  connectWith(other, { authData: Buffer.from('data without method') })
  assert.equal((await answer(other, Packet.Connack)).reason, Reason.ProtocolError)
})

test('4.12.1: an open connection may prove itself again, as the same user alone', async () => {
  const { client } = await login('SCRAM-SHA-256', 'ada', 'secret')
  const again = async (user: string, password: string): Promise<ScramClient> => {
    const scram = new ScramClient('SCRAM-SHA-256', user, password)
    auth(client, Reason.Reauthenticate, 'SCRAM-SHA-256', scram.first())
    const { text } = await answer(client, Packet.Auth)
    auth(client, Reason.ContinueAuthentication, 'SCRAM-SHA-256', scram.final(text))
    return scram
  }
  const scram = await again('ada', 'secret')
  const end = await answer(client, Packet.Auth)
  assert.deepEqual([end.reason, scram.trusts(end.text)], [Reason.Success, true])
  await client.quiet()
  await again('eve', 'other')
  assert.equal(await client.ended(), Reason.NotAuthorized)
})

test('AUTH of a client that logged in otherwise is a protocol error', async () => {
  const client = await TestClient.connected(port, { user: 'ada', password: 'secret' })
  auth(client, Reason.Reauthenticate, 'SCRAM-SHA-256', 'n,,n=ada,r=x')
  assert.equal(await client.ended(), Reason.ProtocolError)
})
