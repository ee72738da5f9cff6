/** Streams as clients see them: beside other protocols, waiting, over restarts. What single commands reply is compared with Redis itself (test/differential/redis). */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Machine, publish, spaceOf } from '../../../test/support/machine.ts'
import { PublishItem } from '../../broker/face.ts'
import { type Attributes, formats } from '../../core/record.ts'
import { begin } from './begin.ts'
import type { Database } from './database.ts'
import { protocol } from './index.ts'
import { TestClient } from './redis-client.testing.ts'
import { Server } from './server.ts'
import { encodeEntry, entryFormat } from './stream-envelope.ts'

for (const format of protocol.formats) formats.register(format)

async function start(machine = new Machine()) {
  const broker = await machine.start()
  await begin(broker)
  return { machine, broker, space: spaceOf(broker), client: await TestClient.open(broker) }
}

async function again(machine: Machine, how: 'crash' | 'restart') {
  const broker = await machine[how]()
  await begin(broker)
  return await TestClient.open(broker)
}

test('XINFO STREAM FULL names what is pending of a group and of a consumer alike, as Jedis reads it', async () => {
  const { machine, client } = await start()
  await client.run('XADD', 's', '1-1', 'f', 'v')
  await client.run('XGROUP', 'CREATE', 's', 'g', '0')
  await client.run('XREADGROUP', 'GROUP', 'g', 'one', 'STREAMS', 's', '>')
  const fields = (list: unknown): Map<unknown, unknown> => {
    const all = list as unknown[]
    return new Map(all.flatMap((name, at) => (at % 2 === 0 ? [[name, all[at + 1]] as const] : [])))
  }
  const [group] = fields(await client.run('XINFO', 'STREAM', 's', 'FULL')).get('groups') as unknown[]
  const [[id, consumer]] = fields(group).get('pending') as [[string, string]]
  assert.deepEqual([id, consumer], ['1-1', 'one'])
  const [one] = fields(group).get('consumers') as unknown[]
  const [[own]] = fields(one).get('pending') as [[string]]
  assert.equal(own, '1-1')
  await machine.stop()
})

test('groups, what they have read and what is pending are there after a crash and after a restart', async () => {
  const { machine, client } = await start()
  for (const id of ['1-1', '2-1', '3-1', '4-1']) await client.run('XADD', 's', id, 'f', 'v')
  await client.run('XGROUP', 'CREATE', 's', 'g', '0')
  await client.run('XREADGROUP', 'GROUP', 'g', 'one', 'COUNT', 3, 'STREAMS', 's', '>')
  await client.run('XACK', 's', 'g', '2-1')
  await client.run('XCLAIM', 's', 'g', 'two', 0, '3-1')
  await client.run('XDEL', 's', '4-1')
  let other = client
  for (const how of ['crash', 'restart', 'crash'] as const) {
    other = await again(machine, how)
    const pending = (await other.run('XPENDING', 's', 'g', '-', '+', 10)) as [string, string, number, number][]
    assert.deepEqual(
      pending.map(([id, consumer, , count]) => [id, consumer, count]),
      [
        ['1-1', 'one', 1],
        ['3-1', 'two', 2],
      ],
    )
    assert.equal(await other.run('XREADGROUP', 'GROUP', 'g', 'one', 'STREAMS', 's', '>'), null)
    // The greatest id is remembered though its entry is gone.
    assert.match(String(await other.run('XADD', 's', '4-1', 'f', 'v')), /equal or smaller/)
  }
  assert.equal(await other.run('XADD', 's', '5-1', 'f', 'v'), '5-1')
  assert.deepEqual(await other.run('XREADGROUP', 'GROUP', 'g', 'one', 'STREAMS', 's', '>'), [['s', [['5-1', ['f', 'v']]]]])
  await machine.stop()
})

test('what one turn hands out and acknowledges, command by command, is there after a crash as it was replied', async () => {
  const { machine, client } = await start()
  for (let ms = 1; ms <= 6; ms++) await client.run('XADD', 's', `${ms}-1`, 'f', 'v')
  await client.run('XGROUP', 'CREATE', 's', 'g', '0')
  const take = (consumer: string) => client.run('XREADGROUP', 'GROUP', 'g', consumer, 'COUNT', 1, 'STREAMS', 's', '>')
  const acknowledge = (id: string) => client.run('XACK', 's', 'g', id)
  await Promise.all([take('one'), take('one'), acknowledge('1-1'), acknowledge('2-1'), take('one'), take('two')])
  await client.run('MULTI')
  await take('two')
  await client.run('EXEC')
  const other = await again(machine, 'crash')
  const pending = (await other.run('XPENDING', 's', 'g', '-', '+', 10)) as [string, string, number, number][]
  assert.deepEqual(
    pending.map(([id, consumer]) => [id, consumer]),
    [
      ['3-1', 'one'],
      ['4-1', 'two'],
      ['5-1', 'two'],
    ],
  )
  const [info] = (await other.run('XINFO', 'GROUPS', 's')) as [unknown[]]
  assert.equal(info[info.indexOf('entries-read') + 1], 5)
  await machine.stop()
})

