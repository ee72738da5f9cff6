/**
 * Fuzzing: bad clients at every open port of a started broker, made of what good ones send (mutate.ts), while a healthy client of each protocol
 * goes on publishing and consuming. The broker must not end, grow or keep the healthy ones waiting; whom it closes it names in its log, with the reason.
 *
 *   npm run test:fuzz -- [--seconds N] [--seed N] [--only kafka,amqp,http]
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { requireNode24, startAnyMQ } from '../interop/anymq.ts'
import { Random } from '../simulation/disk.ts'
import { attackWith, type Ended } from './attacker.ts'
import { corpora } from './corpus/all.ts'
import type { Corpus, Healthy } from './corpus/corpus.ts'
import { BrokerLog } from './log.ts'
import { Memory } from './memory.ts'
import { makeAttack } from './mutate.ts'
import { record } from './record.ts'

/** At a time, at whichever ports: more would find a broker too busy to hear them out. */
const attackersMax = 9
/** One publish and consume of a healthy client takes no longer than this, whatever the others do. */
const beatMs = 10_000
/** What the broker may hold more than it held before the attacks: the records that healthy clients published are kept in memory up to 64 MiB. */
const growthBytesMax = 100 * 1024 * 1024

requireNode24()
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    only: { type: 'string' },
  },
})
const seed = Number(values.seed)
const only = values.only?.split(',')
const chosen = corpora.filter(({ listener }) => only === undefined || only.includes(listener))
console.log(`seed ${seed}; what is sent is the same again with --seed ${seed}, when it arrives is not`)

const standstill = monitorEventLoopDelay()
standstill.enable()
const broker = await startAnyMQ({
  // Connections that end as their clients asked are told of at debug.
  extra: ['--log-level', 'debug'],
  nodeArguments: ['--inspect=127.0.0.1:0', '--initial-old-space-size=96', '--max-semi-space-size=16'],
})
const log = new BrokerLog(broker.process.child)
const problems: string[] = []
let lastBeatMs = 0
const portOf = (corpus: Corpus): number => corpus.standardPort + broker.portOffset

