/** Kafka's ACL and credentials are the broker's own rules and users: set over Kafka, they hold in every protocol and over a restart. */
import assert from 'node:assert/strict'
import { pbkdf2Sync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import amqplib from 'amqplib'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { portOf, startTestBroker } from '../../../test/support/running.ts'
import { VirtualClock } from '../../lib/timers.ts'
import type { RunningBroker } from '../../server/start.ts'
import { openLocalStorage } from '../../storage/local/index.ts'
import { buildBatch } from './batch.ts'
import { ApiKey } from './codec.ts'
import { KafkaError } from './errors.ts'
import { recordFormat } from './mapping.ts'
import type { Message } from './schema.ts'
import { TestClient } from './test-client.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'anymq-security-'))
const clients: TestClient[] = []
let broker: RunningBroker
const clock = new VirtualClock()

async function start(): Promise<void> {
  broker = await startTestBroker({
    storage: openLocalStorage(folder, false),
    clock,
    only: ['kafka', 'amqp'],
    advertise: new Map([['kafka', { host: 'broker.example', port: 19092 }]]),
    tokens: { keySet: path.join(folder, 'keys.json'), issuer: 'https://issuer.example', audience: null, userClaim: 'sub' },
    beforeListening: async ({ users }) => {
      if (users.list().length > 0) return
      await users.put('admin', { password: 'admin-secret', admin: true })
      await users.put('alice', { password: 'alice-secret' })
      await users.put('pat', {
        password: 'pat-secret',
        permissions: [{ namespace: 'default', publish: '.*', consume: '.*', manage: '.*' }],
      })
    },
  })
}

const signer = await generateKeyPair('ES256')
const stranger = await generateKeyPair('ES256')
writeFileSync(path.join(folder, 'keys.json'), JSON.stringify({ keys: [{ ...(await exportJWK(signer.publicKey)), kid: 'one' }] }))

before(start)
after(async () => {
  for (const client of clients) client.close()
  await broker.stop()
  rmSync(folder, { recursive: true })
})

const port = (name: string): number => portOf(broker, name)

async function loggedIn(user: string, password = `${user}-secret`): Promise<TestClient> {
  const client = new TestClient(port('kafka'))
  clients.push(client)
  await client.ask(ApiKey.SaslHandshake, 1, { mechanism: 'PLAIN' })
  const { errorCode } = await client.ask(ApiKey.SaslAuthenticate, 2, { authBytes: Buffer.from(`\0${user}\0${password}`) })
  if (errorCode !== 0) throw new Error(`login refused: ${errorCode}`)
  return client
}

const Literal = 3
const Prefixed = 4
const [deny, allow] = [2, 3]
interface Entry {
  readonly resourceType: number
  readonly resourceName: string
  readonly resourcePatternType: number
  readonly principal: string
  readonly host: string
  readonly operation: number
  readonly permissionType: number
}
const entry: Entry = {
  resourceType: 2,
  resourceName: 'orders',
  resourcePatternType: Prefixed,
  principal: 'User:alice',
  host: '*',
  operation: 2,
  permissionType: allow,
}
const anyFilter = {
  resourceTypeFilter: 1,
  resourceNameFilter: null,
  patternTypeFilter: 1,
  principalFilter: null,
  hostFilter: null,
  operation: 1,
  permissionType: 1,
}

async function createAcls(client: TestClient, ...creations: Partial<Entry>[]): Promise<number[]> {
  const { results } = await client.ask(ApiKey.CreateAcls, 3, { creations: creations.map((each) => ({ ...entry, ...each })) })
  return results.map((result: Message) => result['errorCode'])
}

async function createTopic(client: TestClient, name: string): Promise<number> {
  const topic = { name, numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] }
  return (await client.ask(ApiKey.CreateTopics, 7, { topics: [topic], timeoutMs: 1000 }))['topics'][0].errorCode
}

async function produce(client: TestClient, topic: string): Promise<number> {
  const body = recordFormat.fromAttributes({ key: null, value: Buffer.from('v'), headers: [] }).subarray(9)
  const records = buildBatch([{ offset: 0, timestamp: Date.now(), body }], 0, 1)
  const topicData = [{ name: topic, partitionData: [{ index: 0, records }] }]
  const { responses } = await client.ask(ApiKey.Produce, 9, { acks: -1, timeoutMs: 1000, topicData })
  return responses[0].partitionResponses[0].errorCode
}

/** Whether this user may publish to the queue through the default exchange. */
async function publishes(user: string, queue: string): Promise<boolean> {
  const connection = await amqplib.connect(`amqp://${user}:${user}-secret@127.0.0.1:${port('amqp')}/`)
  try {
    const channel = await connection.createConfirmChannel()
    channel.on('error', () => {})
    channel.sendToQueue(queue, Buffer.from('v'))
    return await channel.waitForConfirms().then(
      () => true,
      () => false,
    )
  } finally {
    await connection.close()
  }
}

