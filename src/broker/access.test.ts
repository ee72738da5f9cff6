/** Users: passwords that were hashed elsewhere, tags, and what routing keys and dead-letter targets a user may name. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { Machine } from '../../test/support/machine.ts'
import type { OwnedBroker } from './broker.ts'
import { type Permission, PublishItem, type Space } from './face.ts'

const all: Permission = { namespace: 'default', publish: '.*', consume: '.*', manage: '.*' }
const salt = Buffer.from('0a0b0c0d', 'hex')

function hashed(algorithm: 'sha256' | 'sha512', password: string) {
  const hash = createHash(algorithm).update(salt).update(password).digest('base64')
  return { algorithm, salt: salt.toString('base64'), hash }
}

const login = (broker: OwnedBroker, user: string, password: string) =>
  broker.authenticate({ kind: 'password', user, password }, '127.0.0.1')

async function spaceOf(broker: OwnedBroker, user: string): Promise<Space> {
  return broker.space(await login(broker, user, 'secret'), 'default')
}

/** The error code, or null when it was stored or found no topic. */
async function published(space: Space, item: PublishItem): Promise<string | null> {
  await new Promise<void>((resolve) => space.publish([item], resolve))
  return item.errorCode
}
const toExchange = (exchange: string, key: string) => new PublishItem(exchange, key, 1, Buffer.from('x'))

test('a user brought with a hash logs in, gets verifiers of our own, and keeps them over a crash', async () => {
  const machine = new Machine()
  const broker = await machine.start()
  for (const algorithm of ['sha256', 'sha512'] as const) {
    await broker.users.put(algorithm, { verifier: hashed(algorithm, 'secret'), admin: true })
    await assert.rejects(login(broker, algorithm, 'Secret'), { code: 'Unauthenticated' })
    assert.equal(broker.users.verifier(algorithm)?.algorithm, algorithm)
    assert.equal(broker.scramVerifier(algorithm, 'SCRAM-SHA-256'), undefined)
    await login(broker, algorithm, 'secret')
    while (broker.users.verifier(algorithm)?.algorithm !== 'scrypt') await new Promise((resolve) => setImmediate(resolve))
    assert.notEqual(broker.scramVerifier(algorithm, 'SCRAM-SHA-256'), undefined)
  }
  const again = await machine.restart()
  await assert.rejects(login(again, 'sha256', 'Secret'), { code: 'Unauthenticated' })
  assert.equal((await login(again, 'sha256', 'secret')).user, 'sha256')
  await machine.stop()
})

test('a user without a password cannot log in, and a hash of the wrong length is refused', async () => {
  const machine = new Machine()
  const broker = await machine.start()
  await broker.users.put('root', { password: 'secret', admin: true })
  await broker.users.put('ghost', { verifier: { algorithm: 'none' } })
  await assert.rejects(login(broker, 'ghost', ''), { code: 'Unauthenticated' })
  const short = { algorithm: 'sha256', salt: '', hash: 'AAAA' } as const
  await assert.rejects(broker.users.put('bad', { verifier: short }), { code: 'Invalid' })
  await assert.rejects(broker.users.put('bad', { verifier: { ...short, algorithm: 'scrypt' } }), { code: 'Invalid' })
  await machine.stop()
})

test('a login that is remembered ends with the password, and with the user', async () => {
  const machine = new Machine()
  const broker = await machine.start()
  await broker.users.put('root', { password: 'secret', admin: true })
  await broker.users.put('ada', { password: 'old' })
  await login(broker, 'ada', 'old')
  await login(broker, 'ada', 'old')
  await assert.rejects(login(broker, 'ada', 'Old'), { code: 'Unauthenticated' })
  await broker.users.put('ada', { password: 'new' })
  await assert.rejects(login(broker, 'ada', 'old'), { code: 'Unauthenticated' })
  await login(broker, 'ada', 'new')
  await broker.users.delete('ada')
  await assert.rejects(login(broker, 'ada', 'new'), { code: 'Unauthenticated' })
  await machine.stop()
})

test('a change that leaves tags and rules out keeps them, over a restart as well', async () => {
  const machine = new Machine()
  let broker = await machine.start()
  const rule = { namespace: 'default', exchange: 'amq.topic', publish: 'a', consume: 'b' }
  await broker.users.put('ada', { password: 'secret', tags: ['monitoring'], permissions: [all], keyPermissions: [rule] })
  await broker.users.put('ada', { admin: true })
  broker = await machine.restart()
  const expected = {
    name: 'ada',
    admin: true,
    tags: ['monitoring'],
    permissions: [all],
    keyPermissions: [rule],
    disabled: false,
    operations: {},
  }
  assert.deepEqual(broker.users.list(), [expected])
  await machine.stop()
})

