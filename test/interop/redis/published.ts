/**
 * The own tests of task queues on Redis, unmodified, with the real server's count as the bar: RQ's, huey's (skipped is what is for other stores than Redis), asynq's and kombu's. Each
 * has a broker of its own, since they flush databases. They mostly wait, so they run side by side.
 */
import { dirname } from 'node:path'
import { type AnyMQ, startAnyMQ } from '../anymq.ts'
import { type Counts, countPytest, publishedSuite, say } from '../cases/published.ts'
import { asynqSource, goProgram, hueySource, kombuSource, pythonRedisCelery, pythonTasks, rqSource } from '../install.ts'
import { Running } from '../processes.ts'

const timeoutMs = 280_000
/** Of asynq's: these wait for its own timers, more than two minutes in all, and so beside the others. */
const asynqSlow = '^Test(Aggregator|Heartbeater)'
const asynqSlower = '^Test(Scheduler|PeriodicTaskManager|Server)'

/** They know one address of Redis: elsewhere/sitecustomize.py leads from there to the broker, also what they start themselves. */
function pytest(counts: Counts, broker: AnyMQ, folder: string, tests: string): Running {
  // Some of them sleep for half a second and expect to be in time: on a busy machine once more.
  const options = ['--reruns=1', '-v', '--tb=short', '-p', 'no:cacheprovider', '-p', 'no:warnings']
  return new Running(pythonTasks, ['-m', 'pytest', tests, ...options], {
    cwd: folder,
    env: {
      REDIS_PORT: String(broker.redis.split(':')[1]),
      PYTHONPATH: new URL('elsewhere', import.meta.url).pathname,
      PATH: `${dirname(pythonTasks)}:${process.env['PATH']}`,
    },
    onLine: (line) => countPytest(counts, line),
  })
}

function kombu(counts: Counts, broker: AnyMQ): Running {
  const [host = '', port = ''] = broker.redis.split(':')
  const options = ['-m', 'pytest', 't/integration/test_redis.py', 't/integration/test_redis_brpop_qos.py', '-v', '--tb=short']
  const without = ['-p', 'no:cacheprovider', '-p', 'no:warnings']
  return new Running(pythonRedisCelery, [...options, ...without], {
    cwd: kombuSource,
    env: { REDIS_HOST: host, REDIS_6379_TCP: port },
    onLine: (line) => countPytest(counts, line),
  })
}

function asynq(counts: Counts, broker: AnyMQ, which: string): Running {
  const options = ['-test.v', which, '-test.timeout=270s', '-redis_addr', broker.redis]
  return new Running(goProgram('asynq.test'), options, {
    cwd: asynqSource,
    onLine: (line) => {
      const [, outcome, test] = /^--- (PASS|FAIL|SKIP): (\w+)/.exec(line) ?? []
      if (test === undefined) return
      if (outcome === 'PASS') counts.passed.add(test)
      else if (outcome === 'SKIP') counts.skipped.add(test)
      else counts.failed.set(test, line)
    },
  })
}

const suites: Readonly<Record<string, readonly [expected: string, run: (counts: Counts, broker: AnyMQ) => Running]>> = {
  'rq 3.0.0': ['784 pass, 19 skip, 0 fail', (counts, broker) => pytest(counts, broker, rqSource, 'tests')],
  'huey 3.5.4': ['304 pass, 125 skip, 0 fail', (counts, broker) => pytest(counts, broker, hueySource, 'huey/tests')],
  'kombu 5.7.0': ['129 pass, 0 skip, 0 fail', kombu],
  // All 115 of its root package.
  'asynq 0.26.0': [
    '99 pass, 0 skip, 0 fail',
    (counts, broker) => asynq(counts, broker, `-test.skip=${asynqSlow}|${asynqSlower}`),
  ],
  'asynq 0.26.0, its aggregator and heartbeater': [
    '3 pass, 0 skip, 0 fail',
    (counts, broker) => asynq(counts, broker, `-test.run=${asynqSlow}`),
  ],
  'asynq 0.26.0, its scheduler and server': [
    '13 pass, 0 skip, 0 fail',
    (counts, broker) => asynq(counts, broker, `-test.run=${asynqSlower}`),
  ],
}

const running: Promise<void>[] = []
for (const [name, [expected, run]] of Object.entries(suites)) {
  const broker = await startAnyMQ()
  running.push(publishedSuite(name, expected, timeoutMs, (counts) => run(counts, broker)).finally(() => broker.stop()))
}
await Promise.all(running)
say({ done: true })
process.exit(0)
