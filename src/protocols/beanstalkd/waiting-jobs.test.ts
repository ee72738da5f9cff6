/** The order of jobs that wait against a sorted list, and what is kept of each. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { type WaitingJob, WaitingJobs } from './waiting-jobs.ts'

test('jobs come by priority and then by id, also when some are taken from the middle', () => {
  const step = fc.record({ kind: fc.constantFrom('add', 'add', 'first', 'take'), pick: fc.nat(), priority: fc.nat(5) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 800, size: 'max' }), (steps) => {
      const jobs = new WaitingJobs()
      let model: WaitingJob[] = []
      let next = 1
      const take = (id: number): void => {
        assert.deepEqual(
          jobs.take(id),
          model.find((job) => job.id === id),
        )
        model = model.filter((job) => job.id !== id)
      }
      for (const { kind, pick, priority } of steps) {
        if (kind === 'add') {
          const job = { id: next, priority: priority * 1e9, place: next * 2, ttrSeconds: pick % 100, createdAt: 1.7e12 + next }
          next++
          jobs.add(job)
          model.push(job)
        } else if (kind === 'take') take(1 + (pick % next))
        else {
          const [first] = model.toSorted((a, b) => a.priority - b.priority || a.id - b.id)
          assert.equal(jobs.first?.id, first?.id)
          assert.equal(jobs.first?.priority, first?.priority)
          if (first !== undefined) take(first.id)
        }
        assert.equal(jobs.size, model.length)
      }
    }),
  )
})

test('a job that waits takes 96 bytes at most', () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const jobs = new WaitingJobs()
  const count = 200_000
  collect()
  const before = process.memoryUsage().heapUsed
  for (let id = 1; id <= count; id++)
    jobs.add({ id, priority: 1024, place: id, ttrSeconds: 60, createdAt: 1_700_000_000_000 + id })
  collect()
  const each = (process.memoryUsage().heapUsed - before) / count
  assert.equal(jobs.first?.id, 1)
  assert.ok(each < 96, `${each} bytes a job`)
})
