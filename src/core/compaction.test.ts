/**
 * Retention by key against a model: whatever was published, cleaned, crashed and cleaned again, reading the log from its start gives for each
 * key what was stored last, at the offsets it had; and what is superseded goes.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Random } from '../../test/simulation/disk.ts'
import { Machine, type MachineOptions, spaceOf } from '../../test/support/machine.ts'
import {
  type PlainRecord,
  plainBatchItem,
  plainFormat,
  plainItem,
  publish,
  RememberingSink,
  turns,
  until,
} from '../../test/support/records.ts'
import { accept, type PublishItem, PublishStatus, type Space, type TopicConfig } from '../broker/face.ts'

const hourMs = 3_600_000
const padding = 'x'.repeat(100)

const small: Partial<TopicConfig> = {
  compact: true,
  segmentBytes: 4096,
  segmentMs: 2000,
  minCleanableRatio: 0,
  tombstoneRetentionMs: hourMs,
}

interface Stored extends PlainRecord {
  readonly offset: number
}

/** Everything that was ever confirmed, by offset. */
class Model {
  readonly records = new Map<number, PlainRecord>()

  add(item: PublishItem, records: readonly PlainRecord[]): void {
    assert.equal(item.status, PublishStatus.Stored, item.errorMessage)
    for (const [index, record] of records.entries()) this.records.set(item.baseOffset + index, record)
  }

  newestOffsets(): Map<string, number> {
    const newest = new Map<string, number>()
    for (const [offset, { key }] of [...this.records].sort(([a], [b]) => a - b)) newest.set(String(key), offset)
    return newest
  }
}

async function stored(space: Space, topic = 't'): Promise<Stored[]> {
  const records = await space.peek(topic, { limit: 100_000 })
  return records.map(({ offset, bytes }) => ({ ...(JSON.parse(bytes.toString()) as PlainRecord), offset }))
}

/** Gives the background some seconds of virtual time. */
async function pass(machine: Machine, seconds: number): Promise<void> {
  for (let second = 0; second < seconds; second++) {
    machine.clock.advance(1000)
    await turns(80)
  }
}

async function publishSome(space: Space, random: Random, model: Model, keys: number, count: number): Promise<void> {
  for (let left = count; left > 0; ) {
    const records = Array.from({ length: 1 + random.below(4) }, (_, index): PlainRecord => {
      const key = `k${random.below(keys)}`
      return { key, value: random.chance(0.15) ? null : `${left - index} ${padding}` }
    })
    const batched = random.chance(0.5)
    const items = batched ? [plainBatchItem('t', records)] : records.map((record) => plainItem('t', record))
    await publish(space, ...items)
    for (const [index, item] of items.entries()) model.add(item, batched ? records : [records[index] as PlainRecord]) // one each
    left -= records.length
  }
}

/** What holds at any time, however far cleaning has got. `tombstonesKept`: none was old enough to go. */
function check(found: readonly Stored[], model: Model, tombstonesKept: boolean): void {
  const offsets = found.map(({ offset }) => offset)
  assert.deepEqual(
    offsets,
    [...new Set(offsets)].sort((a, b) => a - b),
    'offsets grow',
  )
  for (const { offset, key, value } of found) {
    const original = model.records.get(offset)
    assert.deepEqual(
      { key, value },
      { key: original?.key, value: original?.value },
      `offset ${offset} holds what was stored there`,
    )
  }
  const present = new Set(offsets)
  for (const [key, offset] of model.newestOffsets()) {
    if (model.records.get(offset)?.value === null && !tombstonesKept) continue
    assert(present.has(offset), `the newest record of ${key} is at ${offset}`)
  }
  // Nobody sees an older value as the newest one.
  const last = new Map(found.map(({ key, offset }) => [String(key), offset]))
  for (const [key, offset] of last) assert.equal(offset, model.newestOffsets().get(key), `${key} is not resurrected`)
}

test('each key keeps its newest record, tombstones go after their time, and offsets do not change', async (t) => {
  for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
    await t.test(`seed ${seed}`, async () => {
      const random = new Random(seed)
      const options: MachineOptions = random.chance(0.5) ? { cacheBytes: 20_000 } : {}
      const machine = new Machine(seed, options)
      const space = spaceOf(await machine.start())
      await space.createTopic('t', small, 'test')
      const model = new Model()
      const keys = 1 + random.below(40)
      for (let round = 0; round < 4; round++) {
        await publishSome(space, random, model, keys, 10 + random.below(150))
        await pass(machine, random.below(6))
        check(await stored(space), model, true)
      }
      await pass(machine, 6)
      // The last entry stays whatever it is, so one more closes what is before it.
      await publish(space, plainItem('t', { key: 'end', value: 'end' })).then(([item]) => {
        model.add(item as PublishItem, [{ key: 'end', value: 'end' }]) // one item
      })
      await pass(machine, 8)
      const cleaned = await stored(space)
      check(cleaned, model, true)
      assert.equal(cleaned.length, model.newestOffsets().size, 'one record of each key is left')

      machine.clock.advance(2 * hourMs)
      await pass(machine, 4)
      const late = await stored(space)
      check(late, model, false)
      assert.deepEqual(
        late.filter(({ value }) => value === null),
        [],
        'tombstones are gone',
      )

      // A subscription from the start gets just what is there, and is through with the holes.
      const sink = new RememberingSink()
      const consumer = space.subscribe({ topic: 't', subscription: 's', autoSettle: false, name: 'c' }, sink)
      consumer.credit(10_000)
      await until(() => sink.got.length === late.length)
      assert.deepEqual(
        sink.got.map(({ offset }) => offset),
        late.map(({ offset }) => offset),
      )
      consumer.settle(
        sink.got.map(({ id }) => id),
        accept,
      )
      await turns()
      const cursor = space.status('t')?.subscriptions.find(({ name }) => name === 's')?.cursors[0]
      assert.equal(cursor?.lag, 0)

      const again = spaceOf(await machine.restart())
      assert.deepEqual(await stored(again), late, 'the same after a restart')
      await machine.stop()
    })
  }
})

