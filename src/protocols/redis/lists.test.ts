/** Lists as clients see them: beside other protocols, blocking, over restarts. What single commands reply is compared with Redis itself (test/differential/redis). */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Machine, publish, spaceOf } from '../../../test/support/machine.ts'
import { PublishItem, type Space, type Taken } from '../../broker/face.ts'
import { formats } from '../../core/record.ts'
import { begin } from './begin.ts'
import { protocol } from './index.ts'
import { elementFormatId, elementOf } from './list-envelope.ts'
import { TestClient } from './redis-client.testing.ts'

for (const format of protocol.formats) formats.register(format)

const takeOne = (space: Space): Promise<Taken | null> => new Promise((resolve) => space.take('q', false, resolve))

async function start(machine = new Machine()) {
  const broker = await machine.start()
  await begin(broker)
  return { machine, broker, space: spaceOf(broker), client: await TestClient.open(broker) }
}

test('what is pushed is a record of the queue of that name, and the other way round', async () => {
  const { machine, space, client } = await start()
  assert.equal(await client.run('LPUSH', 'q', 'a', 'b'), 2)
  const taken = await takeOne(space)
  assert.equal(taken?.format, elementFormatId)
  assert.equal(taken?.bytes.toString(), 'a')
  assert.equal(await client.run('LLEN', 'q'), 1)
  taken?.settle({ kind: 'release', countsAsAttempt: true })
  assert.deepEqual(await client.run('LRANGE', 'q', 0, -1), ['b', 'a'])
  await publish(space, new PublishItem('', 'q', 1, Buffer.from('c')))
  assert.deepEqual(await client.run('LRANGE', 'q', 0, -1), ['c', 'b', 'a'])
  assert.deepEqual(await client.run('RPOP', 'q', 5), ['a', 'b', 'c'])
  assert.equal(await client.run('EXISTS', 'q'), 0)
  assert.equal(await takeOne(space), null)
  await machine.stop()
})

test('a queue that others declared is a list; its empty one is no key, and stays', async () => {
  const { machine, space, client } = await start()
  await space.createTopic('q', { retention: 'acknowledged' }, 'other')
  assert.equal(await client.run('EXISTS', 'q'), 0)
  await publish(space, new PublishItem('', 'q', 1, Buffer.from('a')))
  assert.equal(await client.run('TYPE', 'q'), 'list')
  assert.deepEqual(await client.run('KEYS', '*'), ['q'])
  assert.equal(await client.run('DEL', 'q'), 1)
  machine.clock.advance(120_000)
  assert.notEqual(space.topic('q'), undefined)
  await machine.stop()
})

test('a log that others made is a stream, and workers pop from it through its default subscription', async () => {
  const { machine, space, client } = await start()
  await space.createTopic('log', { partitions: 2 }, 'kafka')
  const waiting = client.run('BRPOP', 'log', 0)
  await publish(space, new PublishItem('', 'log', 1, Buffer.from('a')))
  assert.deepEqual(await waiting, ['log', 'a'])
  for (const value of ['b', 'c'])
    await publish(space, Object.assign(new PublishItem('', 'log', 1, Buffer.from(value)), { partition: 0 }))
  assert.equal(await client.run('LLEN', 'log'), 2)
  assert.deepEqual(await client.run('RPOP', 'log', 5), ['b', 'c'])
  assert.equal(await client.run('RPOP', 'log'), null)
  assert.equal(await client.run('LPUSH', 'log', 'd'), 1)
  assert.match(String(await client.run('RPUSH', 'log', 'e')), /this topic is kept as a log/)
  assert.equal(await client.run('RPOPLPUSH', 'log', 'log'), 'd')
  // Nothing of the log goes.
  const kept = space.status('log')?.partitions.reduce((sum, { records }) => sum + records, 0)
  assert.equal(kept, 5)
  assert.equal(await client.run('TYPE', 'log'), 'stream')
  assert.equal(await client.run('LPOP', 'log'), 'd')
  assert.equal(await client.run('EXISTS', 'log'), 1)
  await machine.stop()
})

