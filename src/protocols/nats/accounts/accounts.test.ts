/** Decentralised accounts: who is let in, what keeps accounts apart, what users may, and which configurations are refused. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { portOf, startTestBroker } from '../../../../test/support/running.ts'
import { VirtualClock } from '../../../lib/timers.ts'
import type { RunningBroker } from '../../../server/start.ts'
import { JetStreamClient, type Json } from '../jetstream/jetstream-client.testing.ts'
import { NatsClient } from '../nats-client.testing.ts'
import { Accounts } from './accounts.ts'
import { stayUntil } from './login-times.ts'
import { type Key, makeKey, makeToken, noLimits, signWith } from './tokens.testing.ts'

const clock = new VirtualClock()
const folder = mkdtempSync(path.join(tmpdir(), 'anymq-accounts-'))
const [operator, orders, billing, system, scoped] = [
  makeKey('operator'),
  makeKey('account'),
  makeKey('account'),
  makeKey('account'),
  makeKey('account'),
]
const revoked = makeKey('user')
const operatorToken = makeToken('operator', {
  subject: operator.publicKey,
  issuer: operator,
  own: { system_account: system.publicKey },
})
const account = (key: Key, own: Record<string, unknown> = {}, issuer = operator): string =>
  makeToken('account', { subject: key.publicKey, issuer, own: { limits: noLimits, ...own } })
const stored = { ...noLimits, mem_storage: -1, disk_storage: -1, streams: 1, consumer: 1 }
const ordersToken = account(orders, {
  limits: { ...stored, conn: 5 },
  signing_keys: [{ kind: 'user_scope', key: scoped.publicKey, template: { pub: { allow: ['only.this'] }, sub: {} } }],
  revocations: { [revoked.publicKey]: Math.floor(Date.now() / 1000) + 10 },
  default_permissions: { pub: { deny: ['secret.>'] }, sub: {} },
})
let running: RunningBroker
const clients: { close(): void }[] = []

before(async () => {
  const file = path.join(folder, 'operator.jwt')
  writeFileSync(file, `-----BEGIN NATS OPERATOR JWT-----\n${operatorToken}\n------END NATS OPERATOR JWT------\n`)
  running = await startTestBroker({
    clock,
    only: ['nats'],
    protocolSettings: new Map([
      [
        'nats',
        {
          operator: file,
          accounts: [ordersToken, account(billing, { limits: { ...noLimits, payload: 10 } }), account(system)],
          namespaces: { [orders.publicKey]: 'orders' },
        },
      ],
    ]),
  })
})
after(async () => {
  for (const client of clients) client.close()
  await running.stop()
  rmSync(folder, { recursive: true })
})

const port = (): number => portOf(running, 'nats')

interface User {
  readonly issuer?: Key
  readonly key?: Key
  readonly own?: Record<string, unknown>
  readonly exp?: number
  /** In place of the user's own. */
  readonly signer?: Key
}

const limitless = { subs: -1, data: -1, payload: -1 }

/** The line that answers a PING: PONG, or what refuses the login. */
async function open({ issuer = orders, key = makeKey('user'), own = {}, exp, signer = key }: User = {}): Promise<{
  client: NatsClient
  answer: string
}> {
  const client = await NatsClient.open(port(), null)
  clients.push(client)
  const token = makeToken('user', {
    subject: key.publicKey,
    issuer,
    own: { ...limitless, ...own },
    ...(exp === undefined ? {} : { exp }),
  })
  const sig = signWith(signer, String(client.info['nonce']))
  client.send(`CONNECT ${JSON.stringify({ verbose: false, headers: true, no_responders: true, jwt: token, sig })}`, 'PING')
  return { client, answer: await client.line() }
}

const answerTo = async (user: User): Promise<string> => {
  const { client, answer } = await open(user)
  client.close()
  return answer
}
const violation = "-ERR 'Authorization Violation'"
const soon = (): number => Math.floor(clock.now() / 1000) + 60

