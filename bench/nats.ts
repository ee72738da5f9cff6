/** Core messages and requests, and JetStream's, which are answered when they are stored; by nats.go (natsload/). */
import { join } from 'node:path'
import { runOk } from '../test/interop/processes.ts'
import { type Contender, peers } from './contender.ts'
import type { Figures, Workload } from './workload.ts'

const limitMs = 300_000

async function load(contender: Contender, test: string, count: number, flags: readonly string[]): Promise<Figures> {
  const command = [join(peers, 'nats.sh'), 'load', test, '-server', contender.address, '-n', String(count), ...flags]
  const output = await runOk('bash', command, { timeoutMs: limitMs })
  const { perSecond, p50Us, p99Us } = JSON.parse(output.trim().split('\n').at(-1) ?? '') as Record<string, number | undefined>
  if (perSecond === undefined) throw new Error(`no figures in\n${output}`)
  return { perSecond, ...(p50Us === undefined || p99Us === undefined ? {} : { p50Ms: p50Us / 1000, p99Ms: p99Us / 1000 }) }
}

export function natsWorkloads(scale: number): readonly Workload[] {
  const workload = (name: string, test: string, count: number, ...flags: string[]): Workload => ({
    name,
    run: (contender) => load(contender, test, Math.round(count * scale), flags),
  })
  const kibibyte = ['-size', '1024']
  return [
    workload('core, 128 B, one to one', 'pubsub', 1_000_000),
    workload('core, 1 KiB, one to one', 'pubsub', 500_000, ...kibibyte),
    workload('core, 128 B, 10 to 1', 'pubsub', 1_000_000, '-conns', '10'),
    workload('core, 128 B, 1 to 10', 'pubsub', 200_000, '-subs', '10'),
    workload('core, 128 B, one to one, at 5,000 a second', 'pubsub', 50_000, '-rate', '5000'),
    workload('requests, 50 at a time', 'requests', 200_000, '-conns', '50'),
    workload('stored 1 KiB, one at a time', 'stored', 10_000, ...kibibyte, '-window', '1'),
    workload('stored 1 KiB, 50 connections, one each at a time', 'stored', 100_000, ...kibibyte, '-window', '1', '-conns', '50'),
    workload('stored 1 KiB, 256 at a time', 'stored', 200_000, ...kibibyte),
    workload('those, fetched by 256 and acknowledged', 'fetched', 200_000),
  ]
}