test('a crash at any point of a pass loses nothing and brings nothing back', async (t) => {
  for (let seed = 100; seed < 130; seed++) {
    await t.test(`seed ${seed}`, async () => {
      const random = new Random(seed)
      const machine = new Machine(seed, { cacheBytes: 30_000 })
      let space = spaceOf(await machine.start())
      await space.createTopic('t', small, 'test')
      const model = new Model()
      for (let round = 0; round < 5; round++) {
        await publishSome(space, random, model, 1 + random.below(20), 20 + random.below(80))
        // Somewhere in the middle of whatever runs by then.
        for (let second = random.below(5); second > 0; second--) {
          machine.clock.advance(1000)
          await turns(random.below(60))
        }
        space = spaceOf(await machine.crash())
        check(await stored(space), model, true)
      }
      await pass(machine, 8)
      check(await stored(space), model, true)
      await machine.stop()
    })
  }
})

test('more keys than one pass can remember are cleaned in several', async () => {
  const machine = new Machine(1, { compactionBytes: 16 * 24 })
  const space = spaceOf(await machine.start())
  await space.createTopic('t', small, 'test')
  const model = new Model()
  await publishSome(space, new Random(5), model, 60, 400)
  await pass(machine, 3)
  await publish(space, plainItem('t', { key: 'end', value: 'end' })).then(([item]) => {
    model.add(item as PublishItem, [{ key: 'end', value: 'end' }]) // one item
  })
  await until(async () => {
    machine.clock.advance(1000)
    await turns(40)
    return (await stored(space)).length === model.newestOffsets().size
  }, 'it gets on pass by pass')
  check(await stored(space), model, true)
  await machine.stop()
})

test('cleaning waits for the lag and for enough that is not clean', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  await space.createTopic('t', { ...small, minCompactionLagMs: 20_000, minCleanableRatio: 0.5 }, 'test')
  const publishTwice = async (): Promise<void> => {
    for (const value of ['1', '2', '3']) await publish(space, plainItem('t', { key: 'a', value: value + padding }))
  }
  await publishTwice()
  await pass(machine, 6)
  await publishTwice()
  await pass(machine, 6)
  assert.equal((await stored(space)).length, 6, 'all is younger than the lag')
  await pass(machine, 20)
  assert.equal((await stored(space)).length, 3 + 1, 'the last segment stays, what is before it is cleaned')

  // Much that is clean: a little more is not worth a pass.
  for (let key = 0; key < 30; key++) await publish(space, plainItem('t', { key: `b${key}`, value: padding }))
  await pass(machine, 30)
  await publishTwice()
  await pass(machine, 30)
  const much = (await stored(space)).length
  await publish(space, plainItem('t', { key: 'end', value: 'end' }))
  await pass(machine, 30)
  assert.equal((await stored(space)).length, much + 1)
  await machine.stop()
})

test('a record without a key is refused where the newest by key is kept, alone, in a batch and in a transaction', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  await space.createTopic('t', small, 'test')
  const [alone] = await publish(space, plainItem('t', { value: 'x' }))
  assert.equal(alone?.errorCode, 'Invalid')
  const [batch] = await publish(space, plainBatchItem('t', [{ key: 'a', value: '1' }, { value: '2' }]))
  assert.equal(batch?.errorCode, 'Invalid')
  const transaction = space.begin()
  transaction.publish([plainItem('t', { key: 'a', value: '1' }), plainItem('t', { value: '2' })])
  await assert.rejects(new Promise<void>((resolve, reject) => transaction.commit((error) => (error ? reject(error) : resolve()))))
  assert.deepEqual(await stored(space), [])
  await machine.stop()
})

test('records from before the topic was kept by key stay when they have no key', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  await space.createTopic('t', { ...small, compact: false }, 'test')
  for (const key of ['a', null, 'a', null, 'b']) await publish(space, plainItem('t', { key, value: padding }))
  await space.alterTopic('t', { compact: true })
  await pass(machine, 5)
  await publish(space, plainItem('t', { key: 'end', value: 'end' }))
  await pass(machine, 5)
  assert.deepEqual(
    (await stored(space)).map(({ offset }) => offset),
    [1, 2, 3, 4, 5],
  )
  await machine.stop()
})

