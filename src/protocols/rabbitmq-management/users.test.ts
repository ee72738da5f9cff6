// Users, tags and permissions: what the API shows to whom, and what they do to AMQP clients.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import type { Channel } from 'amqplib'
import { eventually } from '../../../test/support/amqp.ts'
import { Management } from '../../../test/support/management.ts'

const management = new Management()
const root = management.as('root:secret')

async function start(): Promise<void> {
  assert.equal((await management.call('PUT', '/users/root', { password: 'secret', tags: 'administrator' })).status, 201)
}
const user = (name: string, tags: string) => root('PUT', `/users/${name}`, { password: 'love', tags })
const permit = (name: string, configure: string, write: string, read: string, vhost = '%2F') =>
  root('PUT', `/permissions/${vhost}/${name}`, { configure, write, read })

/** The reply text with which a channel is closed, or "allowed". */
async function outcome(login: string, use: (channel: Channel) => Promise<unknown>): Promise<string> {
  const channel = await management.channel(login)
  const closed = new Promise<string>((resolve) => channel.once('error', (error: Error) => resolve(error.message)))
  const done = use(channel)
    .then(() => channel.prefetch(0))
    .then(
      () => 'allowed',
      () => closed,
    )
  const text = await Promise.race([done, closed])
  return /ACCESS_REFUSED - (.*?)( refused for user 'ada')?"/.exec(text)?.[1] ?? text
}

test('the first user must be an administrator; with him everybody logs in, and the last one stays', async () => {
  const first = await management.call('PUT', '/users/ada', { password: 'love', tags: '' })
  assert.deepEqual([first.status, /there must be an administrator/.test(first.json.reason)], [400, true])
  await start()
  assert.deepEqual([(await management.call('GET', '/overview')).status, (await root('GET', '/overview')).status], [401, 200])
  const anonymous = await fetch(`${management.broker.url('rabbitmq-management')}/api/overview`)
  assert.deepEqual([anonymous.status, anonymous.headers.get('www-authenticate')], [401, 'Basic realm="RabbitMQ Management"'])
  await user('ada', '')
  assert.equal((await root('DELETE', '/users/root')).status, 400)
  assert.equal((await root('PUT', '/users/root', { password: 'secret', tags: '' })).status, 400)
  assert.deepEqual((await root('POST', '/users/bulk-delete', { users: ['xx'] })).json.reason, ['no_such_user', 'xx'])
  assert.equal((await root('PUT', '/users/new', { password: 'x' })).json.reason, 'tags_not_present')
  assert.equal((await root('DELETE', '/users/nobody')).status, 404)
  assert.equal((await root('POST', '/login', { username: 'root', password: 'secret' })).json, 'ok')
})

test('tags decide what of the API a user sees', async () => {
  await start()
  for (const tag of ['monitoring', 'policymaker', 'management', 'nonsense']) {
    await user(tag, tag)
    await permit(tag, '', '', '')
  }
  await root('PUT', '/vhosts/shop', {})
  const reasons = async (name: string): Promise<unknown[]> => {
    const as = management.as(`${name}:love`)
    const policy = { pattern: 'x', definition: { expires: 9 } }
    const answers = [
      await as('GET', '/whoami'),
      await as('GET', '/nodes'),
      await as('PUT', '/policies/%2F/p', policy),
      await as('PUT', '/operator-policies/%2F/p', policy),
      await as('GET', '/users'),
      await as('GET', '/definitions'),
      await as('GET', '/queues/shop'),
    ]
    return answers.map(({ status, json }) => (status < 300 ? 'ok' : `${status} ${json.reason}`))
  }
  const [nodes, policies] = ['401 Not monitor user', '401 Not policy maker']
  const [admin, vhost] = ['401 Not administrator user', '401 User not authorised to access virtual host']
  assert.deepEqual(await reasons('monitoring'), ['ok', 'ok', policies, admin, admin, admin, 'ok'])
  assert.deepEqual(await reasons('policymaker'), ['ok', nodes, 'ok', admin, admin, admin, vhost])
  assert.deepEqual(await reasons('management'), ['ok', nodes, policies, admin, admin, admin, vhost])
  assert.deepEqual(new Set(await reasons('nonsense')), new Set(['401 Not management user']))
  const vhosts = (await management.as('management:love')('GET', '/vhosts')).json
  assert.deepEqual(
    vhosts.map(({ name }: { name: string }) => name),
    ['/'],
  )
})