test('a user is let in whose chain of signatures leads to the operator, and nobody else', async () => {
  const anonymous = await NatsClient.open(port(), {})
  clients.push(anonymous)
  assert.equal(anonymous.info['auth_required'], true)
  anonymous.send('PING')
  assert.equal(await anonymous.line(), violation)
  assert.equal(await answerTo({}), 'PONG')
  assert.equal(await answerTo({ signer: makeKey('user') }), violation)
  assert.equal(await answerTo({ issuer: makeKey('account') }), violation)
  assert.equal(await answerTo({ key: revoked }), violation)
  assert.equal(await answerTo({ exp: soon() }), 'PONG')
  assert.equal(await answerTo({ exp: soon() - 120 }), violation)
  // In the name of an account that does not know the key.
  assert.equal(await answerTo({ issuer: billing, own: { issuer_account: orders.publicKey } }), violation)
})

test('what a token says of connections holds', async () => {
  assert.equal(await answerTo({ own: { allowed_connection_types: ['WEBSOCKET'] } }), violation)
  assert.equal(await answerTo({ own: { allowed_connection_types: ['STANDARD', 'WEBSOCKET'] } }), 'PONG')
  assert.equal(await answerTo({ own: { src: ['10.0.0.0/8'] } }), violation)
  assert.equal(await answerTo({ own: { src: ['10.0.0.0/8', '127.0.0.0/8'] } }), 'PONG')
  assert.equal(await answerTo({ own: { bearer_token: true }, signer: makeKey('user') }), 'PONG')
})

test('a user of whom a token says what cannot be held is not let in', async () => {
  const claims = [
    { times: [{ start: '00:00', end: '23:59:59' }] },
    { times_location: 'Nowhere' },
    { data: 1000 },
    { proxy_required: true },
    { new_claim: 1 },
  ]
  for (const own of claims) assert.equal(await answerTo({ own }), violation, JSON.stringify(own))
})

test('a user whose key has a scope brings nothing of its own', async () => {
  const nothing = { subs: undefined, data: undefined, payload: undefined, issuer_account: orders.publicKey }
  assert.equal(await answerTo({ issuer: scoped, own: nothing }), 'PONG')
  const claims = [{ src: ['127.0.0.0/8'] }, { subs: 10 }, { bearer_token: true }, { pub: { deny: ['x'] } }]
  for (const own of claims)
    assert.equal(await answerTo({ issuer: scoped, own: { ...nothing, ...own } }), violation, JSON.stringify(own))
})

test('a login ends with its token', async () => {
  const { client } = await open({ exp: soon() })
  clock.advance(62_000)
  assert.equal(await client.line(), "-ERR 'User Authentication Expired'")
})

test('a user comes at the times of its token, and stays until they end', async () => {
  const location = 'Asia/Kolkata'
  const shown = new Date(clock.now() + 5.5 * 3_600_000)
  const at = (minutes: number): string => new Date(shown.getTime() + minutes * 60_000).toISOString().slice(11, 19)
  const own = { times: [{ start: at(-60), end: at(-30) }], times_location: location }
  assert.equal(await answerTo({ own }), violation)
  const { client, answer } = await open({ own: { ...own, times: [...own.times, { start: at(-60), end: at(10) }] } })
  assert.equal(answer, 'PONG')
  clock.advance(8 * 60_000)
  const until = async (wanted: string): Promise<void> => {
    for (let line = await client.line(); line !== wanted; line = await client.line()) assert.match(line, /^P[IO]NG$/)
  }
  client.send('PING')
  await until('PONG')
  clock.advance(3 * 60_000)
  await until("-ERR 'User Authentication Expired'")
  const times = [{ start: '22:00:00', end: '06:00:00' }]
  const cases: [string, string | null][] = [
    ['2026-03-28T20:59:00Z', null],
    ['2026-03-28T21:00:01Z', '2026-03-29T04:00:00Z'], // the clock was put forward that night
    ['2026-03-29T03:59:00Z', '2026-03-29T04:00:00Z'],
    ['2026-03-29T04:00:00Z', null],
  ]
  for (const [now, end] of cases)
    assert.equal(stayUntil(times, 'Europe/Berlin', Date.parse(now)), end === null ? null : Date.parse(end), now)
})

