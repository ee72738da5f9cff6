/** The journal of streams is written anew when it has grown, while changes go on. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Machine } from '../../../test/support/machine.ts'
import type { StreamChange } from './stream-change.ts'
import { StreamJournal } from './stream-journal.ts'

const topic = 'aa'

test('what is written anew is written in pieces, what comes in between is kept, and what led there goes', async () => {
  const machine = new Machine()
  let broker = await machine.start()
  const state = new Map<number, number>()
  let asked = 0
  function* all(): IterableIterator<readonly [string, StreamChange]> {
    yield [topic, { kind: 'group', group: 'g', lastId: '0-0', entriesRead: 0 }]
    for (const [seq, count] of state) {
      asked++
      yield [topic, { kind: 'pending', group: 'g', entries: [[{ ms: 1, seq }, 'c', 1, count]] }]
    }
  }
  const journal = new StreamJournal(broker, all, 500_000)
  const put = (seq: number, count: number): void => {
    state.set(seq, count)
    journal.append(topic, { kind: 'pending', group: 'g', entries: [[{ ms: 1, seq }, 'c', 1, count]] })
    journal.store()
  }
  const own = broker.journal('redis.streams')
  while (asked === 0) put(state.size, 1)
  assert.ok(asked < state.size, `${asked} of ${state.size} at once`)
  const before = own.next
  // Behind the first piece, and before it.
  put(state.size - 1, 7)
  put(0, 9)
  for (let turn = 0; own.start === 0; turn++) {
    assert.ok(turn < 1000, 'it ends')
    await new Promise<void>((resolve) => own.whenDurable(() => resolve()))
    await new Promise((resolve) => setImmediate(resolve))
  }
  assert.ok(own.start < before)
  assert.equal(asked, state.size)
  broker = await machine.crash()
  const found = new Map<number, number>()
  await new StreamJournal(broker, all).load((_, change) => {
    if (change.kind === 'pending') for (const [{ seq }, , , count] of change.entries) found.set(Number(seq), count)
  })
  assert.deepEqual(found, state)
  await machine.stop()
})
