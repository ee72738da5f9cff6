/** The simulation itself: a few seeds hold, a seed is the same run every time, and storage that lies is found out. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Storage } from '../src/storage/interfaces.ts'
import { runSeed, type Sabotage } from './simulation/scenario.ts'

const seeds = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1)

test('what must be true is true, on a few machines', { timeout: 60_000 }, async () => {
  for (const seed of seeds(40)) {
    const { violation } = await runSeed(seed)
    assert.equal(violation, null, `npm run test:sim -- --seed ${seed}: ${violation?.message}`)
  }
})

test('a seed is the same run every time', { timeout: 60_000 }, async () => {
  for (const seed of seeds(5)) assert.deepEqual((await runSeed(seed)).trace, (await runSeed(seed)).trace)
})

const lies: Readonly<Record<string, { lie: Sabotage; says: RegExp }>> = {
  'a log that says done before it is': {
    says: /is lost|is gone|was confirmed/,
    lie: (storage) => ({
      ...storage,
      wal: withWal(storage, {
        write(frame, length, done) {
          // The frame is taken back once it was confirmed.
          const copy = Buffer.from(frame.subarray(0, length))
          storage.wal.write(copy, length, () => undefined)
          setImmediate(done, null)
        },
      }),
    }),
  },
  'a log that forgets its last frame': {
    says: /is lost|is gone|was confirmed/,
    lie: (storage) => ({
      ...storage,
      wal: withWal(storage, {
        async recover(from, visit) {
          const frames: [Buffer, number][] = []
          await storage.wal.recover(from, (frame, position) => void frames.push([frame, position]))
          for (const [frame, position] of frames.slice(0, -1)) visit(frame, position)
        },
      }),
    }),
  },
  'segments that are never synced': {
    says: /cannot be read/,
    lie: (storage) => ({
      ...storage,
      segments: new Proxy(storage.segments, {
        get: (target, name) => {
          const value: unknown = Reflect.get(target, name)
          if (name === 'sync') return async () => undefined
          return typeof value === 'function' ? value.bind(target) : value
        },
      }),
    }),
  },
}

function withWal(storage: Storage, changed: Partial<Storage['wal']>): Storage['wal'] {
  const { wal } = storage
  return new Proxy(wal, {
    get: (target, name) => {
      if (name in changed) return Reflect.get(changed, name)
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

for (const [name, { lie, says }] of Object.entries(lies)) {
  test(`it is found out: ${name}`, { timeout: 60_000 }, async () => {
    const found: string[] = []
    for (const seed of seeds(60)) {
      const { violation } = await runSeed(seed, lie)
      if (violation === null) continue
      if (says.test(violation.message)) return
      // The same lie shows in other ways, too.
      found.push(violation.message)
    }
    assert.fail(`no seed said what was lost; ${found.length} found something: ${found.slice(0, 3).join('; ')}`)
  })
}