const described = async (client: TestClient): Promise<string[]> =>
  (await client.ask(ApiKey.Metadata, 9, { topics: null }))['topics'].map((topic: Message) => topic['name'])

test('rules that allow and deny hold over Kafka and AMQP alike, and over a restart', async () => {
  let admin = await loggedIn('admin')
  for (const name of ['orders', 'orders-secret', 'invoices']) assert.equal(await createTopic(admin, name), 0)
  assert.deepEqual(
    await createAcls(
      admin,
      {},
      { resourceName: 'orders-secret', resourcePatternType: Literal, operation: 4, permissionType: deny },
    ),
    [0, 0],
  )
  for (let round = 0; round < 2; round++) {
    const alice = await loggedIn('alice')
    assert.equal(await produce(alice, 'orders'), 0)
    assert.equal(await produce(alice, 'orders-secret'), KafkaError.TopicAuthorizationFailed)
    assert.equal(await produce(alice, 'invoices'), KafkaError.TopicAuthorizationFailed)
    assert.deepEqual((await described(alice)).sort(), ['orders', 'orders-secret'])
    assert.equal(await createTopic(alice, 'orders-new'), 0)
    assert.equal(await createTopic(alice, 'other'), KafkaError.TopicAuthorizationFailed)
    assert.equal(await publishes('alice', 'orders'), true)
    assert.equal(await publishes('alice', 'orders-secret'), false)
    const topics = await alice.ask(ApiKey.DeleteTopics, 6, {
      topics: [{ name: 'orders-new', topicId: '0'.repeat(32) }],
      timeoutMs: 1000,
    })
    assert.equal(topics['responses'][0].errorCode, 0)
    if (round === 1) break
    for (const client of clients.splice(0)) client.close()
    await broker.stop()
    await start()
    admin = await loggedIn('admin')
  }
})

test('a rule that denies stands above permissions', async () => {
  const admin = await loggedIn('admin')
  assert.equal(await createTopic(admin, 'kept'), 0)
  const pat = await loggedIn('pat')
  assert.equal(await produce(pat, 'kept'), 0)
  assert.deepEqual(
    await createAcls(admin, {
      resourceName: 'kept',
      resourcePatternType: Literal,
      principal: 'User:*',
      operation: 4,
      permissionType: deny,
    }),
    [0],
  )
  assert.equal(await produce(pat, 'kept'), KafkaError.TopicAuthorizationFailed)
  assert.equal(await publishes('pat', 'kept'), false)
  assert.equal(await produce(admin, 'kept'), 0)
})

test('rules, credentials and the like are for administrators, and for whom a rule about the cluster names', async () => {
  const [admin, pat] = [await loggedIn('admin'), await loggedIn('pat')]
  assert.deepEqual(await createAcls(pat, {}), [KafkaError.ClusterAuthorizationFailed])
  assert.equal((await pat.ask(ApiKey.DescribeAcls, 3, anyFilter))['errorCode'], KafkaError.ClusterAuthorizationFailed)
  const upsertion = { name: 'x', mechanism: 1, iterations: 4096, salt: Buffer.from('salt'), saltedPassword: Buffer.alloc(32) }
  const altered = await pat.ask(ApiKey.AlterUserScramCredentials, 0, { deletions: [], upsertions: [upsertion] })
  assert.equal(altered['results'][0].errorCode, KafkaError.ClusterAuthorizationFailed)
  const cluster = {
    resourceType: 4,
    resourceName: 'kafka-cluster',
    resourcePatternType: Literal,
    principal: 'User:pat',
    operation: 8,
  }
  assert.deepEqual(await createAcls(admin, cluster), [0])
  assert.equal((await pat.ask(ApiKey.DescribeAcls, 3, anyFilter))['errorCode'], 0)
  assert.deepEqual(await createAcls(pat, {}), [KafkaError.ClusterAuthorizationFailed])
})

test('groups have rules of their own', async () => {
  const admin = await loggedIn('admin')
  const alice = await loggedIn('alice')
  const ask = async (): Promise<number> =>
    (await alice.ask(ApiKey.DescribeGroups, 5, { groups: ['team-1'], includeAuthorizedOperations: false }))['groups'][0].errorCode
  assert.equal(await ask(), KafkaError.GroupAuthorizationFailed)
  assert.deepEqual(await createAcls(admin, { resourceType: 3, resourceName: 'team-', operation: 3 }), [0])
  assert.equal(await ask(), 0)
})