test('accounts do not hear each other, nor see their streams', async () => {
  const [ours, theirs] = [(await open()).client, (await open({ issuer: billing })).client]
  ours.send('SUB > 1')
  theirs.send('SUB > 1')
  await Promise.all([ours.flush(), theirs.flush()])
  theirs.publish('a', 'theirs')
  assert.deepEqual(await theirs.flush(), ['MSG a 1 6', 'theirs'])
  ours.publish('a', 'ours')
  assert.deepEqual(await ours.flush(), ['MSG a 1 4', 'ours'])
  // An account without storage has no streams at all.
  theirs.send('UNSUB 1', 'SUB in 2')
  theirs.publish('$JS.API.INFO', '', 'in')
  assert.match((await theirs.flush())[1] ?? '', /^NATS\/1\.0 503/)
  assert.deepEqual(running.broker.namespaces().sort(), ['default', 'orders', billing.publicKey, system.publicKey].sort())
  for (const client of [ours, theirs]) client.close()
})

test('an account has as many streams, consumers, connections and bytes as its token says', async () => {
  const key = makeKey('user')
  const token = makeToken('user', { subject: key.publicKey, issuer: orders, own: { ...limitless, bearer_token: true } })
  const client = await JetStreamClient.open(port(), { jwt: token })
  clients.push(client)
  await client.stream('one')
  assert.equal(await client.refusal('STREAM.CREATE.two', { name: 'two' }), 10027)
  await client.consumer('one', 'c')
  const another = { stream_name: 'one', config: { durable_name: 'd' } }
  assert.equal(await client.refusal('CONSUMER.CREATE.one.d', another), 10026)
  assert.ok(running.broker.space(running.broker.anonymous, 'orders').topic('one') !== undefined)
  const opened = [await open(), await open(), await open(), await open(), await open()]
  assert.deepEqual(
    opened.map(({ answer }) => answer),
    ['PONG', 'PONG', 'PONG', 'PONG', "-ERR 'maximum account active connections exceeded'"],
  )
  for (const each of opened) each.client.close()
  client.close()
  const { client: small } = await open({ issuer: billing, own: { subs: 1 } })
  small.send('SUB a 1', 'SUB b 2')
  assert.deepEqual(await small.flush(), ["-ERR 'maximum subscriptions exceeded'"])
  small.publish('a', '01234567890')
  assert.equal(await small.line(), "-ERR 'Maximum Payload Violation'")
  // Of two limits the smaller one; one that a token leaves out is 0.
  const { client: large } = await open({ issuer: billing, own: { payload: 100 } })
  large.publish('a', '01234567890')
  assert.equal(await large.line(), "-ERR 'Maximum Payload Violation'")
  const { client: none } = await open({ issuer: billing, own: { subs: undefined } })
  none.send('SUB a 1')
  assert.deepEqual(await none.flush(), ["-ERR 'maximum subscriptions exceeded'"])
})

test('users of the system account ask what goes on, and hear who comes and goes', async () => {
  const key = makeKey('user')
  const token = makeToken('user', { subject: key.publicKey, issuer: system, own: { ...limitless, bearer_token: true } })
  const watcher = await JetStreamClient.open(port(), { jwt: token })
  clients.push(watcher)
  const { client, answer } = await open()
  assert.equal(answer, 'PONG')
  const ask = async (subject: string, body: string | Json = ''): Promise<Json> =>
    JSON.parse((await watcher.request(`$SYS.REQ.${subject}`, body)).body) as Json
  const ping = (await ask('SERVER.PING')) as { server: { id: string }; statsz: Json }
  assert.ok(Number(ping.statsz['connections']) >= 2)
  assert.equal(((await ask(`SERVER.${ping.server.id}.VARZ`))['data'] as Json)['server_name'], 'anymq')
  assert.equal(((await ask('SERVER.PING.HEALTHZ'))['data'] as Json)['status'], 'ok')
  assert.equal((await ask('SERVER.PING.IDZ'))['id'], ping.server.id)
  const connz = (await ask(`ACCOUNT.${orders.publicKey}.CONNZ`, { auth: true }))['data'] as { connections: Json[] }
  assert.deepEqual(connz.connections.length, 1)
  const info = (await ask(`ACCOUNT.${orders.publicKey}.INFO`))['data'] as Json
  assert.deepEqual([info['client_connections'], info['jetstream_enabled']], [1, true])
  assert.equal((await watcher.request('$SYS.REQ.SERVER.PING.VARZ', { server_name: 'other' })).status, '503')
  assert.equal((await watcher.request('$SYS.REQ.SERVER.PING.NOTHING')).status, '503')
  client.send('SUB in 1')
  client.publish('$SYS.REQ.SERVER.PING', '', 'in')
  assert.match((await client.flush())[1] ?? '', /^NATS\/1\.0 503/)
  watcher.nats.send(`SUB $SYS.ACCOUNT.${orders.publicKey}.> events`)
  await watcher.nats.flush()
  client.close()
  const gone = await watcher.next()
  assert.equal(gone.subject, `$SYS.ACCOUNT.${orders.publicKey}.DISCONNECT`)
  assert.equal((JSON.parse(gone.body) as { received: Json }).received['msgs'], 1)
  const { client: other } = await open()
  const came = await watcher.next()
  assert.equal((JSON.parse(came.body) as Json)['type'], 'io.nats.server.advisory.v1.client_connect')
  for (const each of [other, watcher]) each.close()
})

