/** Subjects that an account's token makes into others. The expected subjects are nats-server's. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { portOf, startTestBroker } from '../../../../test/support/running.ts'
import type { RunningBroker } from '../../../server/start.ts'
import { NatsClient } from '../nats-client.testing.ts'
import { mappingOf } from './mappings.ts'
import { subjectMaker } from './subject-functions.ts'
import { type Key, makeKey, makeToken, noLimits } from './tokens.testing.ts'

test('each function makes of a subject what nats-server makes of it', () => {
  const cases: [string, string, string, string | null][] = [
    ['a.*.*', 'b.$2.{{wildcard(1)}}', 'a.x.y', 'b.y.x'],
    ['a.*.>', 'b.$1.>', 'a.x.y.z', 'b.x.y.z'],
    ['>', 'all.>', 'a.b', 'all.a.b'],
    ['a', '$JS.b', 'a', '$JS.b'],
    ['a.*', 'p.{{partition(10,1)}}', 'a.x', 'p.5'],
    ['a.*', 'p.{{partition(10,1)}}', 'a.hello', 'p.3'],
    ['a.*.*', 'p.{{Partition(5, 1, 2)}}', 'a.foo.bar', 'p.0'],
    ['m.s', 'p.{{partition(5)}}', 'm.s', 'p.2'],
    ['*', '{{splitFromLeft(1,3)}}', '12345', '123.45'],
    ['*', '{{SplitFromRight(1,3)}}', '12345', '12.345'],
    ['*', '{{SliceFromLeft(1,2)}}', '12345', '12.34.5'],
    ['*', '{{SliceFromRight(1,2)}}', '12345', '1.23.45'],
    ['*', '{{split(1,-)}}', '-abc-def--ghi-', 'abc.def.ghi'],
    ['*', '{{left(1,2)}}.{{right(1,6)}}', '12345', '12.12345'],
    ['a.*', 'b.$2', 'a.x', null],
    ['a.*', 'b.*', 'a.x', null],
    ['a', 'b.$1', 'a', null],
    ['a.>', 'b', 'a.x', null],
    ['a.*', 'b.{{upper(1)}}', 'a.x', null],
    ['a.*', 'b.{{wildcard(1,2)}}', 'a.x', null],
  ]
  for (const [source, dest, subject, made] of cases)
    assert.equal(subjectMaker(source, dest)?.(subject) ?? null, made, `${source} ${dest}`)
  assert.match(subjectMaker('a', 'b.{{random(3)}}')?.('a') ?? '', /^b\.[012]$/)
})

test('weights divide what is published, and what none has stays, or is lost where the subject itself has one', () => {
  const counted = (claims: unknown, subject: string): Record<string, number> => {
    const mapping = mappingOf(claims, 'A')
    const counts: Record<string, number> = {}
    for (let n = 0; n < 4000; n++) {
      const to = String(mapping?.(subject))
      counts[to] = (counts[to] ?? 0) + 1
    }
    return counts
  }
  const near = (count: number | undefined, expected: number): void =>
    assert.ok(Math.abs((count ?? 0) - expected) < 300, String(count))
  const split = counted({ 'a.*': [{ subject: 'b.$1', weight: 25 }] }, 'a.x')
  assert.deepEqual(Object.keys(split).sort(), ['a.x', 'b.x'])
  near(split['b.x'], 1000)
  const lossy = counted(
    {
      a: [
        { subject: 'a', weight: 50 },
        { subject: 'b', weight: 25 },
      ],
    },
    'a',
  )
  assert.deepEqual(Object.keys(lossy).sort(), ['a', 'b', 'null'])
  near(lossy['null'], 1000)
  assert.deepEqual(counted({ a: [{ subject: 'b' }] }, 'a'), { b: 4000 })
  assert.deepEqual(counted({ a: [{ subject: 'b' }] }, 'c'), { c: 4000 })
  assert.equal(mappingOf({}, 'A'), null)
})

const operator = makeKey('operator')
const [shop, bank] = [makeKey('account'), makeKey('account')]
let running: RunningBroker
const clients: NatsClient[] = []

before(async () => {
  const account = (key: Key, own: object): string =>
    makeToken('account', { subject: key.publicKey, issuer: operator, own: { limits: noLimits, ...own } })
  const imports = [{ type: 'service', subject: 'pay', account: bank.publicKey, local_subject: 'checkout' }]
  running = await startTestBroker({
    only: ['nats'],
    protocolSettings: new Map([
      [
        'nats',
        {
          operator: makeToken('operator', { subject: operator.publicKey, issuer: operator }),
          accounts: [
            account(shop, { imports, mappings: { 'old.*': [{ subject: 'new.$1' }], 'buy.*': [{ subject: 'checkout' }] } }),
            account(bank, { exports: [{ type: 'service', subject: 'pay' }], mappings: { pay: [{ subject: 'pay.v2' }] } }),
          ],
        },
      ],
    ]),
  })
})
after(async () => {
  for (const client of clients) client.close()
  await running.stop()
})

async function open(issuer: Key, own: object = {}): Promise<NatsClient> {
  const key = makeKey('user')
  const jwt = makeToken('user', {
    subject: key.publicKey,
    issuer,
    own: { subs: -1, data: -1, payload: -1, bearer_token: true, ...own },
  })
  const client = await NatsClient.open(portOf(running, 'nats'), { jwt, headers: true, no_responders: true })
  clients.push(client)
  return client
}

test('what is published to a mapped subject is of the other one: for subscribers, for permissions and for requests', async () => {
  const [client, bound] = [await open(shop), await open(shop, { pub: { allow: ['old.>'] } })]
  client.send('SUB old.> 1', 'SUB new.> 2', 'SUB in 3')
  await client.flush()
  client.publish('old.a', 'x')
  assert.deepEqual(await client.flush(), ['MSG new.a 2 1', 'x'])
  bound.publish('old.a', 'x')
  assert.deepEqual(await bound.flush(), [`-ERR 'Permissions Violation for Publish to "new.a"'`])
  const server = await open(bank)
  server.send('SUB pay.v2 1')
  await server.flush()
  client.publish('buy.shoes', '1', 'in')
  await client.flush()
  const [, subject, , reply = ''] = (await server.line()).split(' ')
  assert.equal(subject, 'pay.v2')
  await server.flush()
  server.publish(reply, 'paid')
  await server.flush()
  assert.deepEqual(await client.lines(2), ['MSG in 3 4', 'paid'])
})
