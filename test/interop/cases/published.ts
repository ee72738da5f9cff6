/** Runs published suites of clients, whose every test that fails is a case of its own, and one more case says whether as many pass and are skipped as with the real server. */
import { type Running, tail } from '../processes.ts'

export interface Counts {
  readonly passed: Set<string>
  readonly skipped: Set<string>
  readonly failed: Map<string, string>
}

export const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`)

export async function publishedSuite(
  name: string,
  expected: string,
  timeoutMs: number,
  run: (counts: Counts) => Running,
): Promise<void> {
  const counts: Counts = { passed: new Set(), skipped: new Set(), failed: new Map() }
  const started = performance.now()
  const program = run(counts)
  const timer = setTimeout(() => program.kill('SIGKILL'), timeoutMs)
  await program.exited
  clearTimeout(timer)
  const ms = Math.round(performance.now() - started)
  for (const [test, output] of counts.failed) say({ case: `${name}: ${test}`, ok: false, ms, error: tail(output) })
  const got = `${counts.passed.size} pass, ${counts.skipped.size} skip, ${counts.failed.size} fail`
  const error = got === expected ? undefined : `${got}\n${tail(program.output, 60)}\n${tail(program.errors)}`
  say({ case: `${name}: ${expected}`, ok: error === undefined, ms, error })
}

/** A line of pytest -v. */
export function countPytest(counts: Counts, line: string): void {
  const [, test, outcome] = /^(\S+::.*?) (PASSED|FAILED|ERROR|SKIPPED)/.exec(line) ?? []
  if (test === undefined) return
  if (outcome === 'PASSED') counts.passed.add(test)
  else if (outcome === 'SKIPPED') counts.skipped.add(test)
  else counts.failed.set(test, line)
}
