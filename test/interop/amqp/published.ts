/**
 * Published suites of clients, unmodified, with RabbitMQ's own count as the bar: amqp091-go's integration tests (without the Recovery ones, which restart
 * the server) and kombu's of py-amqp. Both mostly wait, so they run side by side; what fails is a case of its own.
 */

import { setting } from '../cases/cases.ts'
import { type Counts, countPytest, publishedSuite, say } from '../cases/published.ts'
import { cache, kombuSource, pythonAmqp } from '../install.ts'
import { Running } from '../processes.ts'

const timeoutMs = 240_000
const server = new URL(setting('AMQP').replace(/^amqp:/, 'http:'))
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
    onLine: (line) => countPytest(counts, line),
  })
}

await Promise.all([
  publishedSuite('amqp091-go 1.16.0, integration', '227 pass, 1 skip, 0 fail', timeoutMs, amqp091),
  publishedSuite('kombu 5.7.0, test_py_amqp', '51 pass, 0 skip, 0 fail', timeoutMs, kombu),
])
say({ done: true })
process.exit(0)