test('what a rule cannot say is refused', async () => {
  const admin = await loggedIn('admin')
  const refused: Partial<Entry>[] = [
    { host: 'client.example' },
    { host: '10.0.0.256' },
    { principal: 'Group:admins' },
    { principal: 'alice' },
    { resourceType: 6 },
    { resourceName: '' },
    { resourcePatternType: 2 },
    { permissionType: 1 },
    { operation: 9 },
    { resourceType: 4, resourceName: 'other', resourcePatternType: Literal, operation: 8 },
    { resourceType: 4, resourceName: 'kafka-cluster', resourcePatternType: Literal, operation: 12, permissionType: deny },
  ]
  assert.deepEqual(
    await createAcls(admin, ...refused),
    refused.map(() => KafkaError.InvalidRequest),
  )
})

test('an entry for a host is about clients from there alone, and over a restart', async () => {
  let admin = await loggedIn('admin')
  for (const name of ['here', 'there', 'kept-out']) assert.equal(await createTopic(admin, name), 0)
  const literal = { resourcePatternType: Literal, operation: 4 }
  assert.deepEqual(
    await createAcls(
      admin,
      { ...literal, resourceName: 'here', host: '127.0.0.1' },
      { ...literal, resourceName: 'there', host: '10.0.0.1' },
      { ...literal, resourceName: 'kept-out', host: '127.0.0.0/8', principal: 'User:*', permissionType: deny },
    ),
    [0, 0, 0],
  )
  for (let round = 0; round < 2; round++) {
    const alice = await loggedIn('alice')
    assert.equal(await produce(alice, 'here'), 0)
    assert.equal(await produce(alice, 'there'), KafkaError.TopicAuthorizationFailed)
    assert.equal(await publishes('alice', 'here'), true)
    assert.equal(await publishes('alice', 'there'), false)
    const pat = await loggedIn('pat')
    assert.equal(await produce(pat, 'there'), 0)
    assert.equal(await produce(pat, 'kept-out'), KafkaError.TopicAuthorizationFailed)
    const { resources } = await admin.ask(ApiKey.DescribeAcls, 3, { ...anyFilter, hostFilter: '10.0.0.1' })
    assert.deepEqual(
      resources.map((resource: Message) => [resource['resourceName'], resource['acls'][0].host]),
      [['there', '10.0.0.1']],
    )
    if (round === 1) break
    for (const client of clients.splice(0)) client.close()
    await broker.stop()
    await start()
    admin = await loggedIn('admin')
  }
  const { filterResults } = await admin.ask(ApiKey.DeleteAcls, 3, { filters: [{ ...anyFilter, hostFilter: '127.0.0.1' }] })
  assert.equal(filterResults[0].matchingAcls.length, 1)
  assert.equal(await produce(await loggedIn('alice'), 'here'), KafkaError.TopicAuthorizationFailed)
})

test('filters find what matches, and deleting returns it', async () => {
  const admin = await loggedIn('admin')
  const own = { principal: 'User:filtered' }
  await createAcls(
    admin,
    { ...own, resourceName: 'f', operation: 3 },
    { ...own, resourceName: 'f.x', resourcePatternType: Literal, operation: 4 },
    { ...own, resourceName: '*', resourcePatternType: Literal, operation: 8, permissionType: deny },
  )
  const found = async (filter: object): Promise<string[]> => {
    const { resources } = await admin.ask(ApiKey.DescribeAcls, 3, { ...anyFilter, principalFilter: 'User:filtered', ...filter })
    return resources.map((resource: Message) => resource['resourceName']).sort()
  }
  assert.deepEqual(await found({}), ['*', 'f', 'f.x'])
  assert.deepEqual(await found({ patternTypeFilter: 2, resourceNameFilter: 'f.x' }), ['*', 'f', 'f.x'])
  assert.deepEqual(await found({ patternTypeFilter: 2, resourceNameFilter: 'g' }), ['*'])
  assert.deepEqual(await found({ resourceNameFilter: 'f' }), ['f'])
  assert.deepEqual(await found({ operation: 4 }), ['f.x'])
  assert.deepEqual(await found({ permissionType: deny }), ['*'])
  const filters = [{ ...anyFilter, principalFilter: 'User:filtered' }]
  const { filterResults } = await admin.ask(ApiKey.DeleteAcls, 3, { filters })
  assert.equal(filterResults[0].matchingAcls.length, 3)
  assert.deepEqual(await found({}), [])
})