test('a stream is read by others as a topic, and a topic kept by time is a stream', async () => {
  const { machine, space, client } = await start()
  await client.run('XADD', 's', '5-5', 'value', 'v', 'color', 'red')
  const [record] = await space.peek('s', { limit: 1 })
  const attributes = entryFormat.toAttributes(record?.bytes ?? Buffer.alloc(0))
  assert.equal(attributes.value?.toString(), 'v')
  assert.deepEqual(attributes.headers, [{ name: 'color', value: { type: 'string', value: 'red' } }])
  await space.createTopic('t', { retention: 'time' }, 'other')
  const item = (text: string, timestamp: number): PublishItem => {
    const made = new PublishItem(null, 't', 1, Buffer.from(text))
    made.timestamp = timestamp
    return made
  }
  await publish(space, item('a', 100), item('b', 90), item('c', 200))
  assert.equal(await client.run('TYPE', 't'), 'stream')
  assert.deepEqual(await client.run('XRANGE', 't', '-', '+'), [
    ['100-0', ['value', 'a']],
    ['100-1', ['value', 'b']],
    ['200-2', ['value', 'c']],
  ])
  assert.equal(await client.run('XADD', 't', '200-*', 'f', 'v'), '200-3')
  await publish(space, item('d', 150))
  assert.deepEqual(await client.run('XREAD', 'STREAMS', 't', '200-2'), [
    [
      't',
      [
        ['200-3', ['f', 'v']],
        ['200-4', ['value', 'd']],
      ],
    ],
  ])
  await client.run('FLUSHALL')
  assert.equal(space.topic('s'), undefined)
  assert.equal(await client.run('XLEN', 't'), 5)
  await machine.stop()
})

test('entries cross to others and back as they were', () => {
  const back = (pairs: string[]): string[] => {
    const envelope = encodeEntry(
      { ms: 1, seq: 1 },
      pairs.map((part) => Buffer.from(part)),
    )
    const crossed = entryFormat.fromAttributes(entryFormat.toAttributes(envelope))
    const parts: string[] = []
    for (let at = 17; at < crossed.length; at += 4 + crossed.readUInt32BE(at))
      parts.push(crossed.toString('utf8', at + 4, at + 4 + crossed.readUInt32BE(at)))
    return parts
  }
  assert.deepEqual(back(['a', '1', 'b', '2', 'a', '3']), ['a', '1', 'b', '2', 'a', '3'])
  assert.deepEqual(back(['x', 'y', 'value', 'v']), ['value', 'v', 'x', 'y'])
  const typed: Attributes = {
    key: null,
    value: Buffer.from('v'),
    headers: [
      { name: 'n', value: { type: 'null', value: null } },
      { name: 'i', value: { type: 'i32', value: 5 } },
      { name: 'e', value: { type: 'string', value: '' } },
    ],
  }
  assert.deepEqual(entryFormat.toAttributes(entryFormat.fromAttributes(typed)), typed)
  const made = entryFormat.toAttributes(encodeEntry({ ms: 1, seq: 1 }, [Buffer.from('a'), Buffer.from('1')]))
  assert.equal(made.value?.toString(), '{"a":"1"}')
})

test('who waits is served by an entry of Redis and by a record of another protocol, also of a stream that is not there yet', async () => {
  const { machine, broker, space, client } = await start()
  const reader = await TestClient.open(broker)
  const waits = reader.run('XREAD', 'BLOCK', 0, 'STREAMS', 's', '$')
  await client.run('XADD', 's', '1-1', 'f', 'v')
  assert.deepEqual(await waits, [['s', [['1-1', ['f', 'v']]]]])
  await client.run('XGROUP', 'CREATE', 's', 'g', '$')
  const member = reader.run('XREADGROUP', 'GROUP', 'g', 'c', 'BLOCK', 0, 'STREAMS', 's', '>')
  const record = new PublishItem(null, 's', 1, Buffer.from('a'))
  record.timestamp = 7
  await publish(space, record)
  assert.deepEqual(await member, [['s', [['7-1', ['value', 'a']]]]])
  const lost = reader.run('XREADGROUP', 'GROUP', 'g', 'c', 'BLOCK', 0, 'STREAMS', 's', '>')
  await client.run('XGROUP', 'DESTROY', 's', 'g')
  assert.match(String(await lost), /NOGROUP/)
  await machine.stop()
})

test('a stream on the disk alone is read from there, trimmed, and found by id', async () => {
  const { machine, client } = await start(new Machine(1, { cacheBytes: 8 * 1024 }))
  const value = 'x'.repeat(200)
  for (let id = 1; id <= 600; id++) void client.run('XADD', 's', `${id}-0`, 'f', value)
  assert.equal(await client.run('XLEN', 's'), 600)
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
  const other = await again(machine, 'restart')
  const answers = [
    other.run('XRANGE', 's', '300', '301'),
    other.run('XTRIM', 's', 'MINID', '550'),
    other.run('XREVRANGE', 's', '+', '-', 'COUNT', 1),
    other.run('XDEL', 's', '551-0'),
    other.run('XRANGE', 's', '-', '+', 'COUNT', 2),
  ]
  assert.deepEqual(await Promise.all(answers), [
    [
      ['300-0', ['f', value]],
      ['301-0', ['f', value]],
    ],
    549,
    [['600-0', ['f', value]]],
    1,
    [
      ['550-0', ['f', value]],
      ['552-0', ['f', value]],
    ],
  ])
  await machine.stop()
})

