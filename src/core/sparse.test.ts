/**
 * What is gone in the middle of a log gives its disk back: topics kept to the record and queues against a model of what is kept, over restarts and
 * crashes at any point of a pass.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Random } from '../../test/simulation/disk.ts'
import { Machine, type MachineOptions, spaceOf } from '../../test/support/machine.ts'
import {
  type PlainRecord,
  plainBatchItem,
  plainItem,
  publish,
  RememberingSink,
  turns,
  until,
} from '../../test/support/records.ts'
import { accept, type Logger, PublishItem, PublishStatus, type Space, type TopicConfig } from '../broker/face.ts'

const padding = 'x'.repeat(1000)
const segmentBytes = 64 * 1024
/** What may be on the disk beside twice what is kept: a segment's worth, what is being filled, and a block that makes a segment longer. */
const overheadBytes = 600 * 1024

interface Pass {
  readonly bytesBefore: number
  readonly bytesAfter: number
}

/** A machine with little memory, and the passes its broker tells of. */
class Scene {
  readonly machine: Machine
  readonly passes: Pass[] = []
  space!: Space

  constructor(seed: number, options: MachineOptions = {}) {
    const passes = this.passes
    const log: Logger = {
      debug() {},
      warn() {},
      error(fields, message) {
        assert.fail(`${message} ${JSON.stringify(fields)}`)
      },
      info(fields, message) {
        if (message === 'segments were written anew') passes.push(fields as Pass)
      },
    }
    this.machine = new Machine(seed, { cacheBytes: 30_000, log, ...options })
  }

  static async start(seed = 1, options: MachineOptions = {}): Promise<Scene> {
    const scene = new Scene(seed, options)
    scene.space = spaceOf(await scene.machine.start())
    return scene
  }

  async crash(): Promise<void> {
    this.space = spaceOf(await this.machine.crash())
  }

  async restart(): Promise<void> {
    this.space = spaceOf(await this.machine.restart())
  }

  get files(): string[] {
    return this.machine.disk.names().filter((name) => name.startsWith('/segments/'))
  }

  get bytes(): number {
    return this.files.reduce((sum, name) => sum + this.machine.disk.sizeOf(name), 0)
  }

  /** Gives the background some seconds of virtual time. */
  async pass(seconds: number, turnsEach = 60): Promise<void> {
    for (let second = 0; second < seconds; second++) {
      this.machine.clock.advance(1000)
      await turns(turnsEach)
    }
  }
}

const bucketConfig: Partial<TopicConfig> = {
  indexed: true,
  captures: ['b.#'],
  retention: 'time',
  retentionMs: -1,
  retentionBytes: -1,
  subjectRecordsMax: 1,
  segmentBytes,
}

/** The newest text of each address, as it must be read. */
class Bucket {
  readonly kept = new Map<string, { offset: number; text: string }>()
  #next = 0

  async put(space: Space, addresses: readonly string[]): Promise<void> {
    const texts = addresses.map((address) => `${address} ${this.#next++} ${padding}`)
    const items = addresses.map((address, index) => new PublishItem(null, address, 1, Buffer.from(texts[index] as string))) // one each
    await publish(space, ...items)
    for (const [index, item] of items.entries()) {
      assert.equal(item.status, PublishStatus.Stored, item.errorMessage)
      this.kept.set(addresses[index] as string, { offset: item.baseOffset, text: texts[index] as string })
    }
  }

  async remove(space: Space, address: string): Promise<void> {
    const record = this.kept.get(address)
    if (record === undefined) return
    assert.equal(await space.removeRecords('b', 0, [record.offset]), 1)
    this.kept.delete(address)
  }

  get bytes(): number {
    return [...this.kept].reduce((sum, [address, { text }]) => sum + 50 + address.length + text.length, 0)
  }

