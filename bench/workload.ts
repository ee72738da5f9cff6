/** What a workload is, and what is read from the output of the tool that makes it. */
import type { Contender } from './contender.ts'

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

/** How long a tool may take. */
export const limitMs = 300_000

/** Throws, with the end of the output, where the tool did not say it. */
export function figure(text: string | undefined, output: string): number {
  const value = Number(text)
  if (text === undefined || Number.isNaN(value)) throw new Error(`the tool's output was not understood:\n${output.slice(-2_000)}`)
  return value
}