test('configure, write and read hold for AMQP clients, searched for in names as in RabbitMQ', async () => {
  await start()
  const channel = await management.channel('root:secret')
  for (const name of ['ada.in', 'other']) await channel.assertQueue(name)
  await user('ada', 'management')
  await permit('ada', '^ada', '^(ada|amq\\.topic)', '^ada|amq.topic')
  const attempt = (use: (channel: Channel) => Promise<unknown>) => outcome('ada:love', use)
  assert.equal(await attempt((each) => each.assertQueue('ada.new')), 'allowed')
  assert.equal(await attempt((each) => each.assertQueue('my.ada')), "configure access to queue 'my.ada' in vhost '/'")
  assert.equal(await attempt((each) => each.consume('ada.in', () => undefined)), 'allowed')
  assert.equal(await attempt((each) => each.consume('other', () => undefined)), "read access to queue 'other' in vhost '/'")
  assert.equal(await attempt(async (each) => each.publish('amq.topic', 'k', Buffer.from('x'))), 'allowed')
  assert.equal(
    await attempt(async (each) => each.publish('amq.fanout', 'k', Buffer.from('x'))),
    "write access to exchange 'amq.fanout' in vhost '/'",
  )
  assert.equal(await attempt((each) => each.bindQueue('ada.in', 'amq.topic', 'k')), 'allowed')
  assert.equal(await attempt((each) => each.bindQueue('other', 'amq.topic', 'k')), "write access to queue 'other' in vhost '/'")
  assert.equal(
    await attempt((each) => each.bindQueue('ada.in', 'amq.direct', 'k')),
    "read access to exchange 'amq.direct' in vhost '/'",
  )
  assert.equal(await attempt((each) => each.deleteQueue('other')), "configure access to queue 'other' in vhost '/'")
  const ada = management.as('ada:love')
  assert.equal((await ada('PUT', '/queues/%2F/zzz', {})).json.reason, 'Access refused.')
  assert.equal((await ada('PUT', '/queues/%2F/ada.api', {})).status, 201)
  await permit('ada', '', '', '')
  assert.equal(await attempt((each) => each.assertQueue('ada.later')), "configure access to queue 'ada.later' in vhost '/'")
})

test('permissions are listed as they were given, for vhosts and users that exist', async () => {
  await start()
  await user('ada', '')
  await root('PUT', '/vhosts/shop', {})
  await permit('ada', '^ada', '.*', '(?i)x', 'shop')
  const given = { user: 'ada', vhost: 'shop', configure: '^ada', write: '.*', read: '(?i:x)' }
  for (const path of ['/permissions', '/users/ada/permissions', '/vhosts/shop/permissions'])
    assert.deepEqual([path, (await root('GET', path)).json], [path, [given]])
  assert.deepEqual((await root('GET', '/permissions/shop/ada')).json, given)
  assert.equal((await permit('nobody', '', '', '')).json.reason, 'vhost_or_user_not_found')
  assert.equal((await permit('ada', '', '', '', 'none')).json.reason, 'vhost_or_user_not_found')
  assert.equal((await permit('ada', '(', '', '')).status, 400)
  assert.equal((await root('DELETE', '/permissions/shop/ada')).status, 204)
  assert.equal((await root('DELETE', '/permissions/shop/ada')).status, 404)
})

test('topic permissions hold for routing keys of topic exchanges', async () => {
  await start()
  await user('ada', '')
  await permit('ada', '.*', '.*', '.*')
  const rule = { exchange: 'amq.topic', write: '^{username}\\.', read: '^eu' }
  assert.equal((await root('PUT', '/topic-permissions/%2F/ada', rule)).status, 201)
  const attempt = (use: (channel: Channel) => Promise<unknown>) => outcome('ada:love', use)
  assert.equal(await attempt(async (each) => each.publish('amq.topic', 'ada.x', Buffer.from('x'))), 'allowed')
  assert.equal(
    await attempt(async (each) => each.publish('amq.topic', 'bob.x', Buffer.from('x'))),
    "write access to topic 'bob.x' in exchange 'amq.topic' in vhost '/'",
  )
  assert.equal(await attempt(async (each) => each.publish('amq.direct', 'bob.x', Buffer.from('x'))), 'allowed')
  assert.equal(await attempt((each) => each.assertQueue('q').then(() => each.bindQueue('q', 'amq.topic', 'eu.#'))), 'allowed')
  assert.equal(
    await attempt((each) => each.bindQueue('q', 'amq.topic', '#')),
    "read access to topic '#' in exchange 'amq.topic' in vhost '/'",
  )
  assert.equal((await root('GET', '/topic-permissions/%2F/ada')).json[0].read, '^eu')
  assert.equal((await root('DELETE', '/topic-permissions/%2F/ada/amq.topic')).status, 204)
  assert.equal(await attempt((each) => each.bindQueue('q', 'amq.topic', '#')), 'allowed')
})