try {
  const sessions = new Map<Corpus, Buffer[][]>()
  for (const corpus of chosen) {
    const streams = await within(
      30_000,
      `recording ${corpus.listener}`,
      record(portOf(corpus), (port) => corpus.drive(port)),
    )
    sessions.set(
      corpus,
      streams.map((stream) => corpus.frames(stream)),
    )
    console.log(`${corpus.listener}: ${streams.length} connections recorded, ${sessions.get(corpus)?.flat().length} frames`)
  }
  const healthy = await Promise.all(
    chosen.map(async (corpus) => {
      const client = await within(30_000, `connecting the healthy ${corpus.listener} client`, corpus.healthy(portOf(corpus)))
      return { corpus, client }
    }),
  )
  await Promise.all(healthy.map(({ corpus, client }) => beat(corpus, client)))
  const memory = await Memory.of(/Debugger listening on (\S+)/.exec(broker.process.errors)?.[1] ?? '')
  const before = await memory.reachableBytes()
  console.log(`the broker holds ${mebibytes(before)} MiB`)
  let over = false
  const until = performance.now() + Number(values.seconds) * 1000
  const going = (): boolean => !over && performance.now() < until && broker.process.running
  const beats = healthy.map(async ({ corpus, client }) => {
    let count = 0
    for (; going(); count++) await beat(corpus, client)
    return `${corpus.listener}: ${count}`
  })
  // One that went wrong ends the attacks; it is reported when all of them have ended.
  for (const each of beats)
    each.catch(() => {
      over = true
    })
  const ended: Ended[] = []
  const attacks = Array.from({ length: attackersMax }, async (_, attacker) => {
    const random = new Random(seed + attacker * 1000)
    while (going()) {
      const corpus = chosen[random.below(chosen.length)] as Corpus // there are some
      const others = chosen.filter((each) => each !== corpus).flatMap((each) => sessions.get(each) ?? [])
      const attack = makeAttack(random, sessions.get(corpus) ?? [], others)
      ended.push(await attackWith(corpus.listener, portOf(corpus), attack, patienceMs()))
    }
  })
  try {
    await Promise.all(attacks)
  } finally {
    over = true
  }
  const counts = await Promise.all(beats)
  if (!broker.process.running) problems.push('the broker ended')
  await Promise.all(healthy.map(({ corpus, client }) => beat(corpus, client)))
  await log.until(() => ended.every(isExplained), 5_000)
  // The last connections are still being closed.
  const settled = performance.now() + 5_000
  let grown: number
  do grown = (await memory.reachableBytes()) - before
  while (grown > growthBytesMax && performance.now() < settled)
  memory.close()
  report(ended, counts, grown)
  await Promise.all(healthy.map(({ client }) => client.close().catch(() => undefined)))
} catch (error) {
  problems.push(String(error instanceof Error ? error.stack : error))
  for (const line of log.errors.slice(0, 5)) problems.push(`the broker says: ${line}`)
  const asked = performance.now()
  const health = await within(5_000, 'the broker', fetch(`${broker.http}/healthz`)).then(
    () => `answers in ${Math.round(performance.now() - asked)} ms`,
    (cause: unknown) => `does not answer: ${cause}`,
  )
  problems.push(`the broker ${health}; this process stood still for up to ${Math.round(standstill.max / 1e6)} ms`)
  // What other healthy clients wait for when the broker is stopped is no news.
  process.on('unhandledRejection', () => undefined)
} finally {
  if (!broker.process.running) problems.push(`the broker ended\n${broker.process.errors.slice(-3000)}`)
  await broker.stop()
}
for (const problem of problems) console.log(`FAILED  ${problem}`)
console.log(
  problems.length === 0 ? 'nothing was disturbed' : `${problems.length} problems; again: npm run test:fuzz -- --seed ${seed}`,
)
process.exit(problems.length === 0 ? 0 : 1)

async function beat(corpus: Corpus, client: Healthy): Promise<void> {
  const started = performance.now()
  await within(beatMs, `the healthy ${corpus.listener} client`, client.beat())
  lastBeatMs = performance.now() - started
}

/** Longer than the broker takes to answer at the moment, on a busy machine and a new connection too. */
function patienceMs(): number {
  return Math.max(250, 4 * lastBeatMs)
}

/** Whom the broker closed it names in its log, unless what it said last tells enough. */
function isExplained({ listener, closedByBroker, deaf, heardLast, localPort }: Ended): boolean {
  if (!closedByBroker || log.reasonFor(localPort) !== undefined) return true
  const saysWhy = corpora.find((corpus) => corpus.listener === listener)?.saysWhy
  return saysWhy !== undefined && (deaf || saysWhy(heardLast))
}

function report(ended: readonly Ended[], counts: readonly string[], grown: number): void {
  const closed = ended.filter(({ closedByBroker }) => closedByBroker)
  console.log(`${ended.length} bad connections, ${closed.length} closed by the broker; healthy rounds: ${counts.join(', ')}`)
  console.log(`the broker holds ${mebibytes(grown)} MiB more than before`)
  if (grown > growthBytesMax) problems.push(`the broker grew by ${mebibytes(grown)} MiB`)
  for (const line of log.errors.slice(0, 5)) problems.push(`the broker says: ${line}`)
  const silent = ended.filter((each) => !isExplained(each))
  for (const each of silent.slice(0, 5))
    problems.push(`closed without a word in the log: ${each.listener} after '${each.attack}'`)
}

function mebibytes(bytes: number): number {
  return Math.round(bytes / 1024 / 1024)
}

function within<T>(ms: number, what: string, promise: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error(`${what} took longer than ${ms} ms`)), ms)
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}
