/** The list of pending entries against a plain model of it, and what it keeps of millions. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { compareIds, idText, parseId, type StreamId, u64Max } from './stream-id.ts'
import { type Consumer, PendingList } from './stream-pending.ts'

const consumerOf = (name: string): Consumer => ({ name, seenAt: 0, activeAt: 0, pending: 0 })

test('it is a map in the order of ids, whatever is done to it', () => {
  const id = fc.oneof(
    fc.record({ ms: fc.nat(40), seq: fc.nat(40) }),
    fc.constantFrom<StreamId>({ ms: 7, seq: u64Max }, { ms: u64Max, seq: 3 }, { ms: u64Max, seq: u64Max }),
  )
  const step = fc.record({ kind: fc.constantFrom('set', 'set', 'remove', 'walk'), id, by: fc.nat(1), count: fc.nat(9) })
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 1500, size: 'max' }), (steps) => {
      const list = new PendingList()
      const consumers = [consumerOf('a'), consumerOf('b')]
      const model = new Map<string, [name: string, count: number]>()
      const ordered = () => [...model].sort(([a], [b]) => compareIds(parseId(a), parseId(b)))
      for (const { kind, id: at, by, count } of steps) {
        const key = idText(at)
        if (kind === 'set') {
          list.set(at, consumers[by] as Consumer, 5, count)
          model.set(key, [by === 0 ? 'a' : 'b', count])
        } else if (kind === 'remove') assert.equal(list.remove(at), model.delete(key))
        else {
          const [first] = list.from(at)
          const expected = ordered().find(([each]) => compareIds(parseId(each), at) >= 0)
          assert.deepEqual(first === undefined ? undefined : [idText(first.id), [first.consumer.name, first.count]], expected)
        }
        assert.equal(list.has(at), model.has(key))
      }
      const all = [...list.from({ ms: 0, seq: 0 })].map(({ id: each, consumer, count }) => [idText(each), [consumer.name, count]])
      assert.deepEqual(all, ordered())
      assert.equal(list.size, model.size)
      assert.equal(list.first === null ? undefined : idText(list.first), ordered()[0]?.[0])
      assert.equal(list.last === null ? undefined : idText(list.last), ordered().at(-1)?.[0])
      for (const { name, pending } of consumers)
        assert.equal(pending, [...model.values()].filter(([owner]) => owner === name).length)
    }),
    { numRuns: 15 },
  )
})

test('what comes and goes while it is walked through is met as it is then', () => {
  const list = new PendingList()
  const consumer = consumerOf('c')
  for (let seq = 0; seq < 2000; seq++) list.set({ ms: 1, seq }, consumer, 0, 1)
  const met: number[] = []
  for (const { id } of list.from({ ms: 1, seq: 0 })) {
    met.push(Number(id.seq))
    list.remove(id)
    if (id.seq === 10) for (let seq = 11; seq < 1990; seq++) list.remove({ ms: 1, seq })
    if (id.seq === 1999) list.set({ ms: 2, seq: 5 }, consumer, 0, 1)
  }
  assert.deepEqual(met, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1990, 1991, 1992, 1993, 1994, 1995, 1996, 1997, 1998, 1999, 5])
  assert.equal(list.size, 0)
  assert.equal(consumer.pending, 0)
})

test('an entry takes 64 bytes at most', () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const list = new PendingList()
  const consumer = consumerOf('c')
  const count = 200_000
  collect()
  const before = process.memoryUsage().heapUsed
  for (let seq = 0; seq < count; seq++)
    list.set({ ms: 1_700_000_000_000 + (seq >> 3), seq: seq & 7 }, consumer, 1_700_000_000_000, 1)
  collect()
  const each = (process.memoryUsage().heapUsed - before) / count
  assert.equal(list.size, count)
  assert.ok(each < 64, `${each} bytes an entry`)
})