test('what Redis made as a stream, or holds as something else, is no list', async () => {
  const { machine, space, client } = await start()
  await client.run('XADD', 's', '*', 'a', '1')
  assert.match(String(await client.run('RPOP', 's')), /WRONGTYPE/)
  assert.match(String(await client.run('LPUSH', 's', 'x')), /WRONGTYPE/)
  await client.run('SET', 'log', 'text')
  await space.createTopic('log', {}, 'kafka')
  assert.match(String(await client.run('RPOP', 'log')), /WRONGTYPE/)
  await machine.stop()
})

test('the queue that a push made goes some time after it became empty', async () => {
  const { machine, space, client } = await start()
  await client.run('RPUSH', 'q', 'a')
  await client.run('LPOP', 'q')
  machine.clock.advance(29_000)
  assert.notEqual(space.topic('q'), undefined)
  await client.run('RPUSH', 'q', 'a')
  machine.clock.advance(2000)
  await client.run('LPOP', 'q')
  machine.clock.advance(29_000)
  assert.notEqual(space.topic('q'), undefined)
  machine.clock.advance(31_000)
  machine.clock.advance(31_000)
  assert.equal(space.topic('q'), undefined)
  assert.equal(await client.run('RPUSH', 'q', 'b'), 1)
  await machine.stop()
})

test('the queue that a push made stays when others have declared it, too, or published to it', async () => {
  const { machine, space, client } = await start()
  for (const use of ['declare', 'publish'] as const) {
    await client.run('RPUSH', 'q', 'a')
    if (use === 'declare') space.touch('q')
    else await publish(space, new PublishItem('', 'q', 1, Buffer.from('b')))
    await client.run('LPOP', 'q', 2)
    machine.clock.advance(61_000)
    machine.clock.advance(61_000)
    assert.notEqual(space.topic('q'), undefined)
    await space.deleteTopic('q')
  }
  await machine.stop()
})

test('a channel is no list of its name: neither hears of the other, and others hear of both', async () => {
  const { machine, broker, space, client } = await start()
  const heard: string[] = []
  const told = new Promise<void>((resolve) => {
    const listener = {
      onRecords: (_: unknown, batch: { readonly bytes: readonly Buffer[] }): void => {
        heard.push(...batch.bytes.map(String))
        if (heard.length >= 2) resolve()
      },
    }
    space.listen({ pattern: 'q' }, listener)
  })
  const subscriber = await TestClient.open(broker)
  await subscriber.run('HELLO', 3)
  void subscriber.run('SUBSCRIBE', 'q')
  await client.run('LPUSH', 'q', 'element')
  assert.equal(await client.run('PUBLISH', 'q', 'message'), 2)
  assert.deepEqual(await client.run('LRANGE', 'q', 0, -1), ['element'])
  await told
  assert.deepEqual(heard, ['element', 'message'])
  const messages = subscriber.pushed.filter(([kind]) => kind === 'message')
  assert.deepEqual(messages, [['message', 'q', 'message']])
  await machine.stop()
})

test('clients that wait are served in order, each from the first of its keys that has something', async () => {
  const { machine, broker, client } = await start()
  const first = await TestClient.open(broker)
  const second = await TestClient.open(broker)
  const third = await TestClient.open(broker)
  const answers = [
    first.run('BRPOP', 'a', 'q', 0),
    second.run('BLPOP', 'q', 0),
    third.run('BLMOVE', 'q', 'z', 'LEFT', 'RIGHT', 0),
  ]
  assert.equal(await client.run('RPUSH', 'q', '1', '2', '3', '4'), 4)
  assert.deepEqual(await Promise.all(answers), [['q', '4'], ['q', '1'], '2'])
  assert.deepEqual(await client.run('LRANGE', 'z', 0, -1), ['2'])
  assert.deepEqual(await client.run('LRANGE', 'q', 0, -1), ['3'])
  await machine.stop()
})

