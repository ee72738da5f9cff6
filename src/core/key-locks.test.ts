/**
 * Key exclusivity against a model: several consumers, random credit, outcomes, delays, deadlines, leaving and coming. Of one key never two are
 * out, a record comes only when all before it of its key are done, and in the end everything is done.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Random } from '../../test/simulation/disk.ts'
import { Machine, spaceOf } from '../../test/support/machine.ts'
import { plainBatchItem, plainItem, publish, RememberingSink, turns, until } from '../../test/support/records.ts'
import { accept, type Consumer, type Space, type TopicConfig } from '../broker/face.ts'
import { parkedMax } from './key-locks.ts'

const subscription = 's'

async function makeTopic(space: Space, config: Partial<TopicConfig> = {}): Promise<void> {
  await space.createTopic('t', { retention: 'acknowledged', ...config }, 'test')
  await space.createSubscription('t', subscription, { keyExclusive: 'group' })
}

function join(space: Space, name: string, deadlineMs = -1): { consumer: Consumer; sink: RememberingSink } {
  const sink = new RememberingSink()
  return { consumer: space.subscribe({ topic: 't', subscription, autoSettle: false, deadlineMs, name }, sink), sink }
}

interface Out {
  readonly consumer: Consumer
  readonly id: number
  readonly key: string
  readonly place: string
}

/** What the world may see. */
class Model {
  /** Places of each key in their order, those that are done taken away. Partitions have an order each. */
  readonly #left = new Map<string, string[]>()
  readonly out = new Map<string, Out>()
  readonly free = new Set<string>()
  done = 0

  stored(key: string | null, partition: number, offset: number): void {
    if (key === null) return void this.free.add(`${partition}/${offset}`)
    const places = this.#left.get(`${key}@${partition}`) ?? []
    places.push(`${partition}/${offset}`)
    this.#left.set(`${key}@${partition}`, places)
  }

