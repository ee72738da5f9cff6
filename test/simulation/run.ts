/**
 * The simulation: thousands of brokers on simulated machines, each with its own random clients and its own bad luck.
 *
 *   npm run test:sim -- [--seeds N] [--from N] [--seconds N]     many; a failing one is named
 *   npm run test:sim -- --seed N                                 one, with everything that happened
 */
import { parseArgs } from 'node:util'
import { type Outcome, runSeed } from './scenario.ts'

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string', default: '3000' },
    from: { type: 'string' },
    seconds: { type: 'string', default: '0' },
  },
})

function tell(outcome: Outcome, lines: number): void {
  console.log(outcome.trace.slice(-lines).join('\n'))
  console.log(`\nseed ${outcome.seed} (${outcome.theme}) fails: ${outcome.violation?.stack}`)
  console.log(`again, alone: npm run test:sim -- --seed ${outcome.seed}`)
}

if (values.seed !== undefined) {
  const outcome = await runSeed(Number(values.seed))
  if (outcome.violation === null) console.log(`${outcome.trace.join('\n')}\nseed ${outcome.seed} holds`)
  else {
    tell(outcome, Infinity)
    process.exitCode = 1
  }
} else {
  const from = values.from === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.from)
  const until = Number(values.seconds) > 0 ? performance.now() + Number(values.seconds) * 1000 : Infinity
  const started = performance.now()
  const failed: number[] = []
  let operations = 0
  let seeds = 0
  for (; seeds < Number(values.seeds) && failed.length < 10 && performance.now() < until; seeds++) {
    const outcome = await runSeed(from + seeds)
    operations += outcome.operations
    if (outcome.violation === null) continue
    failed.push(outcome.seed)
    if (failed.length === 1) tell(outcome, 60)
    else console.log(`seed ${outcome.seed} (${outcome.theme}) fails: ${outcome.violation.message}`)
  }
  const seconds = Math.round((performance.now() - started) / 1000)
  console.log(
    `${seeds} seeds from ${from}, ${operations} operations in ${seconds} s: ${failed.length === 0 ? 'all hold' : `${failed.length} fail (${failed.join(', ')})`}`,
  )
  if (failed.length > 0) process.exitCode = 1
}