test('what another protocol publishes, or gives back, wakes who waits, also for a queue that is not there yet', async () => {
  const { machine, broker, space, client } = await start()
  const waits = client.run('BRPOP', 'none', 'q', 0)
  await space.createTopic('q', { retention: 'acknowledged' }, 'other')
  await publish(space, new PublishItem('', 'q', 1, Buffer.from('a')))
  assert.deepEqual(await waits, ['q', 'a'])
  await publish(space, new PublishItem('', 'q', 1, Buffer.from('b')))
  const taken = await takeOne(space)
  const other = await TestClient.open(broker)
  const waitsAgain = other.run('BLPOP', 'q', 0)
  taken?.settle({ kind: 'release', countsAsAttempt: true })
  assert.deepEqual(await waitsAgain, ['q', 'b'])
  await machine.stop()
})

test('a client that goes while it waits takes nothing along', async () => {
  const { machine, broker, client } = await start()
  const gone = await TestClient.open(broker)
  void gone.run('BRPOP', 'q', 0)
  gone.session.onClose('peer')
  await client.run('LPUSH', 'q', 'a')
  assert.equal(await client.run('RPOP', 'q'), 'a')
  await machine.stop()
})

test('what was confirmed is there after a crash, and what was popped is not', async () => {
  const { machine, client } = await start()
  await client.run('RPUSH', 'q', '1', '2', '3', '4')
  await client.run('LSET', 'q', 1, 'two')
  await client.run('LINSERT', 'q', 'BEFORE', '3', '2.5')
  await client.run('LPUSH', 'q', '0')
  assert.equal(await client.run('RPOP', 'q'), '4')
  assert.equal(await client.run('LMOVE', 'q', 'p', 'LEFT', 'LEFT'), '0')
  const broker = await machine.crash()
  await begin(broker)
  const again = await TestClient.open(broker)
  assert.deepEqual(await again.run('LRANGE', 'q', 0, -1), ['1', 'two', '2.5', '3'])
  assert.deepEqual(await again.run('LRANGE', 'p', 0, -1), ['0'])
  await machine.stop()
})

test('a list whose elements are on the disk alone is read from there, and its commands keep their order', async () => {
  const { machine, broker, client } = await start(new Machine(1, { cacheBytes: 8 * 1024 }))
  const values = Array.from({ length: 400 }, (_, index) => `${index}`.padStart(200, '0'))
  for (const value of values) void client.run('RPUSH', 'q', value)
  assert.equal(await client.run('LLEN', 'q'), 400)
  // Turns in which older entries go to segments.
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
  const answers = [
    client.run('LPOP', 'q'),
    client.run('LPOP', 'q', 2),
    client.run('LINDEX', 'q', 0),
    client.run('LREM', 'q', 1, values[4] as string),
    client.run('LMOVE', 'q', 'p', 'LEFT', 'RIGHT'),
    client.run('LRANGE', 'q', 0, 1),
  ]
  assert.deepEqual(await Promise.all(answers), [values[0], values.slice(1, 3), values[3], 1, values[3], values.slice(5, 7)])
  assert.equal(broker.stats().cachedBytes < 400 * 200, true)
  await machine.stop()
})

test('what a client sends behind a command that reads from the disk happens after it, on other keys, too', async () => {
  const { machine, broker, client } = await start(new Machine(1, { cacheBytes: 8 * 1024 }))
  for (let index = 0; index < 400; index++) void client.run('RPUSH', 'q', `${index}`.padStart(200, '0'))
  assert.equal(await client.run('LLEN', 'q'), 400)
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
  const other = await TestClient.open(broker)
  let answered = 0
  const answers = [client.run('LPOP', 'q', 2), client.run('SET', 'after', 'x'), client.run('RPUSH', 'p', 'y')]
  for (const answer of answers) void answer.then(() => answered++)
  const seen: unknown[] = []
  for (let turn = 0; turn < 1000 && answered < answers.length; turn++) {
    await new Promise((resolve) => setImmediate(resolve))
    void other.run('MULTI')
    for (const request of [
      ['EXISTS', 'after'],
      ['EXISTS', 'p'],
      ['LLEN', 'q'],
    ] as const)
      void other.run(...request)
    seen.push(await other.run('EXEC'))
  }
  assert.equal(answered, answers.length)
  const orders = [
    [0, 0, 400],
    [0, 0, 398],
    [1, 0, 398],
    [1, 1, 398],
  ].map(String)
  assert.deepEqual(
    seen.filter((each) => !orders.includes(String(each))),
    [],
  )
  await machine.stop()
})

