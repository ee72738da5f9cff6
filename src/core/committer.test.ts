/** Group commit: what waiters are told and what readers see, against a log that ends its writes when the test says so. */
import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { entryOf } from '../../test/support/entry.ts'
import type { WriteAheadLog } from '../storage/interfaces.ts'
import { MemorySegments } from '../storage/memory/index.ts'
import { Committer } from './committer.ts'
import { Log } from './log.ts'
import { type Frame, visitFrame } from './ops.ts'

class HeldWal implements WriteAheadLog {
  position = 0
  readonly bytes = 0
  /** The metadata keys of each frame written, in order. */
  readonly written: string[][] = []
  #end: ((error: Error | null) => void) | null = null

  async recover(): Promise<void> {}
  write(frame: Buffer, length: number, done: (error: Error | null) => void): void {
    assert.equal(this.#end, null, 'one write at a time')
    const keys: string[] = []
    const none = (): void => undefined
    visitFrame(frame.subarray(0, length), {
      append: none,
      settle: none,
      remove: none,
      raise: none,
      returned: none,
      metadata: (_table, key) => keys.push(key),
    })
    this.written.push(keys)
    this.position += length
    this.#end = done
  }
  get writing(): boolean {
    return this.#end !== null
  }
  end(error: Error | null): void {
    const end = this.#end
    this.#end = null
    end?.(error)
  }
  async trim(): Promise<void> {}
  async close(): Promise<void> {}
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const filler = Buffer.alloc(3 * 1024 * 1024)

test('what rides along goes into a full frame before it is closed, and nothing overtakes', async () => {
  const wal = new HeldWal()
  let lazy: string[] = []
  const committer: Committer = new Committer(
    wal,
    (frame: Frame) => {
      for (const key of lazy) {
        frame.metadata('t', key, null)
        // What rides along may add operations of its own.
        committer.frame(100).metadata('t', `${key}+`, null)
      }
      lazy = []
    },
    () => undefined,
  )
  const put = (key: string, value: Buffer | null): void => committer.frame(value?.length ?? 0).metadata('t', key, value)
  put('a', null)
  await turn()
  put('b', filler)
  lazy.push('of b')
  put('c', filler)
  lazy.push('of c')
  put('d', null)
  for (let count = 0; count < 5; count++) {
    wal.end(null)
    await turn()
  }
  assert.deepEqual(wal.written, [['a'], ['b', 'of b', 'of b+'], ['c', 'of c', 'of c+'], ['d']])
})

test('waiters are told in order, each once, and only when everything before them is written; after a failure all are told so', async () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('put' as const), big: fc.boolean() }),
    fc.record({ kind: fc.constant('wait' as const) }),
    fc.record({ kind: fc.constant('group' as const), size: fc.integer({ min: 1, max: 3 }) }),
    fc.record({ kind: fc.constant('end' as const) }),
    fc.record({ kind: fc.constant('turn' as const) }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), fc.integer({ min: 0, max: 12 }), async (steps, failAt) => {
      const wal = new HeldWal()
      const committer = new Committer(
        wal,
        () => undefined,
        () => undefined,
      )
      const put: string[] = []
      const groups: string[][] = []
      const told: { waiter: number; failed: boolean }[] = []
      let waiters = 0
      let ended = 0
      const durable = new Set<string>()
      const add = (bytes: number): void => {
        const key = String(put.length)
        put.push(key)
        committer.frame(bytes).metadata('t', key, bytes > 0 ? filler : null)
      }
      const end = (): void => {
        if (!wal.writing) return
        const failed = ended++ === failAt
        if (!failed && committer.failure === null) for (const key of wal.written.at(-1) ?? []) durable.add(key)
        wal.end(failed ? new Error('held') : null)
      }
      for (const each of steps) {
        if (each.kind === 'put') add(each.big ? filler.length : 0)
        if (each.kind === 'group') {
          const from = put.length
          committer.atomically(0, () => {
            for (let count = 0; count < each.size; count++) add(filler.length)
          })
          groups.push(put.slice(from))
        }
        if (each.kind === 'wait') {
          const waiter = waiters++
          const before = put.slice()
          committer.whenDurable((error) => {
            told.push({ waiter, failed: error !== null })
            if (error === null) for (const key of before) assert.ok(durable.has(key), `${key} is durable`)
          })
        }
        if (each.kind === 'end') end()
        if (each.kind === 'turn') await turn()
      }
      for (let count = 0; count < steps.length * 2 + 4; count++) {
        await turn()
        end()
      }
      const order = wal.written.flat()
      assert.deepEqual(order, put.slice(0, order.length), 'frames hold what was put, in order')
      if (committer.failure === null) assert.equal(order.length, put.length)
      else assert.equal(wal.written.length, failAt + 1, 'nothing is written after a failed write')
      for (const group of groups) assert.ok(wal.written.filter((frame) => group.some((key) => frame.includes(key))).length <= 1)
      assert.equal(told.length, waiters, 'everyone is told')
      const good = told.filter((each) => !each.failed).map((each) => each.waiter)
      assert.deepEqual(
        good,
        [...good].sort((a, b) => a - b),
      )
      assert.equal(new Set(told.map((each) => each.waiter)).size, waiters)
    }),
    { numRuns: 60 },
  )
})

test('an entry that did not fit into the frame being filled is not readable with that frame', async () => {
  const wal = new HeldWal()
  const committer = new Committer(
    wal,
    () => undefined,
    () => undefined,
  )
  const log = new Log(1, new MemorySegments(), 1 << 30, false, () => undefined)
  const append = (): number => {
    const content = entryOf(Buffer.alloc(2.5 * 1024 * 1024))
    return committer.append(log, content, { producer: null, named: null, dedupId: null })
  }
  append()
  append()
  for (let readable = 1; readable <= 2; readable++) {
    assert.equal(log.committed, readable - 1)
    await turn()
    assert.equal(wal.writing, true)
    assert.equal(log.committed, readable - 1)
    wal.end(null)
    assert.equal(log.committed, readable)
  }
})

test('the next frame is on its way when those who waited for one are told, and they are told in their order', async () => {
  const wal = new HeldWal()
  const committer = new Committer(
    wal,
    () => undefined,
    () => undefined,
  )
  const told: string[] = []
  const put = (key: string): void => {
    committer.frame(0).metadata('t', key, null)
    committer.whenDurable((error) => told.push(`${key} ${error?.message ?? (wal.writing ? 'and more is written' : '')}`))
  }
  put('a')
  await turn()
  put('b')
  put('c')
  wal.end(null)
  assert.deepEqual([told, wal.written], [['a and more is written'], [['a'], ['b', 'c']]])
  put('d')
  wal.end(new Error('broken'))
  await turn()
  assert.deepEqual(told, ['a and more is written', 'b broken', 'c broken', 'd broken'])
  assert.equal(wal.written.length, 2)
})
