/** Publishing one and many at a time, and consuming what was published, by go-nsq (nsqload/). */
import { join } from 'node:path'
import { runOk } from '../test/interop/processes.ts'
import { type Contender, peers } from './contender.ts'
import type { Figures, Workload } from './workload.ts'

const limitMs = 150_000

async function load(contender: Contender, test: string, flags: readonly string[]): Promise<Figures> {
  const command = [join(peers, 'nsq.sh'), 'load', test, '-server', contender.address, ...flags]
  const output = await runOk('bash', command, { timeoutMs: limitMs })
  const { perSecond, p50Us, p99Us } = JSON.parse(output.trim().split('\n').at(-1) ?? '') as Record<string, number | undefined>
  if (perSecond === undefined) throw new Error(`no figures in\n${output}`)
  return { perSecond, ...(p50Us === undefined || p99Us === undefined ? {} : { p50Ms: p50Us / 1000, p99Ms: p99Us / 1000 }) }
}

export function nsqWorkloads(scale: number): readonly Workload[] {
  const [conns, batch] = [50, 200]
  // Each connection has a share, and whole batches.
  const some = (count: number, of: number): number => Math.max(1, Math.round((count * scale) / of)) * of
  const single = some(100_000, conns)
  const many = some(1_000_000, 4 * batch)
  const flags = (topic: string, messages: number, connections: number): string[] => [
    ...['-topic', topic, '-n', String(messages), '-conns', String(connections)],
  ]
  return [
    {
      name: `PUB 200 B, ${conns} connections, ${single} messages`,
      run: (contender) => load(contender, 'publish', flags('single', single, conns)),
    },
    { name: 'these, consumed', run: (contender) => load(contender, 'consume', flags('single', single, 1)) },
    {
      name: `MPUB of ${batch}, 200 B, 4 connections, ${many} messages`,
      run: (contender) => load(contender, 'publish', [...flags('many', many, 4), '-batch', String(batch)]),
    },
    { name: 'those, consumed', run: (contender) => load(contender, 'consume', flags('many', many, 1)) },
  ]
}
