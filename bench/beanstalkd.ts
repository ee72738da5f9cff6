/** beanstalkd by loadgen, raw lines from Go: putting, and reserving and deleting, each answer waited for or a hundred at a time. */
import type { Contender } from './contender.ts'
import { load } from './loadgen.ts'
import type { Workload } from './workload.ts'

export function beanstalkdWorkloads(synced: boolean, scale: number): readonly Workload[] {
  const some = (count: number): number => Math.max(100, Math.round(count * scale))
  const run = (name: string, test: string, flags: Readonly<Record<string, number>>): Workload => ({
    name,
    run: (contender: Contender) => load(contender, test, flags),
  })
  const single = some(synced ? 40_000 : 150_000)
  const piped = some(synced ? 100_000 : 300_000)
  return [
    run('put 128 B, 10 connections', 'beanstalkd-put', { conns: 10, window: 1, n: single }),
    run('reserve and delete, 10 connections', 'beanstalkd-work', { conns: 10, n: single }),
    run('put 128 B, 10 connections, 100 in a pipeline each', 'beanstalkd-put', { conns: 10, window: 100, n: piped }),
    run('reserve and delete these, 50 connections', 'beanstalkd-work', { conns: 50, n: piped }),
  ]
}
