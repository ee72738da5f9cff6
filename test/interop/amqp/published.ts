/**
 * Published suites of clients, unmodified, with RabbitMQ's own count as the bar: amqp091-go's integration tests (without the Recovery ones, which restart
 * the server) and kombu's of py-amqp. Both mostly wait, so they run side by side; what fails is a case of its own.
 */

import { setting } from '../cases/cases.ts'
import { cache, kombuSource, pythonAmqp } from '../install.ts'
import { Running, tail } from '../processes.ts'

const timeoutMs = 240_000
const server = new URL(setting('AMQP').replace(/^amqp:/, 'http:'))
const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`)

interface Counts {
  readonly passed: Set<string>
  readonly skipped: Set<string>
  readonly failed: Map<string, string>
}

async function suite(name: string, expected: string, run: (counts: Counts) => Running): Promise<void> {
  const counts: Counts = { passed: new Set(), skipped: new Set(), failed: new Map() }
  const started = performance.now()
  const program = run(counts)
  const timer = setTimeout(() => program.kill('SIGKILL'), timeoutMs)
  await program.exited
  clearTimeout(timer)
  const ms = Math.round(performance.now() - started)
  for (const [test, output] of counts.failed) say({ case: `${name}: ${test}`, ok: false, ms, error: tail(output) })
  const got = `${counts.passed.size} pass, ${counts.skipped.size} skip, ${counts.failed.size} fail`
  const error = got === expected ? undefined : `${got}\n${tail(program.output)}\n${tail(program.errors)}`
  say({ case: `${name}: ${expected}`, ok: error === undefined, ms, error })
}

/** One line of `go test -json`; only whole tests count, not their parts. */
interface GoEvent {
  readonly Action: string
  readonly Test?: string
  readonly Output?: string
}

function amqp091(counts: Counts): Running {
  const output = new Map<string, string>()
  const command = ['test', '-tags', 'integration', '-count=1', '-skip', 'Recovery', '-timeout', '220s', '-json']
  return new Running('go', [...command, 'github.com/rabbitmq/amqp091-go'], {
    cwd: new URL('..', import.meta.url).pathname,
    env: { AMQP_URL: setting('AMQP'), GOFLAGS: '-mod=mod' },
    onLine: (line, stream) => {
      if (stream === 'err' || !line.startsWith('{')) return
      const { Action, Test, Output } = JSON.parse(line) as GoEvent
      if (Test === undefined) return
      const whole = Test.split('/')[0] ?? Test
      if (Output !== undefined) output.set(whole, (output.get(whole) ?? '') + Output)
      if (whole !== Test) return
      if (Action === 'pass') counts.passed.add(Test)
      else if (Action === 'skip') counts.skipped.add(Test)
      else if (Action === 'fail') counts.failed.set(Test, output.get(Test) ?? '')
    },
  })
}

function kombu(counts: Counts): Running {
  const command = [
    '-m',
    'pytest',
    '-p',
    'no:cacheprovider',
    '-p',
    'no:warnings',
    '-v',
    '--tb=short',
    't/integration/test_py_amqp.py',
  ]
  return new Running(pythonAmqp, command, {
    cwd: kombuSource,
    env: { RABBITMQ_HOST: server.hostname, RABBITMQ_5672_TCP: server.port, HOME: cache },
    onLine: (line) => {
      const [, test, outcome] = /^(\S+::.*?) (PASSED|FAILED|ERROR|SKIPPED)/.exec(line) ?? []
      if (test === undefined) return
      if (outcome === 'PASSED') counts.passed.add(test)
      else if (outcome === 'SKIPPED') counts.skipped.add(test)
      else counts.failed.set(test, line)
    },
  })
}

await Promise.all([
  suite('amqp091-go 1.16.0, integration', '227 pass, 1 skip, 0 fail', amqp091),
  suite('kombu 5.7.0, test_py_amqp', '51 pass, 0 skip, 0 fail', kombu),
])
say({ done: true })
process.exit(0)