test('permissions of the user, of its account, and of the key that signed it', async () => {
  const rights = { pub: { allow: ['ok.*'], deny: ['ok.not'] }, sub: { allow: ['in.>', 'work q1'], deny: ['in.secret'] } }
  const { client } = await open({ own: rights })
  client.send('SUB in.> 1', 'SUB in.secret 2', 'SUB other 3', 'SUB work 4', 'SUB work q1 5')
  assert.deepEqual(await client.flush(), [
    `-ERR 'Permissions Violation for Subscription to "in.secret"'`,
    `-ERR 'Permissions Violation for Subscription to "other"'`,
    `-ERR 'Permissions Violation for Subscription to "work"'`,
  ])
  const { client: other } = await open({
    issuer: scoped,
    own: { issuer_account: orders.publicKey, subs: 0, data: 0, payload: 0 },
  })
  for (const subject of ['only.this', 'in.any']) other.publish(subject, '')
  assert.deepEqual(await other.flush(), [`-ERR 'Permissions Violation for Publish to "in.any"'`])
  const { client: third } = await open()
  for (const subject of ['in.a', 'in.secret', 'secret.x']) third.publish(subject, '')
  assert.deepEqual(await third.flush(), [`-ERR 'Permissions Violation for Publish to "secret.x"'`])
  for (const subject of ['ok.a', 'ok.not', 'no']) client.publish(subject, '')
  assert.deepEqual(await client.flush(), [
    'MSG in.a 1 0',
    '',
    `-ERR 'Permissions Violation for Publish to "ok.not"'`,
    `-ERR 'Permissions Violation for Publish to "no"'`,
  ])
  for (const each of [client, other, third]) each.close()
})

test('who may only answer may answer what came, as often as it says', async () => {
  const { client } = await open({ own: { resp: { max: 1, ttl: 1_000_000_000 }, sub: {}, pub: {} } })
  client.send('SUB ask 1')
  await client.flush()
  const { client: asking } = await open()
  asking.send('SUB answer 1')
  asking.publish('ask', '', 'answer')
  await asking.flush()
  assert.deepEqual((await client.flush()).slice(0, 1), ['MSG ask 1 answer 0'])
  for (const body of ['1', '2']) client.publish('answer', body)
  const refused = `-ERR 'Permissions Violation for Publish to "answer"'`
  assert.deepEqual(await client.flush(), [refused])
  assert.deepEqual(await asking.flush(), ['MSG answer 1 1', '1'])
  asking.publish('ask', '', 'answer')
  await asking.flush()
  await client.flush()
  clock.advance(2000)
  client.publish('answer', 'late')
  assert.deepEqual(await client.flush(), [refused])
  for (const each of [client, asking]) each.close()
})