test('a user with a hash of RabbitMQ logs in over AMQP and the API, and is shown with a hash of ours afterwards', async () => {
  await start()
  const salt = Buffer.from([1, 2, 3, 4])
  const digest = (algorithm: string) => createHash(algorithm).update(salt).update('test12').digest()
  const hash = (algorithm: string) => Buffer.concat([salt, digest(algorithm)]).toString('base64')
  // The example of RabbitMQ's own page on passwords.
  const documented = 'kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR'
  const put = (name: string, body: object) => root('PUT', `/users/${name}`, { tags: 'management', ...body })
  assert.equal((await put('plain', { password_hash: documented })).status, 201)
  assert.equal((await root('GET', '/users/plain')).json.password_hash, documented)
  await put('long', { password_hash: hash('sha512'), hashing_algorithm: 'rabbit_password_hashing_sha512' })
  for (const name of ['plain', 'long']) {
    await permit(name, '', '', '')
    await assert.rejects(management.connect(`${name}:wrong`))
    await management.connect(`${name}:test12`)
    assert.equal((await management.as(`${name}:test12`)('GET', '/whoami')).json.name, name)
    await eventually(async () => (await root('GET', `/users/${name}`)).json.hashing_algorithm === 'anymq_password_hashing_scrypt')
  }
  assert.deepEqual((await put('bad', { password_hash: 'abc' })).json.reason, ['not_base64', 'abc'])
  const md5 = await put('bad', { password_hash: documented, hashing_algorithm: 'rabbit_password_hashing_md5' })
  assert.deepEqual([md5.status, /is not supported/.test(md5.json.reason)], [400, true])
  await put('ghost', { password_hash: '' })
  assert.equal((await management.as('ghost:')('GET', '/whoami')).status, 401)
})

test('a vhost has words of its own, and goes with its contents, connections and permissions', async () => {
  await start()
  await user('ada', '')
  assert.equal((await root('PUT', '/vhosts/shop', { description: 'the shop', tags: 'a,b' })).status, 201)
  assert.equal((await root('PUT', '/vhosts/shop', {})).status, 204)
  const { json } = await root('GET', '/vhosts/shop')
  assert.deepEqual([json.description, json.tags, json.metadata.tags], ['the shop', ['a', 'b'], ['a', 'b']])
  assert.equal((await root('PUT', '/vhosts/typed', { default_queue_type: 'rare' })).status, 400)
  assert.equal((await root('PUT', '/vhosts/default', {})).status, 400)
  await permit('ada', '.*', '.*', '.*', 'shop')
  await root('PUT', '/queues/shop/q', {})
  await root('PUT', '/policies/shop/p', { pattern: '', definition: { expires: 100_000 } })
  const connection = await management.connect('ada:love', 'shop')
  const closed = new Promise((resolve) => connection.once('close', resolve))
  assert.equal((await root('DELETE', '/vhosts/shop')).status, 204)
  await closed
  assert.equal((await root('GET', '/vhosts/shop')).status, 404)
  assert.deepEqual((await root('GET', '/permissions')).json, [])
  assert.deepEqual((await root('GET', '/policies')).json, [])
  await root('PUT', '/vhosts/shop', {})
  assert.deepEqual((await root('GET', '/queues/shop')).json, [])
  assert.equal((await root('GET', '/vhosts/shop')).json.description, '')
})

test('a password that the API hashed lets its user in', async () => {
  await start()
  const { ok } = (await root('GET', '/auth/hash_password/open%20sesame')).json
  assert.equal((await root('PUT', '/users/ali', { password_hash: ok, tags: 'management' })).status, 201)
  assert.equal((await management.as('ali:open sesame')('GET', '/whoami')).json.name, 'ali')
  assert.equal((await management.as('ali:else')('GET', '/whoami')).status, 401)
})
