// Definitions: an export of a real RabbitMQ 3.10 (golden/) imported, used by its users, and exported again.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { collected, taken, texts } from '../../../test/support/amqp.ts'
import { Management } from '../../../test/support/management.ts'

const management = new Management()
const root = management.as('root:secret')
const golden = () => JSON.parse(readFileSync(new URL('golden/definitions-3.10.json', import.meta.url), 'utf8'))

/** A list in an order of its own, as text. */
const sorted = (items: object[]): string[] =>
  items
    .map((item) =>
      JSON.stringify(item, (_, value) => (isPlain(value) ? Object.fromEntries(Object.entries(value).sort()) : value)),
    )
    .sort()
const isPlain = (value: unknown): value is object => typeof value === 'object' && value !== null && !Array.isArray(value)

/** As root, who is there from the start: guest of the export would end our own calls as anybody. */
async function start(): Promise<void> {
  await management.call('PUT', '/users/root', { password: 'secret', tags: 'administrator' })
}

test('a topology of RabbitMQ 3.10 is carried over: what is exported again is what was imported', async () => {
  await start()
  const definitions = golden()
  const { status, json } = await root('POST', '/definitions', definitions)
  assert.deepEqual([status, json.skipped, json.refused], [200, [], []])
  const exported = (await root('GET', '/definitions')).json
  for (const list of ['permissions', 'topic_permissions', 'parameters', 'policies', 'queues', 'exchanges', 'bindings'])
    assert.deepEqual(sorted(exported[list]), sorted(definitions[list]), list)
  const users = exported.users.filter(({ name }: { name: string }) => name !== 'root')
  assert.deepEqual(sorted(users), sorted(definitions.users))
  assert.deepEqual(exported.vhosts.map(({ name }: { name: string }) => name).sort(), ['/', 'shop'])
  // Once more changes nothing.
  assert.equal((await root('POST', '/definitions', definitions)).status, 200)
  assert.equal((await root('POST', '/definitions', exported)).status, 200)
})

test('what was carried over does what it did', async () => {
  await start()
  await root('POST', '/definitions', golden())
  const worker = await management.channel('worker:work')
  const confirmed = await (await management.connect('guest:guest')).createConfirmChannel()
  confirmed.publish('events', 'orders.new', Buffer.from('order'))
  confirmed.publish('events', 'elsewhere', Buffer.from('rest'))
  confirmed.publish('sorting', '', Buffer.from('mail'), { headers: { kind: 'mail', size: 3 } })
  await confirmed.waitForConfirms()
  const order = await taken(worker, 'orders')
  assert.equal(order.content.toString(), 'order')
  worker.nack(order, false, false)
  assert.deepEqual(texts(await collected(worker, 'mail', 1)), ['mail'])
  assert.equal((await taken(confirmed, 'orders.dead')).properties.headers?.['x-death']?.[0]?.queue, 'orders')
  const queue = (await root('GET', '/queues/%2F/orders')).json
  assert.deepEqual(
    [queue.type, queue.policy, queue.operator_policy, queue.effective_policy_definition],
    ['quorum', 'lazy', 'limits', { 'max-length': 50_000, 'queue-mode': 'lazy' }],
  )
  assert.deepEqual((await management.as('ada:love')('GET', '/whoami')).json, { name: 'ada', tags: ['management', 'policymaker'] })
})

test('what cannot be honoured refuses all of it with a list, or is skipped when that is wanted', async () => {
  await start()
  const definitions = golden()
  definitions.policies.push({
    vhost: '/',
    name: 'mirrored',
    pattern: '',
    'apply-to': 'all',
    definition: { 'ha-mode': 'all' },
    priority: 0,
  })
  definitions.parameters.push({ component: 'federation-upstream', name: 'up', vhost: 'shop', value: { uri: 'amqp://' } })
  definitions.users.push({ name: 'old', password_hash: 'AAAA', hashing_algorithm: 'rabbit_password_hashing_md5', tags: [] })
  definitions.novelties = []
  definitions.vhosts.push({ name: 'typed', metadata: { default_queue_type: 'rare' } })
  definitions.users.push({ name: 'limited', password_hash: '', tags: [], limits: { 'max-seats': 1 } })
  const strict = await root('POST', '/definitions', definitions)
  assert.equal(strict.status, 400)
  const lines = strict.json.reason.split('\n')
  assert.equal(lines[0], 'Nothing was imported, because AnyMQ does not support:')
  for (const line of [
    'novelties: unknown',
    'parameter "up" of federation-upstream: there is no such component here',
    'vhost "typed": default_queue_type rare is unknown',
    'user "limited": Unrecognised terms [{<<"max-seats">>,1}] in user-limits',
    'policy "mirrored": [{<<"ha-mode">>,<<"all">>}] are not recognised policy settings',
  ])
    assert.ok(lines.includes(line), line)
  assert.ok(lines.some((line: string) => line.startsWith('user "old": hashing_algorithm rabbit_password_hashing_md5')))
  assert.deepEqual((await root('GET', '/queues')).json, [])

  const { status, json } = await root('POST', '/definitions?unsupported=skip', definitions)
  assert.deepEqual([status, json.skipped.length, json.refused], [200, 6, []])
  assert.equal((await root('GET', '/queues')).json.length, 6)
})

test('what is refused while it is made is reported, and the rest is made', async () => {
  await start()
  await root('PUT', '/queues/%2F/mail', { durable: false })
  const { status, json } = await root('POST', '/definitions', golden())
  assert.equal(status, 400)
  assert.match(json.reason, /^Imported, but for what was refused:\nqueue "mail" of vhost "\/": inequivalent arg 'durable'/)
  assert.equal((await root('GET', '/queues')).json.length, 6)
})

test('users without an administrator among them would lock everybody out', async () => {
  const { users: all, ...rest } = golden()
  const users = all.filter(({ name }: { name: string }) => name !== 'guest')
  const { status, json } = await management.call('POST', '/definitions', { ...rest, users })
  assert.deepEqual([status, /none of them is an administrator/.test(json.reason)], [400, true])
  assert.deepEqual((await management.call('GET', '/queues')).json, [])
})

test('the definitions of one vhost name none, and can be imported into another', async () => {
  await start()
  await root('POST', '/definitions', golden())
  const shop = (await root('GET', '/definitions/shop')).json
  assert.equal(JSON.stringify(shop).includes('"vhost"'), false)
  await root('PUT', '/vhosts/copy', {})
  assert.equal((await root('POST', '/definitions/copy', shop)).status, 200)
  const copied = (await root('GET', '/queues/copy')).json
  assert.deepEqual([copied.length, copied[0].name, copied[0].policy], [1, 'ada.carts', 'expiring'])
  assert.equal((await root('POST', '/definitions/none', shop)).status, 404)
  assert.equal((await management.as('ada:love')('POST', '/definitions', shop)).json.reason, 'Not administrator user')
})
