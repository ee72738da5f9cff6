/** Imports and exports: what goes from one account to another, and back, what does not, and which configurations are refused. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { portOf, startTestBroker } from '../../../../test/support/running.ts'
import { VirtualClock } from '../../../lib/timers.ts'
import type { RunningBroker } from '../../../server/start.ts'
import { NatsClient } from '../nats-client.testing.ts'
import { Accounts } from './accounts.ts'
import { type Key, makeKey, makeToken, noLimits, signWith } from './tokens.testing.ts'

const clock = new VirtualClock()
const [operator, shop, bank, other] = [makeKey('operator'), makeKey('account'), makeKey('account'), makeKey('account')]
const operatorToken = makeToken('operator', { subject: operator.publicKey, issuer: operator })
type Entry = Readonly<Record<string, unknown>>
const account = (key: Key, exports: readonly Entry[], imports: readonly Entry[], limits: Entry = {}): string =>
  makeToken('account', {
    subject: key.publicKey,
    issuer: operator,
    own: { limits: { ...noLimits, ...limits }, exports, imports },
  })
const activation = (own: Entry, issuer = bank, exp?: number): string =>
  makeToken('activation', { subject: shop.publicKey, issuer, own, ...(exp === undefined ? {} : { exp }) })
const stored = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 }

const bankExports = [
  { type: 'service', subject: 'pay.*' },
  { type: 'service', subject: 'statements', response_type: 'Chunked' },
  { type: 'service', subject: 'ledger.>' },
  { type: 'service', subject: '$SYS.REQ.>' },
  { type: 'stream', subject: 'rates.>' },
  { type: 'stream', subject: 'private.*.news', token_req: true },
]
const from = (entry: Entry): Entry => ({ account: bank.publicKey, ...entry })
const soon = Math.floor(clock.now() / 1000) + 60
const shopImports = [
  from({ type: 'service', subject: 'pay.*', local_subject: 'checkout.$1.pay' }),
  from({ type: 'service', subject: 'statements' }),
  from({ type: 'service', subject: 'ours', to: 'ledger.ours' }),
  from({ type: 'service', subject: '$SYS.REQ.SERVER.PING', local_subject: 'ping.bank' }),
  from({ type: 'stream', subject: 'rates.>', to: 'bank' }),
  from({
    type: 'stream',
    subject: 'private.*.news',
    local_subject: 'news.$1',
    token: activation({ kind: 'stream', subject: 'private.>' }, bank, soon),
  }),
]
let running: RunningBroker
const clients: NatsClient[] = []

before(async () => {
  running = await startTestBroker({
    clock,
    only: ['nats'],
    protocolSettings: new Map([
      [
        'nats',
        {
          operator: operatorToken,
          accounts: [account(shop, [], shopImports, stored), account(bank, bankExports, [], stored), account(other, [], [])],
          namespaces: { [shop.publicKey]: 'shop', [bank.publicKey]: 'bank' },
        },
      ],
    ]),
  })
})
after(async () => {
  for (const client of clients) client.close()
  await running.stop()
})

async function open(issuer: Key): Promise<NatsClient> {
  const client = await NatsClient.open(portOf(running, 'nats'), null)
  clients.push(client)
  const user = makeKey('user')
  const jwt = makeToken('user', { subject: user.publicKey, issuer, own: { subs: -1, data: -1, payload: -1 } })
  const sig = signWith(user, String(client.info['nonce']))
  client.send(`CONNECT ${JSON.stringify({ jwt, sig, verbose: false, headers: true, no_responders: true, protocol: 1 })}`)
  await client.flush()
  return client
}

const until = async (client: NatsClient, beginning: string): Promise<string> => {
  for (;;) {
    const line = await client.line()
    if (line.startsWith(beginning)) return line
    if (line === 'closed') throw new Error(`closed before ${beginning}`)
  }
}

test('a request reaches the service of another account by its own name for it, and its answer comes back', async () => {
  const [asking, answering, stranger] = [await open(shop), await open(bank), await open(other)]
  answering.send('SUB pay.* 1')
  asking.send('SUB in.* 1')
  await Promise.all([answering.flush(), asking.flush()])
  asking.publish('checkout.card.pay', '100', 'in.1')
  const [, subject, , reply = ''] = (await until(answering, 'HMSG')).split(' ')
  assert.equal(subject, 'pay.card')
  assert.match(reply, /^_R_\./)
  const info = `Nats-Request-Info: {"acc":"${shop.publicKey}"`
  assert.equal(
    (await answering.lines(4)).map((line) => (line.startsWith(info) ? 'who asks' : line)).join(),
    'NATS/1.0,who asks,,100',
  )
  answering.publish(reply, 'paid')
  assert.deepEqual(await asking.lines(2), ['MSG in.1 1 4', 'paid'])
  // One answer, and no more; the exporter's own name is nothing to the importer, and nothing to others.
  answering.publish(reply, 'again')
  await answering.flush()
  asking.publish('pay.card', '100', 'in.2')
  assert.match((await asking.flush())[0] ?? '', /^HMSG in\.2 1 /)
  stranger.send('SUB in.* 1')
  stranger.publish('checkout.card.pay', '100', 'in.3')
  assert.match((await stranger.flush())[0] ?? '', /^HMSG in\.3 1 /)
  assert.deepEqual(await answering.flush(), [])
})

test('an answer in pieces comes whole; where nobody serves, the importer hears so', async () => {
  const [asking, answering] = [await open(shop), await open(bank)]
  asking.send('SUB in.* 1')
  asking.publish('statements', '', 'in.1')
  assert.equal(await until(asking, 'HMSG'), 'HMSG in.1 1 42 42')
  assert.deepEqual(await asking.lines(4), ['NATS/1.0 503', 'Nats-Subject: statements', '', ''])
  answering.send('SUB statements 1')
  await answering.flush()
  asking.publish('statements', '', 'in.2')
  const reply = (await until(answering, 'HMSG')).split(' ')[3] ?? ''
  for (const piece of ['one', 'two', '', 'late']) answering.publish(reply, piece)
  await answering.flush()
  assert.deepEqual(await asking.flush(), ['MSG in.2 1 3', 'one', 'MSG in.2 1 3', 'two', 'MSG in.2 1 0', ''])
})

test('streams store what is published by an import, and answer it', async () => {
  const [asking, owner] = [await open(shop), await open(bank)]
  owner.send('SUB in.* 1')
  owner.publish('$JS.API.STREAM.CREATE.LEDGER', JSON.stringify({ name: 'LEDGER', subjects: ['ledger.>'] }), 'in.1')
  await until(owner, 'MSG in.1')
  asking.send('SUB in.* 1')
  asking.publish('ours', 'entry', 'in.2')
  await until(asking, 'MSG in.2')
  assert.deepEqual(JSON.parse(await asking.line()), { stream: 'LEDGER', seq: 1 })
})

test('what an exported stream is published to is heard under the local name, and nothing goes the other way', async () => {
  const [hearing, telling] = [await open(shop), await open(bank)]
  hearing.send('SUB bank.rates.> 1', 'SUB rates.> 2', 'SUB news.* 3')
  telling.send('SUB rates.> 1')
  await Promise.all([hearing.flush(), telling.flush()])
  telling.send('HPUB rates.eur.usd 24 27', 'NATS/1.0', 'Kind: spot', '', '1.1')
  telling.publish('private.shop.news', 'hello')
  await telling.flush()
  const lines = await hearing.flush()
  assert.deepEqual(lines.slice(0, 1), ['HMSG bank.rates.eur.usd 1 24 27'])
  assert.deepEqual(lines.slice(-2), ['MSG news.shop 3 5', 'hello'])
  hearing.publish('bank.rates.eur.usd', '2')
  await hearing.flush()
  assert.deepEqual(await telling.flush(), [])
  // The activation is over.
  await clock.advance(61_000)
  telling.publish('private.shop.news', 'late')
  await telling.flush()
  assert.deepEqual(await hearing.flush(), [])
})

test('no account lets others in to the administration of the server', async () => {
  const asking = await open(shop)
  asking.send('SUB in.* 1')
  asking.publish('ping.bank', '', 'in.1')
  assert.equal(await until(asking, 'HMSG'), 'HMSG in.1 1 41 41')
  assert.deepEqual(await asking.lines(2), ['NATS/1.0 503', 'Nats-Subject: ping.bank'])
})

test('imports of what is not exported, without its activation, or round in a circle are refused', () => {
  const make = (
    imports: readonly Entry[],
    exports: readonly Entry[] = bankExports,
    ofBank: readonly Entry[] = [],
    ofShop: readonly Entry[] = [],
  ) =>
    new Accounts(
      { operator: operatorToken, accounts: [account(shop, ofShop, imports), account(bank, exports, ofBank)] },
      clock.now(),
    )
  make(shopImports.slice(0, -1))
  const secret = (token?: string): Entry =>
    from({ type: 'stream', subject: 'private.a.news', ...(token === undefined ? {} : { token }) })
  make([secret(activation({ kind: 'stream', subject: 'private.*.news' }))])
  const cases: readonly (readonly [Entry, RegExp])[] = [
    [from({ type: 'service', subject: 'refund' }), /does not export it/],
    [from({ type: 'stream', subject: 'pay.*' }), /does not export it/],
    [from({ type: 'stream', subject: 'rates.>', account: other.publicKey }), /there is no account/],
    [from({ type: 'stream', subject: 'rates.>', local_subject: 'r' }), /do not go together/],
    [from({ type: 'service', subject: 'pay.*', share: true }), /cannot be held/],
    [secret(), /needs an activation token/],
    [secret(activation({ kind: 'stream', subject: 'private.*.news' }, shop)), /not signed by the exporter/],
    [secret(activation({ kind: 'service', subject: 'private.*.news' })), /for something else/],
    [secret(activation({ kind: 'stream', subject: 'private.b.news' })), /for something else/],
    [secret(activation({ kind: 'stream', subject: 'private.*.news' }, bank, 1)), /expired/],
  ]
  for (const [entry, why] of cases) assert.throws(() => make([entry]), why, JSON.stringify(entry))
  const revoked = [{ ...bankExports[5], revocations: { [shop.publicKey]: Math.floor(Date.now() / 1000) + 10 } }]
  assert.throws(() => make([secret(activation({ kind: 'stream', subject: 'private.>' }))], revoked), /revoked/)
  const back = { type: 'stream', subject: 'rates.>', account: shop.publicKey }
  assert.throws(
    () => make([from({ type: 'stream', subject: 'rates.>' })], bankExports, [back], [{ type: 'stream', subject: 'rates.>' }]),
    /round in a circle/,
  )
  assert.throws(() => make([], [{ type: 'service', subject: 'a.*', account_token_position: 2 }]), /cannot be held/)
  assert.throws(
    () => make([], [{ type: 'service', subject: 'a', service_latency: { sampling: 1, results: 'x' } }]),
    /cannot be held/,
  )
})