  async check(space: Space): Promise<void> {
    const found = await space.peek('b', { limit: 100_000 })
    const expected = [...this.kept.values()].sort((a, b) => a.offset - b.offset)
    assert.deepEqual(
      found.map(({ offset }) => offset),
      expected.map(({ offset }) => offset),
    )
    for (const [index, { bytes }] of found.entries()) assert.equal(bytes.toString(), expected[index]?.text)
  }
}

test('a bucket takes what it holds, not what was ever put into it', async () => {
  const scene = await Scene.start()
  await scene.space.createTopic('b', bucketConfig, 'test')
  const bucket = new Bucket()
  let written = 0
  for (let round = 0; round < 40; round++) {
    const addresses = Array.from({ length: 100 }, (_, index) =>
      index === 7 ? `b.rare${round}` : `b.hot${index + 100 * (round % 2)}`,
    )
    await bucket.put(scene.space, addresses)
    written += 100 * 1060
    await scene.pass(3)
  }
  await scene.pass(150)
  assert.ok(written > 4 * 1024 * 1024)
  assert.ok(scene.passes.length > 0)
  const most = 2 * bucket.bytes + overheadBytes
  assert.ok(scene.bytes <= most, `${scene.bytes} bytes for ${bucket.bytes}`)
  await bucket.check(scene.space)
  // No more was written anew than was gained.
  const before = scene.passes.reduce((sum, { bytesBefore }) => sum + bytesBefore, 0)
  const after = scene.passes.reduce((sum, { bytesAfter }) => sum + bytesAfter, 0)
  assert.ok(after <= before - after, `${after} of ${before}`)

  await scene.restart()
  await bucket.check(scene.space)
  const passes = scene.passes.length
  await scene.pass(150)
  assert.equal(scene.passes.length, passes, 'what is dense is left alone')
  await bucket.check(scene.space)
  await scene.machine.stop()
})

test('what has gone is given back after a restart, too', async () => {
  const scene = await Scene.start()
  await scene.space.createTopic('b', bucketConfig, 'test')
  const bucket = new Bucket()
  for (let round = 0; round < 10; round++)
    await bucket.put(
      scene.space,
      Array.from({ length: 100 }, (_, index) => `b.${round}.${index}`),
    )
  for (const address of [...bucket.kept.keys()]) if (!address.endsWith('.5')) await bucket.remove(scene.space, address)
  await scene.restart()
  assert.ok(scene.bytes > 500_000, `${scene.bytes}`)
  await scene.pass(80)
  assert.ok(scene.bytes < 300_000, `${scene.bytes}`)
  await bucket.check(scene.space)
  await scene.machine.stop()
})

/** A client that has taken all there is of the queue and keeps what it likes. */
class Client {
  readonly sink = new RememberingSink()
  readonly #space: Space
  readonly #subscription: string

  constructor(space: Space, subscription = '') {
    this.#space = space
    this.#subscription = subscription
  }

