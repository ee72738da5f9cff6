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
    ['on', 'sanitize-payload'],
    'passwords',
    [],
    'commands',
    '+@all -@admin',
    'keys',
    '~jobs:* %R~seen:*',
    'channels',
    '',
    'selectors',
    [],
  ])
  assert.ok(
    ((await admin.run('ACL LIST')) as string[]).includes(
      'user bob on sanitize-payload ~jobs:* %R~seen:* resetchannels +@all -@admin',
    ),
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
    ['on >p ~a +get|x', /Unknown command or category name in ACL$/],
    ['on >p ~a -config|nonsense', /Unknown command or category name in ACL$/],
    ['on >p ~a +nonsense', /modifier '\+nonsense': Unknown command or category name in ACL$/],
    ['on >p ~a +@nonsense', /Unknown command or category name in ACL$/],
    ['on >p >q ~a +@all -@admin', /modifier '>\*\*\*': .* a user has one password/],
    ['on <p', /does not exist$/],
    ['on #abc', /The password hash must be exactly 64 characters/],
    ['on >p &* &a +@all -@admin', /Adding a pattern after the \* pattern \(or the 'allchannels' flag\)/],
    ['on >p &[ab] +@all -@admin', /modifier '&\[ab\]': the broker's users cannot be so/],
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
    ((await admin.run('ACL LIST')) as string[]).some((line) =>
      line.startsWith('user alice on sanitize-payload %R~out* %W~/(in|out)\\d/ resetchannels +@all -@admin -'),
    ),
  )
  for (const line of ['ACL SETUSER admin -@admin', 'ACL SETUSER admin off', 'ACL DELUSER admin', 'ACL SETUSER admin reset'])
    assert.equal(await admin.refused(line), "ERR 'admin' is the last administrator", line)
  admin.close()
})

async function shownOf(admin: RespClient, user: string): Promise<{ commands: unknown; keys: unknown; channels: unknown }> {
  const { commands, keys, channels } = fieldsOf(await admin.run(`ACL GETUSER ${user}`))
  return { commands, keys, channels }
}

test('single commands and categories are allowed and taken away, in scripts, too', async () => {
  const admin = await loggedIn('admin', 'secret')
  const setUser = (rules: string): Promise<unknown> => admin.run(`ACL SETUSER eve ${rules}`)
  assert.equal(await setUser('on >pass ~cache:* -@all +@string -getdel +config|get +ping'), 'OK')
  const eve = await loggedIn('eve', 'pass')
  assert.equal(await eve.run('SET cache:1 x'), 'OK')
  assert.equal(await eve.run('PING'), 'PONG')
  // An administrator's command, as it was given to her.
  assert.deepEqual(await eve.run('CONFIG GET maxmemory-policy'), ['maxmemory-policy', 'noeviction'])
  for (const [line, name] of [
    ['CONFIG SET maxmemory 1', 'config|set'],
    ['GETDEL cache:1', 'getdel'],
    ['LPUSH cache:2 x', 'lpush'],
    ['FLUSHALL', 'flushall'],
    ['SUBSCRIBE cache:1', 'subscribe'],
  ])
    assert.equal(await eve.refused(line ?? ''), `NOPERM User eve has no permissions to run the '${name}' command`)
  assert.match(await eve.refused('SET other x'), /^NOPERM .* one of the keys/)
  const shown = { commands: '-@all +@string -getdel +config|get +ping', keys: '~cache:*', channels: '' }
  assert.deepEqual(await shownOf(admin, 'eve'), shown)
  assert.equal(await setUser('+@scripting'), 'OK')
  const script = await eve.run('EVAL', "return redis.pcall('lpush', 'cache:2', 'x')", '0')
  assert.match(String(script), /NOPERM/)
  // The later rule counts, and what it says anew is not said twice.
  assert.equal(await setUser('-ping +getdel +config'), 'OK')
  assert.equal((await shownOf(admin, 'eve')).commands, '-@all +@string +@scripting -ping +getdel +config')
  assert.match(await eve.refused('PING'), /^NOPERM/)
  assert.equal(await eve.run('GETDEL cache:1'), 'x')
  assert.equal(await setUser('allcommands -@dangerous'), 'OK')
  assert.equal((await shownOf(admin, 'eve')).commands, '+@all -@dangerous')
  assert.match(await eve.refused('KEYS *'), /run the 'keys' command$/)
  eve.close()
  await admin.run('ACL DELUSER eve')
  admin.close()
})

test('who has all commands but not all keys or channels is no administrator of the broker', async () => {
  const admin = await loggedIn('admin', 'secret')
  for (const [rules, shown] of [
    ['~a +@all', { commands: '+@all', keys: '~a', channels: '' }],
    ['~* +@all', { commands: '+@all', keys: '~*', channels: '' }],
    ['~* &* +@all -@admin', { commands: '+@all -@admin', keys: '~*', channels: '&*' }],
  ] as const) {
    assert.equal(await admin.run(`ACL SETUSER frank reset on >pass ${rules}`), 'OK')
    assert.deepEqual(await shownOf(admin, 'frank'), shown)
    assert.equal(running.broker.users.principal('frank').may('operate', '', '', 'cluster'), false)
  }
  assert.equal(await admin.run('ACL SETUSER frank +@all'), 'OK')
  assert.equal(running.broker.users.principal('frank').may('operate', '', '', 'cluster'), true)
  await admin.run('ACL DELUSER frank')
  admin.close()
})

