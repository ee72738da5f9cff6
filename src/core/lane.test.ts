/** A lane against a plain list, over a log whose older entries stand in segments that answer when the test says so. */
import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { entryOf } from '../../test/support/entry.ts'
import { MemorySegments } from '../storage/memory/index.ts'
import { Lane, type Slot } from './lane.ts'
import { Log } from './log.ts'

/** Segments whose reads wait for {@link answer}. */
class SlowSegments extends MemorySegments {
  #waiting: (() => void)[] = []
  override read(...[log, base, position, into, done]: Parameters<MemorySegments['read']>): void {
    super.read(log, base, position, into, (error, bytes) => this.#waiting.push(() => done(error, bytes)))
  }
  async answer(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
    for (const run of this.#waiting.splice(0)) run()
  }
}

function append(log: Log, text: string): void {
  log.append(entryOf(text))
  log.commit(log.next)
}

/** A log of `count` entries, the first `inSegments` of which have left memory. */
async function logOf(segments: SlowSegments, count: number, inSegments: number): Promise<Log> {
  const log = new Log(1, segments, 1 << 20, false, () => undefined)
  const fill = (until: number): void => {
    while (log.next < until) append(log, `${log.next}`)
  }
  fill(inSegments)
  await new Promise<void>((resolve, reject) =>
    log.flush(inSegments, null, (error) => (error === null ? resolve() : reject(error))),
  )
  for (const block of [...log.blocks]) log.evict(block)
  fill(count)
  return log
}

const textOf = (slot: Slot): string => slot.buffer.toString('latin1', slot.start, slot.end)

async function next(lane: Lane, segments: SlowSegments): Promise<number | null> {
  for (;;) {
    const slot = lane.peek()
    if (slot !== null) {
      assert.equal(textOf(slot), String(slot.offset))
      lane.consume(slot)
      return slot.offset
    }
    if (!lane.reading) return null
    await segments.answer()
  }
}

test('what comes back while another one is being read again goes first, and neither is lost nor given twice', async () => {
  const segments = new SlowSegments()
  const lane = new Lane(0, await logOf(segments, 4, 4), 0, () => undefined)
  assert.deepEqual([await next(lane, segments), await next(lane, segments)], [0, 1])
  lane.giveBack(1)
  assert.equal(lane.peek(), null)
  assert.equal(lane.reading, true)
  lane.giveBack(0)
  const order: (number | null)[] = []
  for (let count = 0; count < 5; count++) order.push(await next(lane, segments))
  assert.deepEqual(order, [0, 1, 2, 3, null])
})

test('moving back while reading ahead marks nothing as done', async () => {
  const segments = new SlowSegments()
  const lane = new Lane(0, await logOf(segments, 6, 6), 4, () => undefined)
  assert.equal(lane.peek(), null)
  lane.acked.floor = 0
  lane.moveTo(0)
  const order: (number | null)[] = []
  for (let count = 0; count < 7; count++) order.push(await next(lane, segments))
  assert.deepEqual(order, [0, 1, 2, 3, 4, 5, null])
})

test('a lane gives what is ready in order, what came back first, each once', async () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constantFrom('take', 'take', 'take', 'append', 'answer'), index: fc.constant(0) }),
    fc.record({ kind: fc.constantFrom('back', 'done'), index: fc.nat(20) }),
    fc.record({ kind: fc.constant('move'), index: fc.nat(30) }),
  )
  await fc.assert(
    fc.asyncProperty(
      fc.nat(8),
      fc.integer({ min: 2, max: 12 }),
      fc.array(step, { minLength: 10, maxLength: 60, size: 'max' }),
      async (count, inSegments, steps) => {
        const segments = new SlowSegments()
        const log = await logOf(segments, Math.max(count, inSegments), inSegments)
        const lane = new Lane(0, log, 0, () => undefined)
        let ready = Array.from({ length: log.next }, (_, offset) => offset)
        let held: number[] = []
        for (const { kind, index } of steps) {
          const one = held[index % Math.max(1, held.length)]
          if (kind === 'append') {
            ready.push(log.next)
            append(log, `${log.next}`)
          }
          if (kind === 'answer') await segments.answer()
          if (kind === 'take') {
            const offset = await next(lane, segments)
            assert.equal(offset, ready[0] ?? null)
            if (offset === null) continue
            ready.shift()
            held.push(offset)
            lane.inFlight++
          }
          if (kind === 'back' && one !== undefined) {
            held = held.filter((each) => each !== one)
            lane.inFlight--
            lane.giveBack(one)
            ready = [...ready, one].sort((a, b) => a - b)
            // The read ahead may begin now and end later.
            if (lane.peek() !== null) assert.equal(lane.peek()?.offset, ready[0])
          }
          if (kind === 'done' && one !== undefined) {
            held = held.filter((each) => each !== one)
            lane.inFlight--
            lane.acked.add(one)
          }
          if (kind === 'move' && held.length === 0) {
            const to = Math.min(index, log.next)
            lane.acked.raiseTo(to)
            if (to > lane.cursor) lane.moveTo(to)
            ready = ready.filter((offset) => offset >= to)
          }
          assert.equal(lane.ready, ready.length)
        }
        for (const offset of [...ready, null]) assert.equal(await next(lane, segments), offset)
      },
    ),
    { numRuns: 200 },
  )
})