test('a configuration that cannot be held is refused, with what is wrong', () => {
  const make = (accounts: readonly string[], more: object = {}): void =>
    void new Accounts({ operator: operatorToken, accounts, ...more }, Date.now())
  make([ordersToken])
  assert.throws(() => make([account(orders, {}, makeKey('operator'))]), /not by the operator/)
  assert.throws(() => make([account(orders, { exports: [{ subject: 'a' }] })]), /its type is none/)
  const { conn: _, ...noConnections } = noLimits
  assert.equal(
    new Accounts({ operator: operatorToken, accounts: [account(orders, { limits: noConnections })] }, Date.now()).all[0]?.limits
      .connections,
    0,
  )
  assert.throws(() => make([]), /must list/)
  assert.throws(() => make([ordersToken], { namespaces: { [billing.publicKey]: 'x' } }), /none of the accounts/)
  assert.throws(() => make([ordersToken], { namespaces: { [orders.publicKey]: 'default' } }), /no name/)
  assert.throws(() => make([ordersToken], { resolver: 'x' }), /unknown key resolver/)
  assert.throws(() => make(['/nowhere.jwt']), /nowhere\.jwt/)
  const tampered = ordersToken.replace(/\.([^.]+)\./, (_, body: string) => {
    const claims = JSON.parse(Buffer.from(body, 'base64url').toString()) as object
    return `.${Buffer.from(JSON.stringify({ ...claims, name: 'other' })).toString('base64url')}.`
  })
  assert.throws(() => make([tampered]), /not signed by its issuer/)
})

test('what an account may not have, or nobody can hold here, is refused at the start', () => {
  const make = (own: object, operatorOwn: object = {}): void =>
    void new Accounts(
      {
        operator: makeToken('operator', { subject: operator.publicKey, issuer: operator, own: { ...operatorOwn } }),
        accounts: [account(orders, { ...own })],
      },
      Date.now(),
    )
  const limited = (limits: object): object => ({ limits: { ...stored, ...limits } })
  const service = { type: 'service', subject: 'a.*' }
  make({ ...limited({ exports: 1 }), exports: [service] })
  const refused: readonly [object, RegExp][] = [
    [{ ...limited({ exports: 0 }), exports: [service] }, /1 exports, and its limit is 0/],
    [{ ...limited({ exports: 1, wildcards: false }), exports: [service] }, /wildcards/],
    [{ ...limited({ imports: 0 }), imports: [{ type: 'stream', subject: 'a', account: billing.publicKey }] }, /1 imports/],
    [{ mappings: { a: [{ subject: 'b', cluster: 'c' }] } }, /clusters/],
    [{ mappings: { 'a.*': [{ subject: 'b.$2' }] } }, /cannot become "b\.\$2"/],
    [
      {
        mappings: {
          a: [
            { subject: 'b', weight: 60 },
            { subject: 'c', weight: 60 },
          ],
        },
      },
      /weights/,
    ],
    [
      {
        mappings: {
          a: [
            { subject: 'b', weight: 10 },
            { subject: 'b', weight: 10 },
          ],
        },
      },
      /twice/,
    ],
    [{ authorization: { auth_users: ['UABC'] } }, /"authorization"/],
    [{ trace: { dest: 'a' } }, /"trace"/],
    [{ new_claim: true }, /"new_claim"/],
    [{ exports: [{ ...service, new_claim: true }] }, /"new_claim"/],
    [{ exports: [{ ...service, account_token_position: 2 }] }, /"account_token_position"/],
    [{ exports: [{ ...service, service_latency: { sampling: 100, results: 'a' } }] }, /"service_latency"/],
    [{ exports: [{ ...service, allow_trace: true }] }, /"allow_trace"/],
    [{ signing_keys: [{ kind: 'user_scope', key: scoped.publicKey, template: { new_claim: 1 } }] }, /"new_claim"/],
    [
      { signing_keys: [{ kind: 'user_scope', key: scoped.publicKey, template: { pub: { allow: ['{{name()}}'] } } }] },
      /functions/,
    ],
    [limited({ new_limit: 1 }), /"new_limit"/],
    [limited({ tiered_limits: { R1: { new_limit: 1 } } }), /"new_limit" of the limits R1/],
    [limited({ data: 1000 }), /the limit "data"/],
  ]
  for (const [own, why] of refused) assert.throws(() => make(own), why, JSON.stringify(own))
  make({}, { assert_server_version: '2.9.10' })
  assert.throws(() => make({}, { assert_server_version: '2.100.0' }), /asks for version 2\.100\.0/)
  assert.throws(() => make({}, { assert_server_version: 'newest' }), /version of the server that is none/)
  assert.throws(() => make({}, { new_claim: 1 }), /"new_claim" of the operator/)
})
