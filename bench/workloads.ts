/** What is measured, by the peers' own load generators, and how their output is read. */
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runOk } from '../test/interop/processes.ts'
import { beanstalkdWorkloads } from './beanstalkd.ts'
import { type Contender, type Durability, type Protocol, peers } from './contender.ts'
import { mqttWorkloads } from './mqtt.ts'
import { natsWorkloads } from './nats.ts'
import { nsqWorkloads } from './nsq.ts'
import { redisWorkloads } from './redis.ts'

export interface Figures {
  readonly perSecond?: number
  readonly p50Ms?: number
  readonly p99Ms?: number
  /** What each connection costs the broker. */
  readonly kibibytesEach?: number
}

export interface Workload {
  readonly name: string
  run(contender: Contender): Promise<Figures>
}

const LIMIT_MS = 300_000

/** `deep`: instead of the usual ones, a queue of millions that is filled and then drained. */
export function workloads(protocol: Protocol, durability: Durability, scale: number, deep: boolean): readonly Workload[] {
  if (protocol === 'kafka') return kafka(scale)
  if (protocol === 'mqtt') return mqttWorkloads(scale)
  if (protocol === 'nats') return natsWorkloads(scale)
  if (protocol === 'sqs') return sqs(scale)
  if (protocol === 'redis') return redisWorkloads(scale)
  if (protocol === 'beanstalkd') return beanstalkdWorkloads(durability === 'fsync', scale)
  if (protocol === 'nsq') return nsqWorkloads(scale)
  return deep ? deepQueue(Math.round(5_000_000 * scale)) : amqp(scale)
}

function kafka(scale: number): readonly Workload[] {
  const many = Math.round(3_000_000 * scale)
  const kibibytes = Math.round(600_000 * scale)
  const tool = (name: string, args: readonly string[]): Promise<string> =>
    runOk('bash', [join(peers, 'kafka.sh'), 'tool', `org.apache.kafka.tools.${name}`, ...args], { timeoutMs: LIMIT_MS })
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
  ]
}

/** Fifty connections; what was sent is received and deleted afterwards. */
function sqs(scale: number): readonly Workload[] {
  const single = Math.round(20_000 * scale)
  const batched = Math.round(100_000 * scale)
  const load = async (contender: Contender, mode: string, queue: string, messages: number): Promise<Figures> => {
    const script = join(import.meta.dirname, 'sqs-load.ts')
    const words = [contender.address, mode, queue, String(messages), '200', '50']
    const output = await runOk(process.execPath, [script, ...words], { timeoutMs: LIMIT_MS })
    return JSON.parse(output.trim().split('\n').at(-1) ?? '{}') as Figures // as sqs-load.ts prints them
  }
  return [
    { name: `send 200 B, ${single} messages`, run: (contender) => load(contender, 'send', 'single', single) },
    { name: 'receive and delete in batches of 10', run: (contender) => load(contender, 'receive', 'single', single) },
    {
      name: `send 200 B in batches of 10, ${batched} messages`,
      run: (contender) => load(contender, 'sendBatch', 'batched', batched),
    },
    { name: 'receive and delete these', run: (contender) => load(contender, 'receive', 'batched', batched) },
  ]
}

function runPerfTest(contender: Contender, args: readonly string[], { limitMs = LIMIT_MS, heap = '512m' } = {}): Promise<string> {
  const fixed = ['--flag', 'persistent', '--auto-delete', 'false']
  return runOk('bash', [join(peers, 'rabbitmq.sh'), 'perf', ...fixed, ...args], {
    timeoutMs: limitMs,
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

async function perfTest(contender: Contender, queue: string, args: readonly string[], limitMs = LIMIT_MS): Promise<Figures> {
  return figuresOf(await runPerfTest(contender, ['--queue', queue, ...args], { limitMs }), args)
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

function deepQueue(count: number): readonly Workload[] {
  const limitMs = 900_000
  return [
    {
      name: `128 B, ${count} put, confirms`,
      run: (contender) =>
        perfTest(
          contender,
          'bench-deep',
          ['--size', '128', '--confirm', '1000', '-x', '2', '-y', '0', '-C', String(count / 2)],
          limitMs,
        ),
    },
    {
      name: `128 B, ${count} drained, acks`,
      run: async (contender) => {
        const { perSecond } = await perfTest(
          contender,
          'bench-deep',
          ['--size', '128', '--qos', '500', '--multi-ack-every', '100', '-x', '0', '-y', '1', '-D', String(count)],
          limitMs,
        )
        return perSecond === undefined ? {} : { perSecond }
      },
    },
  ]
}

function amqp(scale: number): readonly Workload[] {
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

async function timed(count: number, [command, ...args]: readonly [string, ...string[]]): Promise<Figures> {
  const started = performance.now()
  await runOk(command, args, { timeoutMs: LIMIT_MS })
  return { perSecond: count / ((performance.now() - started) / 1000) }
}

function figure(text: string | undefined, output: string): number {
  const value = Number(text)
  if (text === undefined || Number.isNaN(value)) throw new Error(`the tool's output was not understood:\n${output.slice(-2_000)}`)
  return value
}
