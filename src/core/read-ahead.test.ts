/** What is in memory when somebody who reads a log in order asks for more. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { entryOf } from '../../test/support/entry.ts'
import { VirtualClock } from '../lib/timers.ts'
import { MemorySegments } from '../storage/memory/index.ts'
import { entryBase, entryCount, entryLength } from './entry.ts'
import { Log } from './log.ts'
import { ReadAhead } from './read-ahead.ts'

class CountingSegments extends MemorySegments {
  reads = 0
  override read(...call: Parameters<MemorySegments['read']>): void {
    this.reads++
    super.read(...call)
  }
}

const maxBytes = 1000
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

async function start(records = 40) {
  const store = new CountingSegments()
  const clock = new VirtualClock()
  const log = new Log(1, store, 1 << 20, false, () => undefined, new ReadAhead(clock, 1))
  for (let i = 0; i < records; i++) log.append(entryOf('x'.repeat(400)))
  log.commit(log.next)
  await new Promise<void>((resolve) => log.flush(log.next, null, () => resolve()))
  for (const block of [...log.blocks]) log.evict(block)
  return { store, clock, log }
}

/** The offset behind what was read, and whether it was there without a read. */
async function read(log: Log, offset: number): Promise<{ next: number; atOnce: boolean }> {
  let next = -1
  let answered: (() => void) | undefined
  const answer = new Promise<void>((resolve) => {
    answered = resolve
  })
  log.readChunk(offset, maxBytes, (error, buffer, from, end) => {
    assert.equal(error, null)
    assert.equal(entryBase(buffer, from), offset)
    for (let at = from; at < end; at += entryLength(buffer, at)) next = entryBase(buffer, at) + entryCount(buffer, at)
    answered?.()
  })
  assert.equal(next, -1, 'never within the call')
  await Promise.resolve()
  const atOnce = next >= 0
  await answer
  return { next, atOnce }
}

test('from the second read on, the next stretch is there when it is asked for', async () => {
  const { log, store } = await start()
  let { next } = await read(log, 0)
  for (let times = 0; times < 10; times++) {
    await turn()
    const found = await read(log, next)
    assert.equal(found.atOnce, true)
    next = found.next
  }
  assert.equal(store.reads, 12, 'one for each stretch, and the one that is ahead')
})

test('who asks before it is there waits for the same read', async () => {
  const { log, store } = await start()
  const { next } = await read(log, 0)
  const second = await read(log, next)
  assert.equal(second.atOnce, false)
  assert.equal(store.reads, 3)
})

test('who reads here and there costs no more than he asks for', async () => {
  const { log, store } = await start()
  for (const offset of [20, 7, 30, 11]) await read(log, offset)
  await turn()
  assert.equal(store.reads, 4)
})

test('what nobody asks for is let go after a while', async () => {
  const { log, store, clock } = await start()
  const { next } = await read(log, 0)
  await turn()
  assert.equal(store.reads, 2)
  clock.advance(5000)
  assert.equal((await read(log, next)).atOnce, false)
})

test('what was truncated since it was read ahead is not given', async () => {
  const { log } = await start()
  const { next } = await read(log, 0)
  await turn()
  log.truncateFront(log.next)
  let found = -1
  log.readChunk(next, maxBytes, (_, __, from, end) => {
    found = end - from
  })
  assert.equal(found, 0)
})
