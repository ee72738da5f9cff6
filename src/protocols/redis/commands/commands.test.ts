/** Conversations by command family: what cannot be seen from replies that a differential test compares (test/differential/redis). */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Machine } from '../../../../test/support/machine.ts'
import { TestClient } from '../redis-client.testing.ts'

async function start(clients = 1): Promise<{ machine: Machine; clients: TestClient[] }> {
  const machine = new Machine()
  const broker = await machine.start()
  return { machine, clients: await Promise.all(Array.from({ length: clients }, () => TestClient.open(broker))) }
}

test('hashes, sets and sorted sets come back after a crash as they were', async () => {
  const { machine, clients } = await start()
  const [client] = clients as [TestClient]
  await client.run('HSET', 'h', 'a', '1', 'b', '2', 'c', '3')
  await client.run('HDEL', 'h', 'b')
  await client.run('HPEXPIRE', 'h', '5000', 'FIELDS', '1', 'c')
  await client.run('SADD', 's', 'x', 'y', 'z')
  await client.run('SREM', 's', 'y')
  await client.run('ZADD', 'z', '1', 'one', '2.5', 'two', '-inf', 'least')
  await client.run('ZINCRBY', 'z', '10', 'one')
  await client.run('RENAME', 's', 'renamed')

  const again = await TestClient.open(await machine.crash())
  assert.deepEqual(await again.run('HGETALL', 'h'), ['a', '1', 'c', '3'])
  assert.deepEqual(await again.run('HPTTL', 'h', 'FIELDS', '1', 'c'), [5000])
  assert.deepEqual(await again.run('SMEMBERS', 'renamed'), ['x', 'z'])
  assert.deepEqual(await again.run('ZRANGE', 'z', '0', '-1', 'WITHSCORES'), ['least', '-inf', 'two', '2.5', 'one', '11'])
  machine.clock.advance(5001)
  assert.deepEqual(await again.run('HKEYS', 'h'), ['a'])
  await machine.stop()
})

test('a snapshot taken while keys change keeps every key, and shortens the journal', async () => {
  const { machine, clients } = await start()
  const [client] = clients as [TestClient]
  for (let i = 0; i < 700; i++) await client.run('SET', `k${i}`, 'before')
  await client.run('BGREWRITEAOF')
  // In the middle of it: keys go, are changed, made and renamed.
  for (let i = 0; i < 700; i += 3) await client.run('DEL', `k${i}`)
  for (let i = 1; i < 700; i += 3) await client.run('RENAME', `k${i}`, `renamed${i}`)
  await client.run('HSET', 'new', 'f', 'v')
  for (let tries = 0; tries < 1000; tries++) {
    if (String(await client.run('INFO', 'persistence')).includes('aof_rewrites:1')) break
  }
  assert.match(String(await client.run('INFO', 'persistence')), /aof_rewrites:1/)
  const again = await TestClient.open(await machine.crash())
  assert.equal(await again.run('DBSIZE'), 700 - 234 + 1)
  assert.equal(await again.run('GET', 'renamed1'), 'before')
  assert.equal(await again.run('EXISTS', 'k0', 'k1', 'k3', 'k4'), 0)
  assert.equal(await again.run('HGET', 'new', 'f'), 'v')
  await machine.stop()
})

