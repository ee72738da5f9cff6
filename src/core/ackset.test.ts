import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { AckSet, chunkBits, chunkWords, onesBetween } from './ackset.ts'

/** The same, slowly: every offset that is done, in a set. */
class Model {
  floor: number
  readonly done = new Set<number>()

  constructor(floor: number) {
    this.floor = floor
  }

  has(offset: number): boolean {
    return offset < this.floor || this.done.has(offset)
  }

  add(offset: number): boolean {
    if (this.has(offset)) return false
    this.done.add(offset)
    this.#raise()
    return true
  }

  raiseTo(offset: number): void {
    if (offset > this.floor) this.floor = offset
    this.#raise()
  }

  nextMissing(offset: number): number {
    let at = offset < this.floor ? this.floor : offset
    while (this.done.has(at)) at++
    return at
  }

  previousMissing(offset: number): number {
    let at = offset
    while (at >= this.floor && this.done.has(at)) at--
    return at < this.floor ? -1 : at
  }

  gapsIn(from: number, to: number): number {
    let count = 0
    for (let at = from; at < to; at++) if (!this.has(at)) count++
    return count
  }

  get above(): number {
    let count = 0
    for (const offset of this.done) if (offset >= this.floor) count++
    return count
  }

  #raise(): void {
    while (this.done.has(this.floor)) this.floor++
  }
}

type Step =
  | { kind: 'add'; offset: number }
  | { kind: 'addRange'; from: number; count: number }
  | { kind: 'raise'; offset: number }
  | { kind: 'store' }

/** Mostly near the edges of the bitmaps, which are 4096 wide. */
const offsets = fc.oneof(
  fc.nat(20_000),
  fc.tuple(fc.constantFrom(0, 4096, 8192, 12_288), fc.integer({ min: -3, max: 3 })).map(([edge, by]) => Math.max(0, edge + by)),
)
const steps = fc.oneof(
  { weight: 5, arbitrary: offsets.map((offset): Step => ({ kind: 'add', offset })) },
  {
    weight: 4,
    arbitrary: fc
      .tuple(offsets, fc.constantFrom(1, 2, 40, 4095, 4096, 4097, 9000))
      .map(([from, count]): Step => ({ kind: 'addRange', from, count })),
  },
  { weight: 2, arbitrary: offsets.map((offset): Step => ({ kind: 'raise', offset })) },
  { weight: 1, arbitrary: fc.constant<Step>({ kind: 'store' }) },
)

function assertSame(set: AckSet, model: Model, probes: readonly number[]): void {
  assert.equal(set.floor, model.floor)
  assert.equal(set.above, model.above)
  for (const at of probes) {
    assert.equal(set.has(at), model.has(at), `has ${at}`)
    assert.equal(set.nextMissing(at), model.nextMissing(at), `next missing from ${at}`)
    assert.equal(set.previousMissing(at), model.previousMissing(at), `previous missing from ${at}`)
    const index = Math.floor(at / chunkBits)
    const gaps = new Uint32Array(chunkWords)
    set.addGaps(index, gaps)
    assert.equal(onesBetween(gaps, at % chunkBits, chunkBits), model.gapsIn(at, (index + 1) * chunkBits), `gaps from ${at}`)
    assert.equal(set.covers(at, at + 5), model.nextMissing(at) >= at + 5, `covers ${at}`)
  }
}

const stored = (set: AckSet): AckSet => AckSet.from(JSON.parse(JSON.stringify(set)) as ReturnType<AckSet['toJSON']>)

test('is the set of the offsets it was told, whatever the order and through storing', () => {
  fc.assert(
    fc.property(
      offsets,
      fc.array(steps, { maxLength: 25 }),
      fc.array(offsets, { minLength: 1, maxLength: 10 }),
      (floor, script, probes) => {
        let set = new AckSet(floor)
        const model = new Model(floor)
        for (const step of script) {
          if (step.kind === 'add') assert.equal(set.add(step.offset), model.add(step.offset))
          else if (step.kind === 'raise') {
            set.raiseTo(step.offset)
            model.raiseTo(step.offset)
          } else if (step.kind === 'addRange') {
            for (let offset = step.from; offset < step.from + step.count; offset++) {
              if (set.add(offset) !== model.add(offset)) assert.fail(`${offset} was new to one of the two only`)
            }
          } else set = stored(set)
          assertSame(set, model, probes)
        }
        assertSame(stored(set), model, probes)
      },
    ),
    { numRuns: 150 },
  )
})

test('keeps a million records done behind a stuck one in a few hundred bytes, and lets go of them at once', () => {
  const set = new AckSet(7)
  for (let offset = 8; offset < 1_000_000; offset++) set.add(offset)
  assert.equal(set.floor, 7)
  assert.equal(set.above, 1_000_000 - 8)
  // Two bitmaps are partial: the one with the stuck record, and the newest.
  assert.ok(JSON.stringify(set).length < 8_000)
  assert.equal(set.nextMissing(8), 1_000_000)
  set.add(7)
  assert.deepEqual(set.toJSON(), { floor: 1_000_000, chunks: [] })
  assert.equal(set.above, 0)
})

test('keeps what is done above a floor that is raised into the middle of a full bitmap', () => {
  const set = new AckSet(0)
  for (let offset = 4096; offset < 8192; offset++) set.add(offset)
  set.raiseTo(5000)
  assert.equal(set.floor, 8192)
  assert.equal(set.above, 0)
  assert.equal(set.add(8191), false)
  assert.equal(set.add(8192), true)
})

test('keeps what is gone around a few records in what these few take, however much is gone', () => {
  const set = new AckSet(0)
  const kept = [3, 3_000_000, 3_000_001, 5_000_000]
  for (let offset = 0; offset < 6_000_000; offset++) if (!kept.includes(offset)) set.add(offset)
  for (const offset of kept) assert.equal(set.nextMissing(offset), offset)
  assert.equal(set.nextMissing(4), 3_000_000)
  assert.equal(set.previousMissing(2_999_999), 3)
  assert.ok(JSON.stringify(set).length < 1200, 'four bitmaps, three of them as lists, and what is between')
  assert.equal(AckSet.from(JSON.parse(JSON.stringify(set))).nextMissing(3_000_002), 5_000_000)
})

test('reads sets as they were stored before full bitmaps were joined', () => {
  const set = AckSet.from({
    floor: 5,
    chunks: [
      [1, ''],
      [2, ''],
      [4, ''],
    ],
  })
  assert.equal(set.above, 3 * chunkBits)
  assert.equal(set.nextMissing(chunkBits), 3 * chunkBits)
  assert.deepEqual(set.toJSON(), { floor: 5, chunks: [], full: [1, 3, 4, 5] })
})