  async take(count: number): Promise<void> {
    const spec = { topic: 'q', subscription: this.#subscription, autoSettle: false, name: 'c' }
    this.#consumer = this.#space.subscribe(spec, this.sink)
    this.#consumer.credit(1_000_000)
    await until(() => this.sink.got.length >= count, `${this.sink.got.length} of ${count} came`)
  }

  #consumer: ReturnType<Space['subscribe']> | null = null

  get offsets(): number[] {
    return this.sink.got.map(({ offset }) => offset)
  }

  acceptAll(but: (offset: number) => boolean): void {
    const ids = this.sink.got.filter(({ offset }) => !but(offset)).map(({ id }) => id)
    this.#consumer?.settle(ids, accept)
  }

  close(): void {
    this.#consumer?.close()
  }
}

async function fill(space: Space, count: number): Promise<void> {
  for (let done = 0; done < count; done += 50) {
    const items = Array.from({ length: Math.min(50, count - done) }, (_, index) =>
      plainItem('q', { value: `${done + index} ${padding}` }),
    )
    for (const item of await publish(space, ...items)) assert.equal(item.status, PublishStatus.Stored, item.errorMessage)
  }
}

/** Which values come to a new consumer, and where. */
async function rest(space: Space, count: number, subscription = ''): Promise<[number, string | undefined][]> {
  const client = new Client(space, subscription)
  await client.take(count)
  await turns(60)
  client.close()
  return client.sink.got.map(({ offset, record }) => [offset, record.value?.split(' ')[0]])
}

const kept = (offset: number): boolean => offset % 100 === 3

test('a queue with a few records that are stuck takes what these take', async () => {
  const scene = await Scene.start()
  await scene.space.createTopic('q', { retention: 'acknowledged', segmentBytes }, 'test')
  await fill(scene.space, 2000)
  const client = new Client(scene.space)
  await client.take(2000)
  assert.ok(scene.bytes > 1_500_000)
  client.acceptAll(kept)
  await scene.pass(90)
  assert.ok(scene.bytes < 300_000, `${scene.bytes} bytes for 20 records`)
  client.close()
  const expected = Array.from({ length: 20 }, (_, index) => [3 + 100 * index, String(3 + 100 * index)])
  assert.deepEqual(await rest(scene.space, 20), expected)
  await scene.crash()
  assert.deepEqual(await rest(scene.space, 20), expected)
  await scene.restart()
  assert.deepEqual(await rest(scene.space, 20), expected)
  const last = new Client(scene.space)
  await last.take(20)
  last.acceptAll(() => false)
  await scene.pass(70)
  assert.equal(scene.space.status('q')?.partitions[0]?.startOffset, 2000)
  await scene.machine.stop()
})

test('what one of two subscriptions has not acknowledged stays', async () => {
  const scene = await Scene.start()
  await scene.space.createTopic('q', { retention: 'acknowledged', segmentBytes }, 'test')
  scene.space
    .subscribe({ topic: 'q', subscription: 'other', autoSettle: false, name: 'o', startAt: 'oldest' }, new RememberingSink())
    .close()
  await fill(scene.space, 1000)
  const [one, other] = [new Client(scene.space), new Client(scene.space, 'other')]
  await one.take(1000)
  await other.take(1000)
  one.acceptAll(() => false)
  await scene.pass(80)
  assert.ok(scene.bytes > 900_000, 'all of it is kept for the other one')
  assert.deepEqual(scene.passes, [])
  other.acceptAll((offset) => kept(offset) || offset === 500)
  await scene.pass(80)
  assert.ok(scene.bytes < 300_000, `${scene.bytes}`)
  other.close()
  assert.deepEqual(
    (await rest(scene.space, 11, 'other')).map(([offset]) => offset),
    [3, 103, 203, 303, 403, 500, 503, 603, 703, 803, 903],
  )
  await scene.machine.stop()
})

test('a queue that is taken in order is never written anew', async () => {
  const scene = await Scene.start()
  await scene.space.createTopic('q', { retention: 'acknowledged', segmentBytes }, 'test')
  await fill(scene.space, 1500)
  const client = new Client(scene.space)
  await client.take(1500)
  for (let upTo = 100; upTo <= 1500; upTo += 100) {
    client.acceptAll((offset) => offset >= upTo || offset < upTo - 100)
    await scene.pass(15)
  }
  assert.deepEqual(scene.passes, [])
  await scene.machine.stop()
})

test('nothing is written anew while the disk is nearly full', async () => {
  let free = Infinity
  const scene = await Scene.start(1, { freeBytes: async () => free })
  await scene.space.createTopic('q', { retention: 'acknowledged', segmentBytes }, 'test')
  await fill(scene.space, 1000)
  const client = new Client(scene.space)
  await client.take(1000)
  free = 0
  await scene.pass(2)
  client.acceptAll(kept)
  await scene.pass(30)
  assert.deepEqual(scene.passes, [])
  free = Infinity
  await scene.pass(30)
  assert.ok(scene.passes.length > 0)
  await scene.machine.stop()
})

test('a batch keeps those of its records that are wanted', async () => {
  const scene = await Scene.start()
  await scene.space.createTopic('q', { retention: 'time', segmentBytes }, 'test')
  const batches = 200
  for (let batch = 0; batch < batches; batch++) {
    const records = Array.from({ length: 5 }, (_, index): PlainRecord => ({ key: 'k', value: `${batch * 5 + index} ${padding}` }))
    await publish(scene.space, plainBatchItem('q', records))
  }
  const gone = Array.from({ length: batches * 5 }, (_, offset) => offset).filter((offset) => offset > 0 && offset % 7 !== 0)
  await scene.space.removeRecords('q', 0, gone)
  const read = async (): Promise<[number, string | undefined][]> =>
    (await scene.space.peek('q', { limit: 10_000 })).map(({ offset, bytes }) => [
      offset,
      (JSON.parse(bytes.toString()) as PlainRecord).value?.split(' ')[0],
    ])
  const before = await read()
  assert.equal(before.length, Math.ceil((batches * 5) / 7))
  await scene.pass(90)
  const [pass] = scene.passes
  assert.ok(pass !== undefined && pass.bytesAfter < pass.bytesBefore / 4, JSON.stringify(pass))
  assert.deepEqual(await read(), before)
  await scene.crash()
  assert.deepEqual(await read(), before)
  await scene.machine.stop()
})

test('what a reader got who was moved back in the middle of a pass comes to it again', async () => {
  let again = 0
  for (let seed = 1; seed <= 20; seed++) {
    const scene = await Scene.start(seed)
    await scene.space.createTopic('q', { retention: 'acknowledged', segmentBytes }, 'test')
    await fill(scene.space, 1000)
    const client = new Client(scene.space)
    await client.take(1000)
    client.acceptAll(kept)
    client.close()
    scene.machine.clock.advance(1000)
    await turns(seed * 2)
    await scene.space.seek('q', '', 'oldest')
    const first = await rest(scene.space, 10)
    if (first.length > 10) again++
    await scene.pass(100)
    assert.deepEqual(await rest(scene.space, first.length), first, `seed ${seed}`)
    await scene.machine.stop()
  }
  assert.ok(again > 0, 'more than what nobody had acknowledged')
})

test('a damaged segment is told of and left as it is, and the others give back what is gone', async () => {
  const errors: object[] = []
  const passes: object[] = []
  const log: Logger = { debug() {}, warn() {}, error: (fields) => errors.push(fields), info: (fields) => passes.push(fields) }
  const scene = await Scene.start(1, { log })
  await scene.space.createTopic('q', { retention: 'acknowledged', segmentBytes }, 'test')
  await fill(scene.space, 2000)
  const client = new Client(scene.space)
  await client.take(2000)
  const before = scene.bytes
  const damagedFile = scene.files[2] as string
  const length = scene.machine.disk.sizeOf(damagedFile)
  scene.machine.disk.overwrite(damagedFile, 5000, Buffer.from('?'))
  client.acceptAll(kept)
  await scene.pass(20)
  assert.match(JSON.stringify(errors), /damaged at byte \d+/)
  errors.length = 0
  await scene.pass(400)
  assert.equal(scene.machine.disk.sizeOf(damagedFile), length)
  assert.ok(passes.length > 0)
  assert.ok(scene.bytes < length + before / 3, `${scene.bytes} of ${before}`)
  assert.deepEqual(errors, [], 'told once')
  await scene.machine.stop()
})

test('a crash at any point of a pass loses nothing of a bucket and brings nothing back', async (t) => {
  for (let seed = 1; seed <= 20; seed++) {
    await t.test(`seed ${seed}`, async () => {
      const random = new Random(seed)
      const scene = await Scene.start(seed, { checkpointBytes: 200_000 })
      await scene.space.createTopic('b', { ...bucketConfig, segmentBytes: 4096 << random.below(4) }, 'test')
      const bucket = new Bucket()
      const keys = 10 + random.below(100)
      for (let round = 0; round < 6; round++) {
        for (let count = random.below(12); count > 0; count--) {
          await bucket.put(
            scene.space,
            Array.from({ length: 1 + random.below(40) }, () => `b.${random.below(keys)}`),
          )
          await bucket.remove(scene.space, `b.${random.below(keys)}`)
          if (random.chance(0.3)) await scene.pass(11, random.below(60))
        }
        // Somewhere in the middle of whatever runs by then.
        await scene.pass(12, random.below(40))
        if (random.chance(0.2)) await scene.restart()
        else await scene.crash()
        await bucket.check(scene.space)
      }
      await scene.pass(100)
      await bucket.check(scene.space)
      await scene.restart()
      await bucket.check(scene.space)
      await scene.machine.stop()
    })
  }
})

test('a crash at any point of a pass loses nothing of a queue', async (t) => {
  for (let seed = 1; seed <= 20; seed++) {
    await t.test(`seed ${seed}`, async () => {
      const random = new Random(seed)
      const scene = await Scene.start(seed, { checkpointBytes: 200_000 })
      await scene.space.createTopic('q', { retention: 'acknowledged', segmentBytes: 4096 << random.below(4) }, 'test')
      let next = 0
      /** What nobody acknowledged, and what somebody did just before a crash, which may be forgotten. */
      const left = new Set<number>()
      const unsure = new Set<number>()
      for (let round = 0; round < 5; round++) {
        const count = 50 * (1 + random.below(8))
        await fill(scene.space, count)
        for (let offset = next; offset < next + count; offset++) left.add(offset)
        next += count
        const client = new Client(scene.space)
        await client.take(left.size)
        await turns(60)
        for (const offset of client.offsets) if (!left.has(offset)) assert.ok(unsure.has(offset), `${offset} came again`)
        for (const offset of left) assert.ok(client.offsets.includes(offset), `${offset} is lost`)
        unsure.clear()
        const share = 20 + random.below(100)
        const stays = (offset: number): boolean => left.has(offset) && offset % share === 3
        for (const offset of client.offsets) if (!stays(offset)) unsure.add(offset)
        client.acceptAll(stays)
        for (const offset of unsure) left.delete(offset)
        if (random.chance(0.7)) await scene.pass(12 + random.below(60), random.below(60))
        await turns(random.below(40))
        if (random.chance(0.2)) {
          await scene.restart()
          unsure.clear()
        } else await scene.crash()
      }
      await scene.machine.stop()
    })
  }
})

test('a topic deleted or truncated in the middle of a pass leaves nothing behind, and the pass ends', async () => {
  for (let seed = 1; seed <= 15; seed++) {
    const random = new Random(seed)
    const scene = await Scene.start(seed)
    await scene.space.createTopic('b', bucketConfig, 'test')
    const bucket = new Bucket()
    await bucket.put(
      scene.space,
      Array.from({ length: 600 }, (_, index) => `b.${index}`),
    )
    await scene.pass(3)
    for (const address of [...bucket.kept.keys()]) if (!address.endsWith('5')) await bucket.remove(scene.space, address)
    scene.machine.clock.advance(1000)
    await turns(random.below(60))
    if (random.chance(0.5)) {
      await scene.space.deleteTopic('b')
      await scene.pass(65)
      assert.deepEqual(scene.files, [], `seed ${seed}`)
    } else {
      const start = random.below(600)
      await scene.space.deleteRecordsBefore('b', 0, start)
      for (const [address, { offset }] of bucket.kept) if (offset < start) bucket.kept.delete(address)
      await scene.pass(80)
      await bucket.check(scene.space)
    }
    await scene.machine.stop()
  }
})