test('a transaction reads from the disk and goes on then, with nobody between', async () => {
  const { machine, broker, client } = await start(new Machine(1, { cacheBytes: 8 * 1024 }))
  const values = Array.from({ length: 400 }, (_, index) => `${index}`.padStart(200, '0'))
  for (const value of values) void client.run('RPUSH', 'q', value)
  assert.equal(await client.run('LLEN', 'q'), 400)
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
  const other = await TestClient.open(broker)
  for (const request of [
    ['MULTI'],
    ['SORT', 'q', 'ALPHA', 'DESC', 'LIMIT', 0, 1],
    ['LRANGE', 'q', 0, -1],
    ['DEL', 'q'],
    ['RPUSH', 'q', 'mine'],
    ['LRANGE', 'q', 0, -1],
  ] as const)
    void client.run(...request)
  const [answers, between, after] = await Promise.all([
    client.run('EXEC'),
    other.run('RPUSH', 'q', 'theirs'),
    client.run('LRANGE', 'q', 0, -1),
  ])
  assert.deepEqual(answers, [[values[399]], values, 1, 1, ['mine']])
  assert.equal(between, 2)
  assert.deepEqual(after, ['mine', 'theirs'])
  await machine.stop()
})

test('SORT, COPY, RENAME and MOVE have a list whose elements are on the disk alone, with what comes meanwhile', async () => {
  const { machine, broker, client } = await start(new Machine(1, { cacheBytes: 8 * 1024 }))
  const values = Array.from({ length: 400 }, (_, index) => `${index}`.padStart(200, '0'))
  for (const value of values) void client.run('RPUSH', 'q', value)
  assert.equal(await client.run('LLEN', 'q'), 400)
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
  assert.equal(broker.stats().cachedBytes < 400 * 200, true)
  const other = await TestClient.open(broker)
  const answers = await Promise.all([
    client.run('SORT', 'q', 'ALPHA', 'DESC', 'LIMIT', 0, 2),
    client.run('COPY', 'q', 'copy'),
    client.run('RENAME', 'q', 'renamed'),
    // Another client's, while the list is read: it comes to the list before it is renamed, or to a new one.
    other.run('RPUSH', 'q', 'late'),
    client.run('EXISTS', 'copy', 'renamed', 'q'),
    client.run('MOVE', 'renamed', 1),
  ])
  assert.deepEqual(answers.slice(0, 3), [[values[399], values[398]], 1, 'OK'])
  assert.ok(answers[4] === 2 || answers[4] === 3)
  assert.equal(answers[5], 1)
  const all = async (key: string): Promise<string[]> => (await client.run('LRANGE', key, 0, -1)) as string[]
  assert.equal((await all('copy')).filter((value) => value !== 'late').join(), values.join())
  const left = await all('q')
  assert.equal(await client.run('EXISTS', 'renamed'), 0)
  await client.run('SELECT', 1)
  assert.equal([...(await all('renamed')), ...left].join(), [...values, 'late'].join())
  await machine.stop()
})

