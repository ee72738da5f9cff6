/** MQTT by loadgen, raw frames from Go: fan-in, fan-out, each QoS, a steady rate, and idle connections. */
import { join } from 'node:path'
import { installDebianPackages } from '../test/interop/install.ts'
import { runOk } from '../test/interop/processes.ts'
import type { Contender } from './contender.ts'
import type { Figures, Workload } from './workloads.ts'

const sources = join(import.meta.dirname, 'loadgen')
const limitMs = 150_000
let built: Promise<string> | undefined

/** Resolves to the program. */
async function build(): Promise<string> {
  await installDebianPackages({ go: 'golang-go' })
  const program = join(sources, '.build/loadgen')
  await runOk('go', ['build', '-o', program, '.'], { cwd: sources, timeoutMs: 300_000 })
  return program
}

async function load(contender: Contender, test: string, flags: Readonly<Record<string, number>>): Promise<Figures> {
  built ??= build()
  const given = Object.entries({ ...flags, pid: contender.pid }).flatMap(([name, value]) => [`-${name}`, String(value)])
  const output = await runOk(await built, [test, '-addr', contender.address, ...given], { timeoutMs: limitMs })
  const line = JSON.parse(output) as {
    perSecond: number
    p50Us?: number
    p99Us?: number
    lost?: number
    kibibytesEach?: number
  }
  // What is lost with QoS 0 is no throughput, and with the others a fault.
  if ((line.lost ?? 0) > 0 && flags['qos'] !== 0) throw new Error(`${contender.name} lost ${line.lost} messages`)
  return {
    perSecond: line.perSecond,
    ...(line.p50Us !== undefined && line.p99Us !== undefined && { p50Ms: line.p50Us / 1000, p99Ms: line.p99Us / 1000 }),
    ...(line.kibibytesEach !== undefined && { kibibytesEach: line.kibibytesEach }),
  }
}

export function mqttWorkloads(scale: number): readonly Workload[] {
  const some = (count: number): number => Math.max(100, Math.round(count * scale))
  const publishing = (name: string, flags: Readonly<Record<string, number>>): Workload => ({
    name,
    run: (contender) => load(contender, 'mqtt', flags),
  })
  return [
    publishing('QoS 0, 1 to 1, 128 B', { qos: 0, n: some(400_000) }),
    publishing('QoS 0, 10 to 1, 128 B', { qos: 0, conns: 10, n: some(400_000) }),
    publishing('QoS 0, 1 to 50, 128 B', { qos: 0, subs: 50, n: some(20_000) }),
    publishing('QoS 0, 1 to 1, 1 KiB', { qos: 0, size: 1024, n: some(200_000) }),
    publishing('QoS 0, 1 to 1, 128 B at 5000 a second', { qos: 0, rate: 5000, n: some(50_000) }),
    publishing('QoS 1, 1 to 1, 128 B, 100 in flight', { qos: 1, n: some(200_000) }),
    publishing('QoS 1, 10 to 1, 128 B, 100 in flight each', { qos: 1, conns: 10, n: some(200_000) }),
    publishing('QoS 1, 1 to 50, 128 B, 100 in flight', { qos: 1, subs: 50, n: some(8_000) }),
    publishing('QoS 2, 1 to 1, 128 B, 100 in flight', { qos: 2, n: some(100_000) }),
    { name: 'idle clients with a subscription each', run: (contender) => load(contender, 'mqtt-idle', { n: some(9_000) }) },
  ]
}
