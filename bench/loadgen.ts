/** The program in loadgen/: built once, run for one test at a time. */
import { join } from 'node:path'
import { installDebianPackages } from '../test/interop/install.ts'
import { runOk } from '../test/interop/processes.ts'
import type { Contender } from './contender.ts'
import type { Figures } from './workload.ts'

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

export async function load(contender: Contender, test: string, flags: Readonly<Record<string, number>>): Promise<Figures> {
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