test('rules on routing keys hold for topic exchanges, for publishing, further addresses and binding', async () => {
  const machine = new Machine()
  const broker = await machine.start()
  const rule = { namespace: 'default', publish: 'eu\\..*', consume: 'us\\..*' }
  const keyPermissions = ['amq.topic', 'amq.direct'].map((exchange) => ({ ...rule, exchange }))
  await broker.users.put('ada', { password: 'secret', permissions: [all], keyPermissions })
  const space = await spaceOf(broker, 'ada')
  await space.createTopic('q', { retention: 'acknowledged' }, 'test')
  assert.equal(await published(space, toExchange('amq.topic', 'eu.a')), null)
  assert.equal(await published(space, toExchange('amq.topic', 'us.a')), 'AccessDenied')
  const further = toExchange('amq.topic', 'eu.a')
  further.extraAddresses = ['us.a']
  assert.equal(await published(space, further), 'AccessDenied')
  assert.equal(await published(space, toExchange('amq.direct', 'us.a')), null, 'no topic exchange')
  assert.equal(await published(space, toExchange('amq.fanout', 'us.a')), null, 'no rule for it')
  const binding = { source: 'amq.topic', destination: 'q', destinationKind: 'topic', arguments: {} } as const
  await space.bind({ ...binding, key: 'us.b' })
  await assert.rejects(space.bind({ ...binding, key: 'eu.b' }), { code: 'AccessDenied' })
  await machine.stop()
})

test('the default exchange is allowed by the name of the topic, or for all topics by its own', async () => {
  const machine = new Machine()
  const broker = await machine.start()
  const only = (publish: string) => ({ password: 'secret', permissions: [{ ...all, publish }] })
  await broker.users.put('root', { password: 'secret', admin: true })
  await broker.users.put('one', only('q'))
  await broker.users.put('every', only('amq\\.default'))
  const root = await spaceOf(broker, 'root')
  for (const name of ['q', 'r']) await root.createTopic(name, { retention: 'acknowledged' }, 'test')
  const one = await spaceOf(broker, 'one')
  assert.equal(await published(one, toExchange('', 'q')), null)
  assert.equal(await published(one, toExchange('', 'r')), 'AccessDenied')
  const further = toExchange('', 'q')
  further.extraAddresses = ['r']
  assert.equal(await published(one, further), 'AccessDenied')
  const every = await spaceOf(broker, 'every')
  assert.equal(await published(every, toExchange('', 'r')), null)
  assert.equal(await published(every, new PublishItem(null, 'r', 1, Buffer.from('x'))), 'AccessDenied', 'not routed')
  await machine.stop()
})

test('dead letters, alternates and bindings lead only where their author may publish', async () => {
  const machine = new Machine()
  const broker = await machine.start()
  await broker.users.put('ada', { password: 'secret', permissions: [{ ...all, publish: 'mine.*' }] })
  const space = await spaceOf(broker, 'ada')
  const denied = { code: 'AccessDenied' }
  const deadLetter = { exchange: 'amq.direct', routingKey: 'k' }
  await assert.rejects(space.createTopic('mine', { retention: 'acknowledged', deadLetter }, 'test'), denied)
  await space.createTopic('mine', { retention: 'acknowledged', deadLetter: { exchange: '', routingKey: 'mine.dead' } }, 'test')
  await assert.rejects(space.alterTopic('mine', { deadLetter }), denied)
  const exchange = { kind: 'direct', durable: true, autoDelete: false, internal: false, declaration: {} } as const
  await assert.rejects(space.declareExchange({ ...exchange, name: 'x', alternate: 'amq.direct' }), denied)
  await space.declareExchange({ ...exchange, name: 'mine.x', alternate: 'mine.y' })
  await space.createTopic('other', { retention: 'acknowledged' }, 'test')
  const binding = { source: 'amq.direct', destinationKind: 'topic', key: 'k', arguments: {} } as const
  await assert.rejects(space.bind({ ...binding, destination: 'other' }), denied)
  await space.bind({ ...binding, destination: 'mine' })
  await machine.stop()
})

test('a topic captures only what its author may read', async () => {
  const machine = new Machine()
  const broker = await machine.start()
  await broker.users.put('root', { password: 'secret', admin: true })
  await broker.users.put('ada', { password: 'secret', permissions: [{ ...all, consume: 'mine.*' }] })
  const space = await spaceOf(broker, 'ada')
  const denied = { code: 'AccessDenied' }
  await assert.rejects(space.createTopic('mine', { captures: ['mine.#', 'secret.*'] }, 'test'), denied)
  await space.createTopic('mine', { captures: ['mine.#'] }, 'test')
  await assert.rejects(space.alterTopic('mine', { captures: ['mine.#', '#'] }), denied)
  // What somebody else let it capture stays.
  await (await spaceOf(broker, 'root')).alterTopic('mine', { captures: ['mine.#', 'other.*'] })
  await space.alterTopic('mine', { captures: ['other.*', 'mine.*'] })
  await machine.stop()
})
