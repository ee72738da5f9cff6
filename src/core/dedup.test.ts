/** Sequences of idempotent producers, against a plain list of all that was stored. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ProducerWindow } from './dedup.ts'

const sequenceLimit = 2 ** 31

interface Stored {
  readonly epoch: number
  readonly sequence: number
  readonly count: number
  readonly offset: number
}

/** What a partition says to an entry, told from all that it ever stored of the producer. */
function expected(stored: readonly Stored[], epoch: number, sequence: number, count: number): string | number {
  const last = stored.at(-1)
  if (last === undefined) return 'ok'
  if (epoch < last.epoch) return 'fenced'
  if (epoch > last.epoch) return sequence === 0 ? 'ok' : 'outOfOrder'
  const repeated = stored.slice(-5).find((each) => each.epoch === epoch && each.sequence === sequence && each.count === count)
  if (repeated !== undefined) return repeated.offset
  return sequence === (last.sequence + last.count) % sequenceLimit ? 'ok' : 'outOfOrder'
}

const step = fc.record({
  /** How far from the sequence that is next; 0 is right. */
  off: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.integer({ min: -40, max: 3 }) }),
  repeat: fc.oneof({ weight: 3, arbitrary: fc.constant(-1) }, { weight: 1, arbitrary: fc.integer({ min: 0, max: 7 }) }),
  epochs: fc.oneof({ weight: 8, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.integer({ min: -1, max: 1 }) }),
  count: fc.integer({ min: 1, max: 9 }),
})

test('repetitions of the last five entries, gaps, fences and the end of the numbers are told as they are', () => {
  fc.assert(
    fc.property(fc.constantFrom(0, sequenceLimit - 20, 77), fc.array(step, { maxLength: 60 }), (from, steps) => {
      let producers = new ProducerWindow()
      const stored: Stored[] = []
      let epoch = 5
      let next = from
      let offset = 0
      for (const [index, { off, repeat, epochs, count }] of steps.entries()) {
        const again = repeat < 0 ? undefined : stored.at(-1 - repeat)
        const entry =
          again ??
          (epochs === 0
            ? { epoch, sequence: (next + off + sequenceLimit) % sequenceLimit, count }
            : { epoch: epoch + epochs, sequence: off === 0 ? 0 : 3, count })
        const told = producers.check(1, entry.epoch, entry.sequence, entry.count)
        const want = expected(stored, entry.epoch, entry.sequence, entry.count)
        assert.deepEqual(typeof told === 'string' ? told : told.baseOffset, want)
        if (want === 'ok') {
          producers.note(1, entry.epoch, entry.sequence, entry.count, offset, 0)
          stored.push({ ...entry, offset })
          epoch = entry.epoch
          next = (entry.sequence + entry.count) % sequenceLimit
          offset += entry.count
        }
        if (index % 7 === 6) {
          // Through a checkpoint, with what it holds replayed over it.
          const restored = new ProducerWindow()
          restored.load(JSON.parse(JSON.stringify(producers)))
          for (const each of stored.slice(-8)) restored.note(1, each.epoch, each.sequence, each.count, each.offset, 0)
          producers = restored
        }
      }
    }),
  )
})

test('a producer nobody knows goes on from anywhere, unless it has to begin with 0', () => {
  const producers = new ProducerWindow()
  assert.equal(producers.check(1, 0, 17, 1), 'ok')
  assert.equal(producers.check(1, 0, 17, 1, true), 'outOfOrder')
  assert.equal(producers.check(1, 0, 0, 1, true), 'ok')
})

test('after the end of its transaction a producer begins with 0 in the new epoch, and goes on in the same one', () => {
  const producers = new ProducerWindow()
  producers.note(1, 0, 0, 3, 0, 0)
  producers.note(1, 0, -1, 1, 3, 0)
  assert.equal(producers.check(1, 0, 3, 1), 'ok')
  producers.note(1, 1, -1, 1, 4, 0)
  assert.equal(producers.check(1, 0, 3, 1), 'fenced')
  assert.equal(producers.check(1, 1, 3, 1), 'outOfOrder')
  assert.equal(producers.check(1, 1, 0, 1), 'ok')
})
