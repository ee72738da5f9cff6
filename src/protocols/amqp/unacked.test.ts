// The table of unacknowledged deliveries against a plain map, under random operations.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Unacked } from './unacked.ts'

const owner = { name: 'owner' }

test('random adds, skips and acknowledgements agree with a map', () => {
  const operation = fc.oneof(
    { weight: 6, arbitrary: fc.constant({ kind: 'add' as const, amount: 0 }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('burst' as const), amount: fc.integer({ min: 1, max: 700 }) }) },
    { weight: 2, arbitrary: fc.constant({ kind: 'skip' as const, amount: 0 }) },
    { weight: 5, arbitrary: fc.record({ kind: fc.constant('take' as const), amount: fc.nat() }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('through' as const), amount: fc.nat() }) },
  )
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 200 }), (operations) => {
      const unacked = new Unacked<typeof owner>()
      const model = new Map<number, number>()
      const add = (): void => {
        const handle = unacked.nextTag * 3
        model.set(unacked.add(owner, handle, 0), handle)
      }
      for (const { kind, amount } of operations) {
        if (kind === 'add') add()
        else if (kind === 'burst') for (let i = 0; i < amount; i++) add()
        else if (kind === 'skip') unacked.skip()
        else {
          const tag = 1 + (amount % unacked.nextTag)
          assert.equal(unacked.has(tag), model.has(tag))
          const taken: [number, number][] = []
          const each = (_owner: typeof owner, handle: number, at: number): void => {
            taken.push([at, handle])
          }
          if (kind === 'take') assert.equal(unacked.take(tag, each), model.has(tag))
          else unacked.takeThrough(tag, each)
          const expected = [...model].filter(([at]) => (kind === 'take' ? at === tag : at <= tag))
          assert.deepEqual(taken, expected)
          for (const [at] of expected) model.delete(at)
        }
        assert.equal(unacked.count, model.size)
      }
    }),
  )
})

test('one delivery left unacknowledged does not make the table grow with all that came after', () => {
  const unacked = new Unacked<typeof owner>()
  unacked.add(owner, 1, 0)
  for (let i = 0; i < 200_000; i++) unacked.take(unacked.add(owner, i, 0), () => {})
  assert.equal(unacked.count, 1)
  assert.ok(unacked.take(1, (_owner, handle) => assert.equal(handle, 1)))
  assert.equal(unacked.count, 0)
})