test('a group that takes a stream from the disk one by one reads each stretch of it once', async () => {
  const { machine, client } = await start(new Machine(1, { cacheBytes: 8 * 1024 }))
  const value = 'x'.repeat(1000)
  const entries = 600
  for (let id = 1; id <= entries; id++) void client.run('XADD', 's', `${id}-0`, 'f', value)
  assert.equal(await client.run('XGROUP', 'CREATE', 's', 'g', '0'), 'OK')
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
  const broker = await machine.restart()
  await begin(broker)
  const other = await TestClient.open(broker)
  assert.equal(await other.run('XLEN', 's'), entries)
  await other.run('XINFO', 'STREAM', 's')
  const held = Server.of(broker).streams.find(Server.of(broker).databases[0] as Database, 's')
  assert.ok(held)
  const { records } = held.stream.log
  const load = records.load.bind(records)
  let loads = 0
  records.load = (offset, done) => {
    loads++
    load(offset, done)
  }
  for (let id = 1; id <= entries; id++)
    assert.deepEqual(await other.run('XREADGROUP', 'GROUP', 'g', 'c', 'COUNT', 1, 'STREAMS', 's', '>'), [
      ['s', [[`${id}-0`, ['f', value]]]],
    ])
  // 600 KiB in stretches of 128 KiB.
  assert.ok(loads > 1 && loads < 12, `${loads} reads`)
  await machine.stop()
})

test('the lag of a group is counted where it can be, and not said where it cannot', async () => {
  const { machine, client } = await start()
  for (const id of ['1-1', '2-1', '3-1', '4-1']) await client.run('XADD', 's', id, 'f', 'v')
  const lag = async (): Promise<unknown> => {
    const [group] = (await client.run('XINFO', 'GROUPS', 's')) as unknown[][]
    return group?.at(-1)
  }
  await client.run('XGROUP', 'CREATE', 's', 'g', '0', 'ENTRIESREAD', 7)
  assert.equal(await lag(), 4)
  await client.run('XREADGROUP', 'GROUP', 'g', 'c', 'COUNT', 2, 'STREAMS', 's', '>')
  assert.equal(await lag(), 2)
  await client.run('XDEL', 's', '3-1')
  assert.equal(await lag(), null)
  await client.run('XREADGROUP', 'GROUP', 'g', 'c', 'STREAMS', 's', '>')
  assert.equal(await lag(), 0)
  await machine.stop()
})

test('XACKDEL and XDELEX say of each entry what became of it', async () => {
  const { machine, client } = await start()
  for (const id of ['1-1', '2-1', '3-1']) await client.run('XADD', 's', id, 'f', 'v')
  await client.run('XGROUP', 'CREATE', 's', 'g', '0')
  await client.run('XGROUP', 'CREATE', 's', 'h', '0')
  await client.run('XREADGROUP', 'GROUP', 'g', 'c', 'STREAMS', 's', '>')
  assert.deepEqual(await client.run('XACKDEL', 's', 'g', 'ACKED', 'IDS', 2, '1-1', '9-9'), [2, -1])
  assert.deepEqual(await client.run('XACKDEL', 's', 'g', 'IDS', 1, '2-1'), [1])
  assert.deepEqual(await client.run('XDELEX', 's', 'DELREF', 'IDS', 2, '3-1', '2-1'), [1, -1])
  assert.deepEqual(await client.run('XPENDING', 's', 'g'), [0, null, null, null])
  assert.deepEqual(await client.run('XDELEX', 's', 'ACKED', 'IDS', 1, '1-1'), [2])
  await machine.stop()
})

test('XREADGROUP with CLAIM takes what others have held for long, and says for how long', async () => {
  const { machine, client } = await start()
  await client.run('XADD', 's', '1-1', 'f', 'v')
  await client.run('XGROUP', 'CREATE', 's', 'g', '0')
  await client.run('XREADGROUP', 'GROUP', 'g', 'a', 'STREAMS', 's', '>')
  machine.clock.advance(5000)
  await client.run('XADD', 's', '2-1', 'f', 'w')
  assert.deepEqual(await client.run('XREADGROUP', 'GROUP', 'g', 'b', 'CLAIM', 1000, 'STREAMS', 's', '>'), [
    [
      's',
      [
        ['1-1', ['f', 'v'], 5000, 1],
        ['2-1', ['f', 'w'], 0, 0],
      ],
    ],
  ])
  assert.deepEqual(await client.run('XPENDING', 's', 'g'), [2, '1-1', '2-1', [['b', '2']]])
  await machine.stop()
})