test('a transaction is there as a whole after a crash, and WATCH sees changes and expiry', async () => {
  const { machine, clients } = await start(2)
  const [client, other] = clients as [TestClient, TestClient]
  await client.run('SET', 'w', '1', 'PX', '1000')
  await client.run('WATCH', 'w')
  machine.clock.advance(1001)
  await client.run('MULTI')
  assert.equal(await client.run('SET', 'x', '1'), 'QUEUED')
  assert.equal(await client.run('EXEC'), null)
  await client.run('WATCH', 'w')
  await other.run('SET', 'w', '2')
  await client.run('MULTI')
  await client.run('SET', 'x', '1')
  assert.equal(await client.run('EXEC'), null)
  await client.run('MULTI')
  await client.run('SET', 'x', 'a')
  await client.run('INCR', 'x')
  await client.run('SADD', 'y', 'b')
  const answers = (await client.run('EXEC')) as unknown[]
  assert.equal(answers[0], 'OK')
  assert.match(String(answers[1]), /not an integer/)
  assert.equal(answers[2], 1)
  await client.run('MULTI')
  assert.ok((await client.run('NOPE')) instanceof Error)
  assert.match(String(await client.run('EXEC')), /EXECABORT/)
  const again = await TestClient.open(await machine.crash())
  assert.deepEqual([await again.run('GET', 'x'), await again.run('SMEMBERS', 'y')], ['a', ['b']])
  await machine.stop()
})

test('clients that wait are served in their order, after the whole transaction, and none loses an element by leaving', async () => {
  const { machine, clients } = await start(4)
  const [one, two, three, pusher] = clients as [TestClient, TestClient, TestClient, TestClient]
  const first = one.run('BZPOPMIN', 'a', 'z', '0')
  const second = two.run('BZPOPMAX', 'z', '5')
  const third = three.run('BZMPOP', '1.5', '1', 'z', 'MIN')
  two.close()
  void second
  await pusher.run('MULTI')
  await pusher.run('ZADD', 'z', '1', 'x', '2', 'y')
  await pusher.run('ZADD', 'z', '3', 'w')
  await pusher.run('EXEC')
  assert.deepEqual(await first, ['z', 'x', '1'])
  assert.deepEqual(await third, ['z', [['y', '2']]])
  assert.deepEqual(await pusher.run('ZRANGE', 'z', '0', '-1'), ['w'])
  const timed = one.run('BZPOPMIN', 'none', '0.2')
  machine.clock.advance(201)
  assert.equal(await timed, null)
  await machine.stop()
})

test('what is published reaches channels and patterns at once, and says how many heard it', async () => {
  const { machine, clients } = await start(3)
  const [plain, modern, publisher] = clients as [TestClient, TestClient, TestClient]
  assert.deepEqual(await plain.run('SUBSCRIBE', 'news.uk'), ['subscribe', 'news.uk', 1])
  await modern.run('HELLO', '3')
  modern.session.onBytes(Buffer.from('PSUBSCRIBE news.* other\r\n'))
  assert.equal(await publisher.run('PUBLISH', 'news.uk', 'hello'), 2)
  assert.equal(await publisher.run('PUBLISH', 'elsewhere', 'hello'), 0)
  assert.deepEqual(await plain.next(), ['message', 'news.uk', 'hello'])
  await modern.run('PING')
  assert.deepEqual(modern.pushed, [
    ['psubscribe', 'news.*', 1],
    ['psubscribe', 'other', 2],
    ['pmessage', 'news.*', 'news.uk', 'hello'],
  ])
  assert.match(String(await plain.run('GET', 'x')), /only \(P\|S\)SUBSCRIBE/)
  assert.deepEqual(await plain.run('PING'), ['pong', ''])
  await machine.stop()
})

test('events of keys are told to who asks for them', async () => {
  const { machine, clients } = await start(2)
  const [client, listener] = clients as [TestClient, TestClient]
  await client.run('CONFIG', 'SET', 'notify-keyspace-events', 'KEA')
  await listener.run('PSUBSCRIBE', '__key*__:*')
  await client.run('SET', 'k', '1', 'PX', '100')
  assert.deepEqual(await listener.next(), ['pmessage', '__key*__:*', '__keyspace@0__:k', 'set'])
  assert.deepEqual(await listener.next(), ['pmessage', '__key*__:*', '__keyevent@0__:set', 'k'])
  assert.ok(Array.isArray(await listener.next()))
  assert.ok(Array.isArray(await listener.next()))
  machine.clock.advance(101)
  assert.deepEqual(await listener.next(), ['pmessage', '__key*__:*', '__keyspace@0__:k', 'expired'])
  await machine.stop()
})

