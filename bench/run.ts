/**
 * AnyMQ beside the real broker: the same public load generators, the same durability, in turn on an otherwise idle machine; one table.
 *
 *   npm run bench -- kafka|amqp|mqtt|nats|redis|sqs|beanstalkd|nsq [--durability fsync|os] [--runs 3] [--scale 1] [--only ours|peer] [--match WORD] [--deep]
 */
import { cpus, totalmem } from 'node:os'
import { parseArgs } from 'node:util'
import { requireNode24 } from '../test/interop/anymq.ts'
import { type Contender, type Durability, type Protocol, peerOf, startOurs, startPeer } from './contender.ts'
import type { Figures } from './workload.ts'
import { workloads } from './workloads.ts'

requireNode24()
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    durability: { type: 'string', default: 'fsync' },
    runs: { type: 'string', default: '3' },
    scale: { type: 'string', default: '1' },
    only: { type: 'string' },
    match: { type: 'string', default: '' },
    deep: { type: 'boolean', default: false },
  },
})
const [protocol] = positionals
if (protocol === undefined || !isProtocol(protocol) || (values.durability !== 'fsync' && values.durability !== 'os')) {
  console.error(
    'usage: npm run bench -- kafka|amqp|mqtt|nats|redis|sqs|beanstalkd|nsq [--durability fsync|os] [--runs 3] [--scale 1] [--only ours|peer] [--match WORD] [--deep]',
  )
  process.exit(2)
}

function isProtocol(name: string): name is Protocol {
  return Object.hasOwn(peerOf, name)
}

interface Cost {
  startMs: number
  idleMiB: number
  peakMiB: number
  cpuSeconds: number
}
interface Side {
  readonly name: string
  readonly start: () => Promise<Contender>
  readonly figures: Map<string, Figures[]>
  readonly costs: Cost[]
}

const MIB = 2 ** 20
await main(protocol, values.durability)

async function main(protocol: Protocol, durability: Durability): Promise<void> {
  const peerName = peerOf[protocol].name
  const sides: Side[] = []
  if (values.only !== 'ours')
    sides.push({ name: peerName, start: () => startPeer(protocol, durability), figures: new Map(), costs: [] })
  if (values.only !== 'peer')
    sides.push({ name: 'AnyMQ', start: () => startOurs(protocol, durability), figures: new Map(), costs: [] })
  const list = workloads(protocol, durability, Number(values.scale), values.deep).filter((workload) =>
    workload.name.includes(values.match),
  )
  for (let run = 1; run <= Number(values.runs); run++) {
    for (const side of sides) {
      const contender = await side.start()
      try {
        for (const workload of list) {
          const cpuBefore = contender.meter.cpuSeconds()
          const figures = await workload.run(contender)
          side.figures.set(workload.name, [...(side.figures.get(workload.name) ?? []), figures])
          const cpu = contender.meter.cpuSeconds() - cpuBefore
          console.log(`# run ${run} ${side.name} ${workload.name}: ${JSON.stringify(figures)}, CPU ${cpu.toFixed(1)} s`)
        }
        const { meter, startMs } = contender
        side.costs.push({
          startMs,
          idleMiB: meter.idleBytes / MIB,
          peakMiB: meter.peakBytes / MIB,
          cpuSeconds: meter.cpuSeconds(),
        })
      } finally {
        await contender.stop()
      }
    }
  }
  report(
    protocol,
    durability,
    sides,
    list.map((workload) => workload.name),
  )
}

function report(protocol: Protocol, durability: Durability, sides: readonly Side[], names: readonly string[]): void {
  const peer = sides.find((side) => side.name !== 'AnyMQ')
  const ours = sides.find((side) => side.name === 'AnyMQ')
  const cpu = cpus()
  console.log(
    `\n\`npm run bench -- ${protocol} --durability ${durability} --runs ${values.runs}${values.deep ? ' --deep' : ''}${values.only === undefined ? '' : ` --only ${values.only}`}${values.scale === '1' ? '' : ` --scale ${values.scale}`}\``,
  )
  console.log(
    `${new Date().toISOString().slice(0, 10)}, ${cpu.length} cores shared with the load generator, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.versions.node}; medians of ${values.runs} runs\n`,
  )
  const label = peer?.name ?? 'peer'
  console.log(`| ${protocol}, ${durability} | ${label} /s | AnyMQ /s | ratio | ${label} p50 / p99 ms | AnyMQ p50 / p99 ms |`)
  console.log('|---|---:|---:|---:|---:|---:|')
  for (const name of names) {
    const [theirs, own] = [peer?.figures.get(name), ours?.figures.get(name)]
    const [theirRate, ownRate] = [median(theirs, 'perSecond'), median(own, 'perSecond')]
    const ratio = theirRate === undefined || ownRate === undefined ? '' : (ownRate / theirRate).toFixed(2)
    console.log(`| ${name} | ${rate(theirRate)} | ${rate(ownRate)} | ${ratio} | ${latency(theirs)} | ${latency(own)} |`)
  }
  for (const name of names) {
    const [theirs, own] = [median(peer?.figures.get(name), 'kibibytesEach'), median(ours?.figures.get(name), 'kibibytesEach')]
    if (theirs === undefined && own === undefined) continue
    console.log(`| ${name}, KiB each | ${theirs?.toFixed(1) ?? ''} | ${own?.toFixed(1) ?? ''} | | | |`)
  }
  for (const [what, key, digits] of [
    ['start, ms (until the port is open; AnyMQ: until ready)', 'startMs', 0],
    ['memory idle, MiB', 'idleMiB', 0],
    ['memory peak, MiB', 'peakMiB', 0],
    ['CPU of all of the above, s', 'cpuSeconds', 1],
  ] as const) {
    const [theirs, own] = [peer, ours].map((side) =>
      side === undefined ? undefined : middle(side.costs.map((cost) => cost[key])),
    )
    const ratio = theirs === undefined || own === undefined ? '' : (own / theirs).toFixed(2)
    console.log(`| ${what} | ${theirs?.toFixed(digits) ?? ''} | ${own?.toFixed(digits) ?? ''} | ${ratio} | | |`)
  }
}

function median(figures: readonly Figures[] | undefined, key: keyof Figures): number | undefined {
  const known = (figures ?? []).map((each) => each[key]).filter((value) => value !== undefined)
  return known.length === 0 ? undefined : middle(known)
}

function middle(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) / 2)] ?? Number.NaN
}

function rate(value: number | undefined): string {
  return value === undefined ? '' : Math.round(value).toLocaleString('en')
}

function latency(figures: readonly Figures[] | undefined): string {
  const [p50, p99] = [median(figures, 'p50Ms'), median(figures, 'p99Ms')]
  const show = (ms: number): string => (ms < 10 ? ms.toFixed(1) : ms.toFixed(0))
  return p50 === undefined || p99 === undefined ? '' : `${show(p50)} / ${show(p99)}`
}