test('what a transaction took back never supersedes, and goes; what is undecided is left alone', async () => {
  const machine = new Machine()
  const broker = await machine.start()
  const space = spaceOf(broker)
  await space.createTopic('t', small, 'test')
  const undecided = async (producerId: number, value: string): Promise<void> => {
    const item = plainItem('t', { key: 'a', value: value + padding })
    Object.assign(item, { producerId, producerEpoch: 0, producerSequence: 0, undecided: true })
    const [done] = await publish(space, item)
    assert.equal(done?.status, PublishStatus.Stored, done?.errorMessage)
  }
  const decide = (producerId: number, commit: boolean): Promise<void> =>
    new Promise((resolve, reject) => {
      const marker = { format: plainFormat.id, payload: Buffer.from('{}') }
      const partitions = [{ topic: 't', partition: 0 }]
      broker.atomically(
        () => space.decide({ producerId, producerEpoch: 0, commit, partitions, marker }),
        (error) => (error === null ? resolve() : reject(error)),
      )
    })
  await publish(space, plainItem('t', { key: 'a', value: `old${padding}` })) // 0
  await publish(space, plainItem('t', { key: 'a', value: `newer${padding}` })) // 1
  await undecided(1, 'aborted') // 2
  await decide(1, false) // 3
  await undecided(2, 'open') // 4
  await publish(space, plainItem('t', { key: 'end', value: padding })) // 5
  await pass(machine, 4)
  await publish(space, plainItem('t', { key: 'end2', value: padding })) // 6
  await pass(machine, 6)
  const visible = async (): Promise<number[]> => {
    const sink = new RememberingSink()
    const name = `s${machine.clock.now()}`
    const consumer = space.subscribe({ topic: 't', subscription: name, autoSettle: true, name }, sink)
    consumer.credit(100)
    await turns()
    consumer.close()
    return sink.got.map(({ offset }) => offset)
  }
  const raw = (): Promise<number[]> =>
    new Promise((resolve) =>
      space.read('t', 0, 0, 1_000_000, ({ entries }) => resolve(entries.map(({ baseOffset }) => baseOffset))),
    )
  assert.deepEqual(await raw(), [0, 1, 2, 3, 4, 5, 6], 'the segment reaches beyond what is decided')
  await decide(2, true) // 7
  await publish(space, plainItem('t', { key: 'end3', value: padding })) // 8
  await pass(machine, 8)
  assert.deepEqual(await visible(), [4, 5, 6, 8])
  assert(!(await raw()).includes(2), 'what was aborted is gone')
  assert((await raw()).includes(3), 'its marker is not')
  await machine.stop()
})

test('a record that was removed goes, alone and out of its batch, and supersedes nothing', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  await space.createTopic('t', small, 'test')
  const value = padding
  await publish(space, plainItem('t', { key: 'a', value })) // 0
  await publish(
    space,
    plainBatchItem('t', [
      { key: 'a', value },
      { key: 'b', value },
      { key: 'c', value },
    ]),
  ) // 1-3
  await publish(space, plainItem('t', { key: 'c', value })) // 4
  await space.removeRecords('t', 0, [1, 2, 4])
  await pass(machine, 5)
  await publish(space, plainItem('t', { key: 'end', value })) // 5
  await pass(machine, 5)
  assert.deepEqual(
    (await stored(space)).map(({ offset, key }) => [offset, key]),
    [
      [0, 'a'],
      [3, 'c'],
      [5, 'end'],
    ],
  )
  await machine.stop()
})

test('a topic deleted or truncated in the middle of a pass leaves nothing behind, and the pass ends', async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = new Random(seed)
    const machine = new Machine(seed)
    const space = spaceOf(await machine.start())
    await space.createTopic('t', small, 'test')
    const model = new Model()
    await publishSome(space, random, model, 5, 150)
    await pass(machine, 3)
    await publishSome(space, random, model, 5, 20)
    machine.clock.advance(1000)
    await turns(random.below(40))
    if (random.chance(0.5)) {
      await space.deleteTopic('t')
      await pass(machine, 65)
      assert.deepEqual(
        machine.disk.names().filter((name) => name.startsWith('/segments/')),
        [],
        `seed ${seed}`,
      )
    } else {
      const start = random.below(170)
      await space.deleteRecordsBefore('t', 0, start)
      for (const offset of [...model.records.keys()]) if (offset < start) model.records.delete(offset)
      await pass(machine, 10)
      check(await stored(space), model, true)
    }
    await machine.stop()
  }
})

test('a topic that cannot be kept by key is refused', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  await assert.rejects(space.createTopic('a', { compact: true, retention: 'acknowledged' }, 'test'), { code: 'Invalid' })
  await assert.rejects(space.createTopic('b', { compact: true, storage: 'memory' }, 'test'), { code: 'Invalid' })
  await assert.rejects(space.createTopic('d', { compact: true, indexed: true }, 'test'), { code: 'Invalid' })
  await assert.rejects(space.createTopic('c', { minCleanableRatio: 1.5 }, 'test'), { code: 'Invalid' })
  await machine.stop()
})
