/** Decisions against a plain model that keeps every entry. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Decisions } from './decisions.ts'

interface Entry {
  readonly producer: number
  readonly base: number
  readonly next: number
  state: 'open' | 'plain' | 'committed' | 'aborted' | 'marker'
  /** Of the marker that decided it. */
  decidedAt: number
}

const step = fc.oneof(
  fc.record({
    kind: fc.constant('store' as const),
    producer: fc.integer({ min: 1, max: 3 }),
    count: fc.integer({ min: 1, max: 4 }),
  }),
  fc.record({ kind: fc.constant('plain' as const), count: fc.integer({ min: 1, max: 4 }) }),
  fc.record({ kind: fc.constant('mark' as const), producer: fc.integer({ min: 1, max: 3 }), commit: fc.boolean() }),
  fc.record({ kind: fc.constant('durable' as const), back: fc.integer({ min: 0, max: 6 }) }),
  fc.record({ kind: fc.constant('store again' as const) }),
)

test('stable, hidden and aborted are what a list of all entries says', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      let decisions = new Decisions()
      const entries: Entry[] = []
      let next = 0
      let durable = 0
      for (const each of steps) {
        if (each.kind === 'store') {
          decisions.stored(each.producer, next, next + each.count)
          entries.push({ producer: each.producer, base: next, next: next + each.count, state: 'open', decidedAt: Infinity })
          next += each.count
        } else if (each.kind === 'plain') {
          entries.push({ producer: 0, base: next, next: next + each.count, state: 'plain', decidedAt: -1 })
          next += each.count
        } else if (each.kind === 'mark') {
          decisions.marked(each.producer, next, each.commit)
          for (const entry of entries) {
            if (entry.producer !== each.producer || entry.state !== 'open') continue
            entry.state = each.commit ? 'committed' : 'aborted'
            entry.decidedAt = next
          }
          entries.push({ producer: each.producer, base: next, next: next + 1, state: 'marker', decidedAt: next })
          next++
        } else if (each.kind === 'durable') {
          durable = Math.max(durable, next - each.back)
          decisions.settle(durable)
        } else {
          // A checkpoint, and the log replayed over it from its beginning.
          decisions = Decisions.from(JSON.parse(JSON.stringify(decisions)))
          for (const { state, producer, base, next: end } of entries) {
            if (state === 'marker') decisions.marked(producer, base, true)
            else if (state !== 'plain') decisions.stored(producer, base, end)
          }
        }
        const undecided = entries.filter(
          (entry) => entry.state !== 'marker' && entry.state !== 'plain' && entry.decidedAt >= durable,
        )
        assert.equal(decisions.firstUndecided, undecided[0]?.base ?? Infinity)
        for (const { base, next: end, state, decidedAt } of entries) {
          const hidden = (state === 'aborted' || state === 'marker') && decidedAt < durable
          for (let offset = base; offset < end; offset++) assert.equal(decisions.hides(offset), hidden, `offset ${offset}`)
        }
        const aborted = entries.filter((entry) => entry.state === 'aborted' && entry.decidedAt < durable)
        const transactions = new Set(aborted.map(({ producer, decidedAt }) => `${producer} until ${decidedAt}`))
        const all = decisions.abortedBetween(0, next)
        for (const [from, to] of [
          [next >> 2, next >> 1],
          [next >> 1, next],
          [next >> 1, (next >> 1) + 1],
        ] as const) {
          const within = all.filter(({ first, last }) => last >= from && first < to)
          assert.deepEqual(decisions.abortedBetween(from, to), within, `between ${from} and ${to}`)
        }
        const found = all.map(({ producerId, last }) => `${producerId} until ${last}`)
        assert.deepEqual(new Set(found), transactions)
      }
    }),
  )
})

test('what was aborted is found by the range it lies in', () => {
  const decisions = new Decisions()
  decisions.stored(7, 10, 12)
  decisions.stored(8, 12, 13)
  decisions.stored(7, 13, 15)
  assert.equal(decisions.openSince(7), 10)
  decisions.marked(7, 15, false)
  assert.equal(decisions.firstUndecided, 10, 'the marker is not durable yet')
  decisions.settle(16)
  assert.equal(decisions.firstUndecided, 12)
  assert.deepEqual(decisions.abortedBetween(0, 100), [{ producerId: 7, first: 10, last: 15 }])
  assert.deepEqual(decisions.abortedBetween(16, 100), [])
  assert.deepEqual(decisions.abortedBetween(0, 10), [])
  assert.deepEqual(
    [9, 10, 11, 12, 13, 14, 15, 16].map((offset) => decisions.hides(offset)),
    [false, true, true, false, true, true, true, false],
  )
  decisions.truncate(16)
  assert.deepEqual(decisions.abortedBetween(0, 100), [])
})
