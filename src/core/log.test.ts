/** A log against a plain array of what was appended: whatever is in memory, in segments, freed or not durable yet. */
import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { entryOf } from '../../test/support/entry.ts'
import { VirtualClock } from '../lib/timers.ts'
import { MemorySegments } from '../storage/memory/index.ts'
import { entryBase, entryCount, entryIsWhole, entryLength, entryPayload } from './entry.ts'
import { Log } from './log.ts'
import { ReadAhead } from './read-ahead.ts'

interface Kept {
  readonly base: number
  readonly count: number
  readonly text: string
}

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('append' as const), a: fc.integer({ min: 1, max: 4 }), b: fc.nat(3000) }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('commit' as const), a: fc.constant(0), b: fc.constant(0) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('flush' as const), a: fc.nat(200), b: fc.constant(0) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('evict' as const), a: fc.constant(0), b: fc.constant(0) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('truncate' as const), a: fc.nat(200), b: fc.constant(0) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('read' as const), a: fc.nat(200), b: fc.nat(5000) }) },
)

function read(log: Log, offset: number, maxBytes: number): Promise<Kept[]> {
  return new Promise((resolve, reject) => {
    log.readChunk(offset, maxBytes, (error, buffer, start, end) => {
      if (error !== null) return reject(error)
      const found: Kept[] = []
      for (let at = start; at < end; at += entryLength(buffer, at)) {
        assert.ok(entryIsWhole(buffer, at, at + entryLength(buffer, at)))
        const text = buffer.toString('latin1', entryPayload(buffer, at), at + entryLength(buffer, at))
        found.push({ base: entryBase(buffer, at), count: entryCount(buffer, at), text })
      }
      resolve(found)
    })
  })
}

test('what is committed and not truncated is read from any offset on, and nothing else', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 80, size: 'max' }), async (steps) => {
      const log = new Log(1, new MemorySegments(), 8 * 1024, false, () => undefined, new ReadAhead(new VirtualClock(), 1))
      let all: Kept[] = []
      const check = async (offset: number, maxBytes: number): Promise<void> => {
        const found = await read(log, offset, maxBytes)
        const from = Math.max(offset, log.start)
        const wanted = all.filter(({ base, count }) => base + count > from && base + count <= log.committed)
        assert.deepEqual(found, wanted.slice(0, found.length))
        assert.equal(found.length > 0, wanted.length > 0, `something from ${offset} on`)
      }
      for (const { kind, a, b } of steps) {
        if (kind === 'append') {
          const text = `${log.next}:${'x'.repeat(b)}`
          const content = entryOf(text, { count: a })
          all.push({ base: log.next, count: a, text })
          assert.equal(log.append(content), all.at(-1)?.base)
        }
        if (kind === 'commit') log.commit(log.next)
        if (kind === 'flush')
          await new Promise<void>((resolve, reject) =>
            log.flush(a, null, (error) => (error === null ? resolve() : reject(error))),
          )
        if (kind === 'evict') for (const block of [...log.blocks]) log.evict(block)
        if (kind === 'truncate') {
          const to = Math.min(a, log.committed)
          log.truncateFront(to)
          assert.ok(log.start >= to)
          all = all.filter(({ base, count }) => base + count > log.start)
        }
        if (kind === 'read') await check(Math.min(a, log.committed), b)
      }
      log.commit(log.next)
      for (let offset = log.start; offset < log.committed; offset += Math.max(1, Math.floor(log.next / 7))) await check(offset, 1)
      // From one end to the other, in pieces.
      const seen: Kept[] = []
      for (let offset = log.start; offset < log.committed; ) {
        const piece = await read(log, offset, 3000)
        assert.ok(piece.length > 0)
        seen.push(...piece)
        const last = piece.at(-1) as Kept // not empty
        offset = last.base + last.count
      }
      assert.deepEqual(seen, all)
    }),
    { numRuns: 120 },
  )
})