  delivered(out: Out, partition: number): void {
    if (out.key === '') return
    for (const other of this.out.values()) assert.notEqual(other.key, out.key, `two of key ${out.key} are out`)
    assert.equal(this.#left.get(`${out.key}@${partition}`)?.[0], out.place, `key ${out.key} comes in its order`)
    this.out.set(out.place, out)
  }

  settled(out: Out, done: boolean): void {
    this.out.delete(out.place)
    if (!done) return
    this.done++
    if (out.key === '') return
    const partition = out.place.split('/')[0] ?? ''
    this.#left.get(`${out.key}@${partition}`)?.shift()
  }
}

for (let seed = 1; seed <= 25; seed++) {
  test(`one of a key is out at a time, in order, and all get done: seed ${seed}`, async () => {
    const random = new Random(seed)
    const machine = new Machine(seed, random.chance(0.5) ? { cacheBytes: 10_000 } : {})
    const space = spaceOf(await machine.start())
    const partitions = 1 + random.below(3)
    await makeTopic(space, { partitions })
    const model = new Model()
    const keys = 1 + random.below(8)
    let total = 0
    const fill = async (count: number): Promise<void> => {
      for (let left = count; left > 0; left--) {
        const key = random.chance(0.2) ? null : `k${random.below(keys)}`
        const record = random.chance(0.5) ? { key, value: 'v' } : { ...(key === null ? {} : { groupKey: key }), value: 'v' }
        const item = random.chance(0.3) ? plainBatchItem('t', [record, record]) : plainItem('t', record)
        // A key may lie in several partitions: it is exclusive over all, ordered within each.
        item.partition = random.below(partitions)
        await publish(space, item)
        for (let index = 0; index < item.count; index++) model.stored(key, item.partition, item.baseOffset + index)
        total += item.count
      }
    }
    await fill(60)

    let members = Array.from({ length: 1 + random.below(4) }, (_, index) => ({ ...join(space, `c${index}`, 5000), seen: 0 }))
    const held: Out[] = []
    const collect = (): void => {
      for (const member of members) {
        for (const got of member.sink.got.slice(member.seen)) {
          const key = got.record.groupKey ?? got.record.key ?? ''
          const out = { consumer: member.consumer, id: got.id, key, place: `${got.partition}/${got.offset}` }
          model.delivered(out, got.partition)
          held.push(out)
        }
        member.seen = member.sink.got.length
      }
    }
    for (let step = 0; step < 400; step++) {
      const member = members[random.below(members.length)]
      if (member !== undefined && random.chance(0.5)) member.consumer.credit(1 + random.below(5))
      await turns(1 + random.below(4))
      collect()
      const at = random.below(held.length + 1)
      const out = held[at]
      if (out !== undefined) {
        held.splice(at, 1)
        const kind = random.below(10)
        const done = kind < 6
        model.settled(out, done)
        if (kind < 5) out.consumer.settle([out.id], accept)
        else if (kind < 6) out.consumer.settle([out.id], { kind: 'reject' })
        else
          out.consumer.settle([out.id], {
            kind: 'release',
            countsAsAttempt: true,
            delayMs: random.chance(0.5) ? 0 : random.below(3000),
          })
      }
      if (random.chance(0.05)) {
        // All that is out is overdue, or its consumer goes.
        for (const each of held.splice(0)) model.settled(each, false)
        if (random.chance(0.5)) machine.clock.advance(6000)
        else {
          for (const each of members) each.consumer.close()
          members = members.map((_, index) => ({ ...join(space, `d${step}.${index}`, 5000), seen: 0 }))
        }
      }
      if (random.chance(0.1)) machine.clock.advance(random.below(2000))
      if (random.chance(0.05)) await fill(5)
      // What came overdue by the clock is not held any more.
      await turns(2)
      collect()
      for (let index = held.length - 1; index >= 0; index--) {
        const each = held[index] as Out // index < length
        if (each.consumer.settle([each.id], { kind: 'extend', deadlineMs: 5000 }) === 1) continue
        held.splice(index, 1)
        model.settled(each, false)
      }
    }
    for (let round = 0; model.done < total; round++) {
      assert(round < 2000, `${model.done} of ${total} are done`)
      for (const member of members) member.consumer.credit(10)
      await turns(3)
      collect()
      for (const out of held.splice(0)) {
        if (out.consumer.settle([out.id], accept) === 1) model.settled(out, true)
        else model.settled(out, false)
      }
      machine.clock.advance(500)
    }
    await turns()
    const status = space.status('t')?.subscriptions.find(({ name }) => name === subscription)
    assert.deepEqual([status?.ready, status?.inFlight], [0, 0])
    await machine.stop()
  })
}

test('a lane looks past so many blocked records and no further, and gets on when the key is free', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  await makeTopic(space)
  const many = Array.from({ length: 500 }, () => ({ key: 'a', value: 'v' }))
  for (let left = parkedMax + 1000; left > 0; left -= many.length) await publish(space, plainBatchItem('t', many))
  await publish(space, plainItem('t', { key: 'b', value: 'far' }))
  const { consumer, sink } = join(space, 'c')
  consumer.credit(100_000)
  await turns(200)
  assert.deepEqual(sink.values, ['v'], 'the other key is too far away')
  for (let taken = 0; taken < 1200; taken++) {
    const last = sink.got.at(-1)
    assert(last !== undefined)
    const before = sink.got.length
    consumer.settle([last.id], accept)
    await until(() => sink.got.length > before)
    if (sink.values.includes('far')) break
  }
  assert(sink.values.includes('far'))
  await machine.stop()
})

test('purging, moving and truncating forget what is parked, and free keys whose record is gone', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  await makeTopic(space, { retention: 'time' })
  const put = async (value: string): Promise<void> => void (await publish(space, plainItem('t', { key: 'a', value })))
  for (const value of ['0', '1', '2']) await put(value)
  const { consumer, sink } = join(space, 'c')
  consumer.credit(100)
  const settleLast = (): void => void consumer.settle([sink.got.at(-1)?.id ?? 0], accept)
  await until(() => sink.got.length === 1)
  assert.equal(await space.purge('t', subscription), 2)
  await put('3')
  await turns()
  assert.deepEqual(sink.values, ['0'], 'what is out holds its key')
  settleLast()
  await until(() => sink.got.length === 2)
  assert.deepEqual(sink.values, ['0', '3'])
  settleLast()

  await space.seek('t', subscription, 'oldest')
  for (const count of [3, 4, 5]) {
    await until(() => sink.got.length === count)
    settleLast()
  }
  await until(() => sink.got.length === 6)
  assert.deepEqual(sink.values.slice(2), ['0', '1', '2', '3'])
  settleLast()

  for (const value of ['4', '5', '6']) await put(value)
  await until(() => sink.got.length === 7)
  consumer.setCredit(0)
  consumer.settle([sink.got.at(-1)?.id ?? 0], { kind: 'release', countsAsAttempt: true })
  await space.deleteRecordsBefore('t', 0, 6)
  consumer.setCredit(10)
  await until(() => sink.got.length === 8)
  assert.equal(sink.values.at(-1), '6')
  await machine.stop()
})