test('a script changes all or nothing of what it was, is known by its hash, and functions survive a crash', async () => {
  const { machine, clients } = await start()
  const [client] = clients as [TestClient]
  const script = "redis.call('SET', KEYS[1], ARGV[1]); redis.call('HSET', 'h', 'f', 1); return redis.call('GET', KEYS[1])"
  assert.equal(await client.run('EVAL', script, '1', 'k', 'v'), 'v')
  const sha = await client.run('SCRIPT', 'LOAD', script)
  assert.equal(await client.run('EVALSHA', String(sha), '1', 'k', 'w'), 'w')
  const library = "#!lua name=lib\nredis.register_function('twice', function(keys, args) return args[1] * 2 end)"
  assert.equal(await client.run('FUNCTION', 'LOAD', library), 'lib')
  const again = await TestClient.open(await machine.crash())
  assert.deepEqual([await again.run('GET', 'k'), await again.run('HGET', 'h', 'f')], ['w', '1'])
  assert.equal(await again.run('FCALL', 'twice', '0', '21'), 42)
  await machine.stop()
})

test('a script that runs for too long lets others hear BUSY, and can be killed', async () => {
  const { machine, clients } = await start(2)
  const [client, other] = clients as [TestClient, TestClient]
  await client.run('CONFIG', 'SET', 'busy-reply-threshold', '30')
  const endless = client.run('EVAL', 'while true do end', '0')
  const held = other.run('GET', 'x')
  assert.match(String(await held), /^Error: BUSY Redis is busy running a script/)
  assert.equal(await other.run('SCRIPT', 'KILL'), 'OK')
  assert.match(String(await endless), /Script killed by user with SCRIPT KILL/)
  assert.equal(await other.run('GET', 'x'), null)
  assert.equal(await client.run('PING'), 'PONG')
  await machine.stop()
})

test('memory beyond its limit refuses what would add to it', async () => {
  const { machine, clients } = await start()
  const [client] = clients as [TestClient]
  await client.run('CONFIG', 'SET', 'maxmemory', '1000')
  assert.equal(await client.run('SET', 'a', 'x'.repeat(2000)), 'OK')
  assert.match(String(await client.run('SET', 'b', 'x')), /OOM command not allowed/)
  assert.equal(await client.run('DEL', 'a'), 1)
  assert.equal(await client.run('SET', 'b', 'x'), 'OK')
  await machine.stop()
})

test('SCAN meets every key that stays, while others come and go', async () => {
  const { machine, clients } = await start()
  const [client] = clients as [TestClient]
  for (let i = 0; i < 300; i++) await client.run('SET', `stay${i}`, '1')
  for (let i = 0; i < 300; i++) await client.run('SET', `go${i}`, '1')
  const met = new Set<string>()
  let cursor = '0'
  let round = 0
  do {
    const [next, keys] = (await client.run('SCAN', cursor, 'COUNT', '7')) as [string, string[]]
    for (const key of keys) met.add(key)
    cursor = next
    await client.run('DEL', `go${round}`, `go${round + 150}`)
    await client.run('SET', `new${round++}`, '1')
  } while (cursor !== '0')
  for (let i = 0; i < 300; i++) assert.ok(met.has(`stay${i}`), `stay${i}`)
  await machine.stop()
})

test('COMMAND LIST names containers and what is in them, with patterns, too', async () => {
  const { machine, clients } = await start()
  const [client] = clients as [TestClient]
  const names = (await client.run('COMMAND', 'LIST')) as string[]
  for (const name of ['get', 'xinfo', 'xinfo|stream', 'client|list'])
    assert.equal(names.filter((each) => each === name).length, 1)
  assert.deepEqual(((await client.run('COMMAND', 'LIST', 'FILTERBY', 'PATTERN', 'xinfo*')) as string[]).sort(), [
    'xinfo',
    'xinfo|consumers',
    'xinfo|groups',
    'xinfo|help',
    'xinfo|stream',
  ])
  await machine.stop()
})
