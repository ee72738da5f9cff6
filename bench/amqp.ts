/** AMQP by RabbitMQ's PerfTest. */
import { join } from 'node:path'
import { runOk } from '../test/interop/processes.ts'
import { type Contender, peers } from './contender.ts'
import { type Figures, figure, limitMs, type Workload } from './workload.ts'

function runPerfTest(
  contender: Contender,
  args: readonly string[],
  { timeoutMs = limitMs, heap = '512m' } = {},
): Promise<string> {
  const fixed = ['--flag', 'persistent', '--auto-delete', 'false']
  return runOk('bash', [join(peers, 'rabbitmq.sh'), 'perf', ...fixed, ...args], {
    timeoutMs,
    env: { URL: contender.address, TOOL_HEAP: heap },
  })
}

/** So long the load generator's own code is being compiled, s: what it measures meanwhile is its own. */
const warmUpSeconds = 5

/** At a fixed rate: the medians over the seconds behind the warming up, each of which the tool reports with percentiles of its own. */
async function steady(contender: Contender, queue: string, seconds: number, args: readonly string[]): Promise<Figures> {
  const time = String(warmUpSeconds + seconds)
  const output = await runPerfTest(contender, ['--queue', queue, '--time', time, ...args])
  const interval =
    /time ([\d.]+) s, .* received: (\d+) msg\/s, min\/median\/75th\/95th\/99th consumer latency: \d+\/(\d+)\/\d+\/\d+\/(\d+) µs/
  const measured = output.split('\n').flatMap((line) => {
    const found = interval.exec(line)
    return found === null || Number(found[1]) <= warmUpSeconds + 0.5 ? [] : [found.slice(2).map(Number)]
  })
  const median = (column: number): number => middle(measured.map((row) => row[column] as number)) // each has three
  if (measured.length === 0) throw new Error(`the tool's output was not understood:\n${output.slice(-2_000)}`)
  return { perSecond: median(0), p50Ms: median(1) / 1000, p99Ms: median(2) / 1000 }
}

const middle = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) / 2)] ?? Number.NaN

async function perfTest(contender: Contender, queue: string, args: readonly string[], timeoutMs = limitMs): Promise<Figures> {
  return figuresOf(await runPerfTest(contender, ['--queue', queue, ...args], { timeoutMs }), args)
}

/** One publisher and one consumer for each of so many queues, at a rate that both brokers can follow. */
async function manyQueues(contender: Contender, queues: number, seconds: number): Promise<Figures> {
  const args = [
    ...['--queue-pattern', 'bench-many-%d', '--queue-pattern-from', '1', '--queue-pattern-to', String(queues)],
    ...['-x', String(queues), '-y', String(queues), '--size', '128', '--confirm', '10', '--qos', '10', '--rate', '5'],
    // Threads for connections would otherwise be thousands.
    ...['--nio-threads', '4', '--producer-scheduler-threads', '4', '--consumers-thread-pools', '4'],
    ...['--heartbeat-sender-threads', '2', '--servers-startup-timeout', '30', '--producer-random-start-delay', '5'],
    ...['--time', String(15 + seconds)],
  ]
  return figuresOf(await runPerfTest(contender, args, { heap: '1500m' }), args)
}

function figuresOf(output: string, args: readonly string[]): Figures {
  const consuming = args[args.indexOf('-y') + 1] !== '0'
  const rate = new RegExp(`${consuming ? 'receiving' : 'sending'} rate avg: (\\d+) msg/s`).exec(output)
  const latency = new RegExp(
    `${consuming ? 'consumer' : 'confirm'} latency min/median/75th/95th/99th (\\d+)/(\\d+)/\\d+/\\d+/(\\d+) µs`,
  ).exec(output)
  return {
    perSecond: figure(rate?.[1], output),
    p50Ms: figure(latency?.[2], output) / 1000,
    p99Ms: figure(latency?.[3], output) / 1000,
  }
}

/** A queue of so many records, filled and then drained. */
export function deepQueueWorkloads(count: number): readonly Workload[] {
  const timeoutMs = 900_000
  return [
    {
      name: `128 B, ${count} put, confirms`,
      run: (contender) =>
        perfTest(
          contender,
          'bench-deep',
          ['--size', '128', '--confirm', '1000', '-x', '2', '-y', '0', '-C', String(count / 2)],
          timeoutMs,
        ),
    },
    {
      name: `128 B, ${count} drained, acks`,
      run: async (contender) => {
        const { perSecond } = await perfTest(
          contender,
          'bench-deep',
          ['--size', '128', '--qos', '500', '--multi-ack-every', '100', '-x', '0', '-y', '1', '-D', String(count)],
          timeoutMs,
        )
        return perSecond === undefined ? {} : { perSecond }
      },
    },
  ]
}

export function amqpWorkloads(scale: number): readonly Workload[] {
  const seconds = Math.max(3, Math.round(12 * scale))
  const perf = (contender: Contender, queue: string, args: readonly string[]): Promise<Figures> =>
    perfTest(contender, queue, ['--time', String(seconds), ...args])
  const each = (name: string, args: readonly string[], queue: string): Workload => ({
    name,
    run: (contender) => perf(contender, queue, args),
  })
  return [
    each(
      '128 B, confirms and acks, 100 in flight',
      ['--size', '128', '--confirm', '100', '--qos', '100', '-x', '1', '-y', '1'],
      'bench-a',
    ),
    each(
      '1 KiB, confirms and acks, 100 in flight',
      ['--size', '1024', '--confirm', '100', '--qos', '100', '-x', '1', '-y', '1'],
      'bench-b',
    ),
    each(
      '128 B, 4 producers, 4 consumers, 100 in flight each',
      ['--size', '128', '--confirm', '100', '--qos', '100', '-x', '4', '-y', '4'],
      'bench-c',
    ),
    each('128 B, one in flight', ['--size', '128', '--confirm', '1', '--qos', '1', '-x', '1', '-y', '1'], 'bench-d'),
    {
      name: '128 B at 1,000/s, end to end',
      run: (contender) =>
        steady(contender, 'bench-e', seconds, [
          ...['--size', '128', '--confirm', '100', '--qos', '100', '-x', '1', '-y', '1', '--rate', '1000'],
        ]),
    },
    {
      name: `128 B, ${Math.round(1000 * scale)} queues, each with a producer and a consumer at 5/s`,
      run: (contender) => manyQueues(contender, Math.round(1000 * scale), seconds),
    },
    each('128 B, put only, confirms, 100 in flight', ['--size', '128', '--confirm', '100', '-x', '1', '-y', '0'], 'bench-f'),
  ]
}
