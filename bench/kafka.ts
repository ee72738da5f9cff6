/** Kafka by its own performance tools, and by kcat. */
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runOk } from '../test/interop/processes.ts'
import { type Contender, peers } from './contender.ts'
import { rebalances } from './rebalance.ts'
import { type Figures, figure, limitMs, type Workload } from './workload.ts'

export function kafkaWorkloads(scale: number): readonly Workload[] {
  const many = Math.round(3_000_000 * scale)
  const kibibytes = Math.round(600_000 * scale)
  const tool = (name: string, args: readonly string[]): Promise<string> =>
    runOk('bash', [join(peers, 'kafka.sh'), 'tool', `org.apache.kafka.tools.${name}`, ...args], { timeoutMs: limitMs })
  const produce = async (contender: Contender, topic: string, count: number, bytes: number): Promise<Figures> => {
    const output = await tool('ProducerPerformance', [
      ...['--topic', topic, '--num-records', String(count), '--record-size', String(bytes), '--throughput', '-1'],
      ...['--bootstrap-server', contender.address, '--command-property', 'acks=all'],
    ])
    const last = /sent, ([\d.]+) records\/sec .* (\d+) ms 50th, .* (\d+) ms 99th/.exec(output.trim().split('\n').at(-1) ?? '')
    return { perSecond: figure(last?.[1], output), p50Ms: figure(last?.[2], output), p99Ms: figure(last?.[3], output) }
  }
  const consume = async (contender: Contender, topic: string, count: number): Promise<Figures> => {
    const output = await tool('ConsumerPerformance', [
      '--bootstrap-server',
      contender.address,
      '--topic',
      topic,
      '--num-records',
      String(count),
      '--timeout',
      '30000',
      '--hide-header',
    ])
    // The last field is records per second of fetching, without the time of joining the group.
    return { perSecond: figure(output.trim().split('\n').at(-1)?.split(',').at(-1), output) }
  }
  return [
    { name: `produce 100 B, acks=all, ${many} records (Java)`, run: (contender) => produce(contender, 'bench-100', many, 100) },
    { name: 'consume 100 B (Java)', run: (contender) => consume(contender, 'bench-100', many) },
    {
      name: `produce 1 KiB, acks=all, ${kibibytes} records (Java)`,
      run: (contender) => produce(contender, 'bench-1k', kibibytes, 1024),
    },
    { name: 'consume 1 KiB (Java)', run: (contender) => consume(contender, 'bench-1k', kibibytes) },
    {
      name: `produce 100 B, ${many} records (kcat)`,
      run: async (contender) => {
        const lines = join(tmpdir(), `anymq-bench-${many}.txt`)
        if (!existsSync(lines)) await writeFile(lines, `${'x'.repeat(99)}\n`.repeat(many))
        return timed(many, ['sh', '-c', 'exec kcat -P -b "$0" -t bench-kcat -l "$1" -X acks=all', contender.address, lines])
      },
    },
    {
      name: 'consume 100 B (kcat)',
      run: (contender) =>
        timed(many, [
          'sh',
          '-c',
          'exec kcat -C -b "$0" -t bench-kcat -o beginning -c "$1" -q > /dev/null',
          contender.address,
          String(many),
        ]),
    },
    {
      name: 'end to end 100 B, one at a time (Java)',
      run: async (contender) => {
        const output = await tool('EndToEndLatency', [
          ...[
            '--bootstrap-server',
            contender.address,
            '--topic',
            'bench-latency',
            '--num-records',
            String(Math.round(5_000 * scale)),
          ],
          ...['--producer-acks', 'all', '--record-size', '100'],
        ])
        const found = /Avg latency: ([\d.]+) ms[\s\S]*50th = (\d+), 99th = (\d+)/.exec(output)
        return {
          perSecond: 1000 / figure(found?.[1], output),
          p50Ms: figure(found?.[2], output),
          p99Ms: figure(found?.[3], output),
        }
      },
    },
    { name: 'a 50th member joins a group (p50, and the slowest of 10)', run: ({ address }) => rebalances(address, 50, 10) },
  ]
}

async function timed(count: number, [command, ...args]: readonly [string, ...string[]]): Promise<Figures> {
  const started = performance.now()
  await runOk(command, args, { timeoutMs: limitMs })
  return { perSecond: count / ((performance.now() - started) / 1000) }
}