test('credentials made by a client let its user in, everywhere, until they are deleted', async () => {
  const admin = await loggedIn('admin')
  const salt = Buffer.from('some salt')
  const saltedPassword = pbkdf2Sync('bob-secret', salt, 4096, 64, 'sha512')
  const upsertion = { name: 'bob', mechanism: 2, iterations: 4096, salt, saltedPassword }
  const alter = async (deletions: object[], upsertions: object[]): Promise<number> =>
    (await admin.ask(ApiKey.AlterUserScramCredentials, 0, { deletions, upsertions }))['results'][0].errorCode
  assert.equal(await alter([], [upsertion]), 0)
  await loggedIn('bob')
  await assert.rejects(loggedIn('bob', 'wrong'))
  const { results } = await admin.ask(ApiKey.DescribeUserScramCredentials, 0, { users: [{ name: 'bob' }] })
  assert.deepEqual(results[0].credentialInfos, [{ mechanism: 2, iterations: 4096 }])
  // In place of a password that the user had.
  assert.equal(await alter([], [{ ...upsertion, name: 'alice', saltedPassword: pbkdf2Sync('new', salt, 4096, 64, 'sha512') }]), 0)
  await loggedIn('alice', 'new')
  assert.equal(await alter([{ name: 'bob', mechanism: 2 }], []), 0)
  await assert.rejects(loggedIn('bob'))
  assert.equal(await alter([{ name: 'bob', mechanism: 2 }], []), KafkaError.ResourceNotFound)
})

interface Bearer {
  readonly user?: string
  readonly issuer?: string
  readonly key?: typeof signer.privateKey
  readonly expires?: string
}

function tokenOf({
  user = 'alice',
  issuer = 'https://issuer.example',
  key = signer.privateKey,
  expires = '1h',
}: Bearer): Promise<string> {
  const token = new SignJWT({}).setProtectedHeader({ alg: 'ES256', kid: 'one' }).setSubject(user).setIssuer(issuer)
  return token.setExpirationTime(expires).sign(key)
}

async function bear(client: TestClient, token: string): Promise<Message> {
  await client.ask(ApiKey.SaslHandshake, 1, { mechanism: 'OAUTHBEARER' })
  const authBytes = Buffer.from(`n,,\x01auth=Bearer ${token}\x01\x01`)
  return client.ask(ApiKey.SaslAuthenticate, 2, { authBytes })
}

function connected(): TestClient {
  const client = new TestClient(port('kafka'))
  clients.push(client)
  return client
}

test('a signed token logs its user in for as long as it lasts, and one who is no user of the broker by rules alone', async () => {
  const alice = await bear(connected(), await tokenOf({}))
  assert.equal(alice['errorCode'], 0)
  assert.ok(Math.abs(alice['sessionLifetimeMs'] - 3_600_000) < 60_000)
  const admin = await loggedIn('admin')
  assert.equal(await createTopic(admin, 'carols'), 0)
  const carol = connected()
  assert.equal((await bear(carol, await tokenOf({ user: 'carol' })))['errorCode'], 0)
  assert.equal(await produce(carol, 'carols'), KafkaError.TopicAuthorizationFailed)
  await createAcls(admin, { resourceName: 'carols', principal: 'User:carol', operation: 4 })
  assert.equal(await produce(carol, 'carols'), 0)
})

test('a token that is not good is refused as RFC 7628 says', async () => {
  const bad = [
    await tokenOf({ key: stranger.privateKey }),
    await tokenOf({ issuer: 'https://other.example' }),
    await tokenOf({ expires: '-1h' }),
    'no token',
  ]
  for (const token of bad) {
    const client = connected()
    const challenge = await bear(client, token)
    assert.equal(challenge['errorCode'], 0)
    assert.deepEqual(JSON.parse(String(challenge['authBytes'])), { status: 'invalid_token' })
    const refused = await client.ask(ApiKey.SaslAuthenticate, 2, { authBytes: Buffer.from([1]) })
    assert.equal(refused['errorCode'], KafkaError.SaslAuthenticationFailed)
    await client.closed()
  }
})

test('a login is renewed on its connection by the same user only, and not served after its end (KIP-368)', async () => {
  const client = connected()
  assert.equal((await bear(client, await tokenOf({})))['errorCode'], 0)
  assert.equal((await bear(client, await tokenOf({ expires: '2h' })))['errorCode'], 0)
  assert.equal((await bear(client, await tokenOf({ user: 'carol' })))['errorCode'], KafkaError.SaslAuthenticationFailed)
  await client.closed()
  const late = connected()
  assert.equal((await bear(late, await tokenOf({ expires: '30m' })))['errorCode'], 0)
  await described(late)
  clock.advance('31m')
  await assert.rejects(described(late), /closed/)
})

test('clients are told the advertised address', async () => {
  const { brokers } = await (await loggedIn('admin')).ask(ApiKey.Metadata, 9, { topics: [] })
  assert.deepEqual([brokers[0].host, brokers[0].port], ['broker.example', 19092])
})