test('channels are given apart from keys, and keys stay apart from them', async () => {
  const admin = await loggedIn('admin', 'secret')
  assert.equal(await admin.run('ACL SETUSER grace on >pass %R~box &news:* +@all -@admin'), 'OK')
  const grace = await loggedIn('grace', 'pass')
  assert.equal(await grace.run('PUBLISH news:1 x'), 0)
  assert.equal(await grace.run('GET box'), null)
  for (const line of ['GET news:1', 'SET news:1 x', 'SET box x'])
    assert.match(await grace.refused(line), /^NOPERM .* one of the keys/, line)
  for (const line of ['PUBLISH box x', 'SUBSCRIBE box', 'SPUBLISH other x'])
    assert.match(await grace.refused(line), /^NOPERM .* one of the channels/, line)
  assert.deepEqual(await shownOf(admin, 'grace'), { commands: '+@all -@admin', keys: '%R~box', channels: '&news:*' })
  assert.equal(await admin.run('ACL SETUSER grace resetkeys'), 'OK')
  assert.deepEqual(await shownOf(admin, 'grace'), { commands: '+@all -@admin', keys: '', channels: '&news:*' })
  assert.match(await grace.refused('GET news:1'), /^NOPERM/)
  assert.equal(await admin.run('ACL SETUSER grace resetchannels'), 'OK')
  assert.match(await grace.refused('PUBLISH news:1 x'), /^NOPERM/)
  grace.close()
  await admin.run('ACL DELUSER grace')
  admin.close()
})

test('nopass takes every password, off none; what is there of them is shown', async () => {
  const admin = await loggedIn('admin', 'secret')
  const flags = async (): Promise<unknown> => fieldsOf(await admin.run('ACL GETUSER henry'))['flags']
  assert.equal(await admin.run('ACL SETUSER henry'), 'OK')
  assert.deepEqual(await flags(), ['off', 'sanitize-payload'])
  assert.equal(await admin.run('ACL SETUSER henry on nopass +acl|whoami'), 'OK')
  assert.deepEqual(await flags(), ['on', 'nopass', 'sanitize-payload'])
  for (const password of ['one', 'another']) {
    const henry = await loggedIn('henry', password)
    assert.equal(await henry.run('ACL WHOAMI'), 'henry')
    henry.close()
  }
  const other = await RespClient.connected(portOf(running, 'redis'))
  for (const rules of ['off', 'on resetpass', 'on nopass >other']) {
    assert.equal(await admin.run(`ACL SETUSER henry ${rules}`), 'OK')
    assert.match(await other.refused('AUTH henry one'), /^WRONGPASS/, rules)
  }
  assert.equal(await other.run('AUTH henry other'), 'OK')
  assert.deepEqual(await flags(), ['on', 'sanitize-payload'])
  assert.equal(await admin.run('ACL DRYRUN henry ACL WHOAMI'), 'OK')
  other.close()
  await admin.run('ACL DELUSER henry')
  admin.close()
})

test('what is said of Redis elsewhere holds, and is checked', async () => {
  const { users } = running.broker
  const admin = await loggedIn('admin', 'secret')
  const permissions = [{ namespace: 'default', publish: '.*', consume: '.*', manage: '' }]
  await users.put('iris', { password: 'pass', permissions, operations: { redis: ['+get', '~a*'] } })
  const iris = await loggedIn('iris', 'pass')
  assert.equal(await iris.run('GET a1'), null)
  assert.match(await iris.refused('GET b'), /^NOPERM/)
  assert.match(await iris.refused('SET a1 x'), /^NOPERM/)
  assert.deepEqual(await shownOf(admin, 'iris'), { commands: '-@all +get', keys: '~a*', channels: '&*' })
  await assert.rejects(users.put('iris', { operations: { redis: ['+nonsense'] } }), { code: 'Invalid' })
  await assert.rejects(users.put('iris', { operations: { telex: ['+get'] } }), { code: 'Invalid' })
  await users.put('iris', { operations: {} })
  assert.equal(await iris.run('SET b x'), 'OK')
  await users.put('iris', { disabled: true })
  const again = await RespClient.connected(portOf(running, 'redis'))
  assert.match(await again.refused('AUTH iris pass'), /^WRONGPASS/)
  assert.equal(await users.delete('iris'), true)
  for (const client of [admin, iris, again]) client.close()
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

test('categories hold what they do in Redis 7.0', async () => {
  const admin = await loggedIn('admin', 'secret')
  const inCategory = async (name: string): Promise<string[]> => (await admin.run(`ACL CAT ${name}`)) as string[]
  for (const [category, present, absent] of [
    ['keyspace', 'dbsize flushall flushdb swapdb object|help del', 'sort sort_ro wait'],
    ['dangerous', 'lastsave restore role sort sort_ro config|get keys', 'get dump'],
    ['admin', 'lastsave role config|get acl|list', 'info keys'],
    ['connection', 'client|help command|count wait ping', 'config|get'],
    ['scripting', 'function|help script|help eval', 'get'],
    ['list', 'sort lpush', 'get'],
  ] as const) {
    const names = await inCategory(category)
    assert.deepEqual(
      present.split(' ').filter((name) => !names.includes(name)),
      [],
      category,
    )
    assert.deepEqual(
      absent.split(' ').filter((name) => names.includes(name)),
      [],
      category,
    )
  }
  admin.close()
})
