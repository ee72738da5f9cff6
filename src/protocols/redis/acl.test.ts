/** ACL: the broker's users, changed and shown in Redis's words; what is refused is logged. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { portOf, startTestBroker } from '../../../test/support/running.ts'
import { RespClient } from '../../lib/resp/socket-client.testing.ts'
import type { RunningBroker } from '../../server/start.ts'
import { expressionOf, globsOf } from './acl-patterns.ts'

let running: RunningBroker

before(async () => {
  running = await startTestBroker({
    only: ['redis'],
    beforeListening: async ({ users }) => {
      await users.put('admin', { password: 'secret', admin: true })
      const permissions = [{ namespace: 'default', publish: '(in|out)\\d', consume: 'out.*', manage: '^$' }]
      await users.put('alice', { password: 'love', permissions })
    },
  })
})
after(() => running.stop())

async function loggedIn(user: string, password: string): Promise<RespClient> {
  const client = await RespClient.connected(portOf(running, 'redis'))
  assert.equal(await client.run(`AUTH ${user} ${password}`), 'OK')
  return client
}

test('patterns and the expressions that say the same', () => {
  for (const [glob, expression] of [
    ['jobs:*', 'jobs:.*'],
    ['a?c', 'a.c'],
    ['1.5', '1\\.5'],
    ['\\*', '\\*'],
    ['ü|x', 'ü\\|x'],
  ] as const) {
    assert.equal(expressionOf([glob]), expression)
    assert.deepEqual(globsOf(expression), [glob])
  }
  assert.equal(expressionOf(['[ab]']), null)
  assert.deepEqual(globsOf('a|b.*'), ['a', 'b*'])
  for (const nothing of ['', '^$']) assert.deepEqual(globsOf(nothing), [])
  for (const other of ['a+', '(a|b)', 'a*', '^a', '\\d', '.*?']) assert.equal(globsOf(other), null, other)
})

test('what somebody else changes of a user while ACL SETUSER looks at his password is not taken back', async () => {
  const { users } = running.broker
  const admin = await loggedIn('admin', 'secret')
  await users.put('carol', { password: 'pass' })
  const elsewhere = { namespace: 'elsewhere', publish: '.*', consume: '', manage: '' }
  const other = await loggedIn('alice', 'love')
  const changing = admin.run('ACL SETUSER carol >pass ~mine +@all -@admin')
  await other.run('PING')
  await users.put('carol', { permissions: [elsewhere] })
  assert.equal(await changing, 'OK')
  const carol = users.list().find(({ name }) => name === 'carol')
  assert.ok(carol?.permissions.some(({ namespace }) => namespace === 'elsewhere'))
  assert.equal(await users.delete('carol'), true)
  other.close()
  admin.close()
})

test('a user is made, shown, changed and deleted, and may do what his rules say', async () => {
  const admin = await loggedIn('admin', 'secret')
  assert.equal(await admin.run('ACL SETUSER bob on >pass ~jobs:* %R~seen:* +@all -@admin'), 'OK')
  const bob = await loggedIn('bob', 'pass')
  assert.equal(await bob.run('LPUSH jobs:1 x'), 1)
  assert.equal(await bob.run('GET seen:1'), null)
  assert.match(await bob.refused('SET seen:1 x'), /^NOPERM User bob has no permissions to access one of the keys/)
  assert.match(await bob.refused('LPUSH other x'), /^NOPERM/)
  assert.match(await bob.refused('ACL LIST'), /^NOPERM User bob has no permissions to run the 'acl\|list' command/)
  assert.deepEqual(await admin.run('ACL GETUSER bob'), [
    'flags',
    ['on'],
    'passwords',
    [],
    'commands',
    '+@all -@admin',
    'keys',
    '~jobs:* %R~seen:*',
    'channels',
    '&jobs:*',
    'selectors',
    [],
  ])
  assert.ok(
    ((await admin.run('ACL LIST')) as string[]).includes('user bob on ~jobs:* %R~seen:* resetchannels &jobs:* +@all -@admin'),
  )
  // What is not spoken of stays.
  assert.equal(await admin.run('ACL SETUSER bob resetkeys ~new'), 'OK')
  assert.match(await bob.refused('LPUSH jobs:1 x'), /^NOPERM/)
  assert.equal(await bob.run('SET new x'), 'OK')
  assert.equal(await admin.run('ACL SETUSER bob resetpass >other'), 'OK')
  const again = await loggedIn('bob', 'other')
  again.close()
  assert.equal(await admin.run('ACL SETUSER bob >other'), 'OK')
  assert.equal(await admin.run('ACL DELUSER bob nobody'), 1)
  await assert.rejects(bob.next(), /closed/)
  assert.equal(await admin.run('ACL GETUSER bob'), null)
  assert.equal(await admin.run('ACL SETUSER chief on >pass allkeys allchannels +@all'), 'OK')
  const chief = await loggedIn('chief', 'pass')
  assert.equal(await chief.run('ACL DELUSER chief'), 1)
  await assert.rejects(chief.next(), /closed/)
  admin.close()
})

test('a hash of a password will do', async () => {
  const admin = await loggedIn('admin', 'secret')
  const hash = '2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b' // of secret
  assert.equal(await admin.run(`ACL SETUSER carol on #${hash} ~c +@all -@admin`), 'OK')
  const carol = await loggedIn('carol', 'secret')
  assert.equal(await carol.run('SET c x'), 'OK')
  carol.close()
  await admin.run('ACL DELUSER carol')
  admin.close()
})

test('what no user of the broker can be is refused, and nothing of it is kept', async () => {
  const admin = await loggedIn('admin', 'secret')
  for (const [rules, why] of [
    ['on >p ~a +get', /^ERR Error in ACL SETUSER modifier '\+get': the broker's users cannot be so/],
    ['on >p ~a +@all -@set', /modifier '-@set': the broker's users cannot be so/],
    ['on >p ~a +nonsense', /modifier '\+nonsense': Unknown command or category name in ACL$/],
    ['on >p ~a +@nonsense', /Unknown command or category name in ACL$/],
    ['on >p ~a +@all', /modifier '\+@all': .* administration is for users with all keys/],
    ['on >p ~a', /modifier '-@all'/],
    ['>p ~a +@all -@admin', /modifier 'off'/],
    ['on nopass ~a +@all -@admin', /modifier 'nopass'/],
    ['on >p >q ~a +@all -@admin', /modifier '>\*\*\*': .* a user has one password/],
    ['on <p', /does not exist$/],
    ['on #abc', /The password hash must be exactly 64 characters/],
    ['on >p ~a &b +@all -@admin', /modifier '&'/],
    ['on >p ~a resetchannels +@all -@admin', /modifier '&'/],
    ['on >p ~[ab] +@all -@admin', /modifier '~\[ab\]'/],
    ['on >p ~* ~a +@all -@admin', /Adding a pattern after the \* pattern/],
    ['on >p ~a +@all -@admin (~b +get)', /Syntax error|cannot be so/],
    ['nonsense', /modifier 'nonsense': Syntax error$/],
  ] as const)
    assert.match(await admin.refused(`ACL SETUSER dave ${rules}`), why, rules)
  assert.equal(await admin.run('ACL GETUSER dave'), null)
  // An expression that is no pattern can be replaced, and not added to.
  assert.match(await admin.refused('ACL SETUSER alice ~more'), /begin with resetkeys$/)
  assert.ok(
    ((await admin.run('ACL LIST')) as string[]).includes('user alice on %R~out* %W~/(in|out)\\d/ resetchannels +@all -@admin'),
  )
  for (const line of ['ACL SETUSER admin -@admin', 'ACL DELUSER admin', 'ACL SETUSER admin reset'])
    assert.equal(await admin.refused(line), "ERR 'admin' is the last administrator", line)
  admin.close()
})

test('who operates the default namespace alone is no administrator', async () => {
  const rule = { namespace: 'default', kind: 'cluster', match: 'exact', name: '', user: 'alice', from: '*' } as const
  const rules = [{ ...rule, action: 'all', effect: 'allow' } as const]
  await running.broker.rules.add(rules)
  const alice = await loggedIn('alice', 'love')
  for (const line of ['ACL SETUSER alice allkeys +@all', 'ACL DELUSER admin', 'ACL LIST', 'FLUSHALL', 'CONFIG SET maxmemory 1'])
    assert.match(await alice.refused(line), /^NOPERM User alice has no permissions to run the '[a-z|]+' command$/)
  alice.close()
  await running.broker.rules.remove(rules)
})

test('DRYRUN says whether a user could', async () => {
  const admin = await loggedIn('admin', 'secret')
  assert.equal(await admin.run('ACL DRYRUN alice LPUSH in1 x'), 'OK')
  assert.equal(
    await admin.run('ACL DRYRUN alice GET in1'),
    'User alice has no permissions to access one of the keys used as arguments',
  )
  assert.equal(await admin.run('ACL DRYRUN alice CONFIG GET x'), "User alice has no permissions to run the 'config|get' command")
  assert.equal(await admin.refused('ACL DRYRUN nobody GET x'), "ERR User 'nobody' not found")
  assert.equal(await admin.refused('ACL DRYRUN alice NONSENSE x'), "ERR Command 'NONSENSE' not found")
  assert.equal(await admin.refused('ACL DRYRUN alice GET'), "ERR wrong number of arguments for 'get' command")
  assert.equal(await admin.run('EXISTS in1'), 0)
  admin.close()
})

const fieldsOf = (entry: unknown): Record<string, unknown> => {
  const flat = entry as unknown[]
  return Object.fromEntries(flat.flatMap((field, at) => (at % 2 === 0 ? [[String(field), flat[at + 1]]] : [])))
}

test('what was refused is logged, the newest first, and the same again is counted', async () => {
  const [admin, alice] = [await loggedIn('admin', 'secret'), await loggedIn('alice', 'love')]
  assert.equal(await admin.run('ACL LOG RESET'), 'OK')
  await alice.refused('SET x y')
  await alice.refused('SET x y')
  await alice.refused('CONFIG GET x')
  await alice.run('EVAL', "return redis.pcall('get', 'in1')", '0')
  await alice.refused('SUBSCRIBE secrets')
  await alice.run('MULTI')
  await alice.refused('GET in1')
  await alice.run('DISCARD')
  await alice.refused('AUTH admin wrong')
  const entries = ((await admin.run('ACL LOG')) as unknown[]).map(fieldsOf)
  assert.deepEqual(
    entries.map(({ count, reason, context, object, username }) => [count, reason, context, object, username]),
    [
      [1, 'auth', 'toplevel', 'auth', 'admin'],
      [1, 'key', 'multi', 'in1', 'alice'],
      [1, 'channel', 'toplevel', 'secrets', 'alice'],
      [1, 'key', 'lua', 'in1', 'alice'],
      [1, 'command', 'toplevel', 'config|get', 'alice'],
      [2, 'key', 'toplevel', 'x', 'alice'],
    ],
  )
  assert.match(String(entries[0]?.['client-info']), /^id=\d+ addr=/)
  assert.equal(((await admin.run('ACL LOG 1')) as unknown[]).length, 1)
  await admin.run('ACL LOG RESET')
  assert.deepEqual(await admin.run('ACL LOG'), [])
  admin.close()
  alice.close()
})

test('who may not publish to a channel is not heard there', async () => {
  const [admin, alice] = [await loggedIn('admin', 'secret'), await loggedIn('alice', 'love')]
  assert.deepEqual(await admin.run('SUBSCRIBE secrets'), ['subscribe', 'secrets', 1])
  assert.deepEqual(await admin.run('SSUBSCRIBE secrets'), ['ssubscribe', 'secrets', 1])
  for (const verb of ['PUBLISH', 'SPUBLISH'])
    assert.match(await alice.refused(`${verb} secrets x`), /^NOPERM User alice has no permissions to access one of the channels/)
  const other = await loggedIn('admin', 'secret')
  assert.equal(await other.run('PUBLISH secrets y'), 1)
  // The first that comes is not alice's.
  assert.deepEqual(await admin.next(), ['message', 'secrets', 'y'])
  for (const client of [admin, alice, other]) client.close()
})