test('SWAPDB takes lists and streams along, whatever has their names in the other database, and who waits is served', async () => {
  const { machine, broker, client } = await start()
  const other = await TestClient.open(broker)
  await other.run('SELECT', 1)
  await client.run('RPUSH', 'q', 'a', 'b')
  await client.run('PEXPIRE', 'q', 10_000)
  await client.run('RPUSH', 'both', 'zero')
  await client.run('SET', 'mixed', 'text')
  await client.run('XADD', 's', '5-1', 'f', 'v')
  await client.run('XADD', 's', '5-2', 'f', 'w')
  await client.run('XGROUP', 'CREATE', 's', 'g', '0')
  await client.run('XREADGROUP', 'GROUP', 'g', 'c', 'COUNT', 1, 'STREAMS', 's', '>')
  await other.run('RPUSH', 'both', 'one')
  await other.run('RPUSH', 'mixed', 'x')
  const waiting = other.run('BLPOP', 'later', 0)
  await client.run('RPUSH', 'later', 'served')
  assert.equal(await client.run('SWAPDB', 0, 1), 'OK')
  assert.deepEqual(await waiting, ['later', 'served'])

  const restarted = await machine.crash()
  await begin(restarted)
  const again = await TestClient.open(restarted)
  assert.deepEqual(await again.run('LRANGE', 'both', 0, -1), ['one'])
  assert.deepEqual(await again.run('LRANGE', 'mixed', 0, -1), ['x'])
  assert.equal(await again.run('EXISTS', 'q', 's'), 0)
  await again.run('SELECT', 1)
  assert.deepEqual(await again.run('LRANGE', 'q', 0, -1), ['a', 'b'])
  assert.equal(await again.run('PTTL', 'q'), 10_000)
  assert.deepEqual(await again.run('LRANGE', 'both', 0, -1), ['zero'])
  assert.equal(await again.run('GET', 'mixed'), 'text')
  assert.deepEqual(await again.run('XPENDING', 's', 'g'), [1, '5-1', '5-1', [['c', '1']]])
  assert.equal(await again.run('XADD', 's', '5-3', 'f', 'x'), '5-3')
  await machine.stop()
})

test('SWAPDB is refused, with nothing changed, where a queue with messages is that of others', async () => {
  const { machine, broker, client } = await start()
  const space = broker.space(broker.anonymous, 'default')
  await space.createTopic('theirs', { retention: 'acknowledged' }, 'amqp')
  await client.run('SET', 'a', '1')
  assert.equal(await client.run('SWAPDB', 0, 1), 'OK')
  assert.equal(await client.run('SWAPDB', 0, 1), 'OK')
  await client.run('RPUSH', 'theirs', 'x')
  const refused = await client.run('SWAPDB', 0, 1)
  assert.ok(refused instanceof Error)
  assert.equal(refused.message, "ERR the list 'theirs' was made by others, and stays in its namespace")
  assert.equal(await client.run('GET', 'a'), '1')
  assert.deepEqual(await client.run('LRANGE', 'theirs', 0, -1), ['x'])
  await machine.stop()
})

test('an element is the value of any record', () => {
  const envelope = formats.get(elementFormatId).fromAttributes({ key: null, value: Buffer.from('v'), headers: [] })
  assert.equal(elementOf({ format: elementFormatId, buffer: envelope, start: 0, end: 1 }).toString(), 'v')
})

test('a list and a stream under names that had other values before are there after a crash', async () => {
  const { machine, client } = await start()
  for (const key of ['k', 's']) {
    await client.run('SET', key, 'text')
    await client.run('HSET', `${key}h`, 'f', 'v')
    await client.run('DEL', key, `${key}h`)
  }
  await client.run('RPUSH', 'k', 'a')
  await client.run('RPUSH', 'kh', 'b')
  await client.run('XADD', 's', '1-1', 'f', 'v')
  await client.run('PEXPIRE', 'k', 10_000)
  const restarted = await machine.crash()
  await begin(restarted)
  const again = await TestClient.open(restarted)
  assert.deepEqual(await again.run('LRANGE', 'k', 0, -1), ['a'])
  assert.deepEqual(await again.run('LRANGE', 'kh', 0, -1), ['b'])
  assert.equal(await again.run('XLEN', 's'), 1)
  assert.equal(await again.run('PTTL', 'k'), 10_000)
  machine.clock.advance(10_001)
  assert.equal(await again.run('EXISTS', 'k'), 0)
  await machine.stop()
})
