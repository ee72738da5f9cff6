/** What is kept of a log, counted, against a look at each offset. */
import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { entryOf } from '../../test/support/entry.ts'
import { MemorySegments } from '../storage/memory/index.ts'
import { AckSet } from './ackset.ts'
import { Kept } from './kept.ts'
import { Log } from './log.ts'

const size = 9000
const ranges = fc.array(fc.tuple(fc.nat(size), fc.constantFrom(1, 5, 64, 4096, 5000)), { maxLength: 8 })

const logOf = (): Log => {
  const log = new Log(1, new MemorySegments(), 4096, false, () => undefined)
  log.append(entryOf('x', { count: size }))
  return log
}

function done(from: number, picks: readonly (readonly [number, number])[]): AckSet {
  const set = new AckSet(from)
  for (const [offset, count] of picks) for (let at = offset; at < Math.min(size, offset + count); at++) set.add(at)
  return set
}

test('counts what was not removed and what not every reader is done with', () => {
  const readers = fc.option(fc.array(fc.tuple(fc.nat(size), ranges), { maxLength: 3 }), { nil: null })
  const cursor = fc.oneof(fc.constant(Infinity), fc.nat(size))
  fc.assert(
    fc.property(readers, ranges, cursor, fc.nat(size), fc.nat(size), fc.nat(size), (read, removed, cursorFloor, start, a, b) => {
      const log = logOf()
      for (const [offset, count] of removed) for (let at = offset; at < offset + count; at++) log.remove(at)
      log.truncateFront(start)
      const sets = read?.map(([floor, picks]) => done(floor, picks)) ?? null
      const kept = new Kept(log, sets, cursorFloor)
      const asked = sets !== null && sets.length > 0
      const isKept = (at: number): boolean =>
        at >= start && !log.isRemoved(at) && !(asked && at < cursorFloor && sets.every((set) => set.has(at)))
      const [from, to] = [Math.min(a, b), Math.max(a, b)]
      let count = 0
      for (let at = from; at < to; at++) if (isKept(at)) count++
      assert.equal(kept.count(from, to), count)
      assert.equal(kept.count(from, from + 1), isKept(from) ? 1 : 0)
    }),
    { numRuns: 60 },
  )
})

test('tells when a reader has come, or gone back, so that what was not wanted may be', () => {
  const log = logOf()
  const [one, other] = [done(0, [[0, 500]]), done(0, [[0, 400]])]
  const before = new Kept(log, [one, other], 300)
  const follows = (readers: readonly AckSet[] | null, cursorFloor: number, end = 400): boolean =>
    new Kept(log, readers, cursorFloor).follows(before, end)
  assert.equal(follows([one, other], 300), true)
  assert.equal(follows([one], 350), true, 'one has left')
  assert.equal(follows([one, other, new AckSet(400)], 300), true, 'one that reads from there on has come')
  assert.equal(follows([one, other, new AckSet(399)], 300), false, 'one that reads from before has come')
  assert.equal(follows([one, new AckSet(0)], 300), false, 'one was moved back')
  assert.equal(follows([one, other], 299), false, 'a cursor was moved back')
  assert.equal(follows([one, other], 299, 200), true, 'but not to where it matters')
  assert.equal(follows(null, Infinity), false, 'it is kept by time now')
  assert.equal(follows([], Infinity), false, 'nobody reads it')
})
