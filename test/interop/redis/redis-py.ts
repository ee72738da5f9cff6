/** The own tests of redis-py: all of these files pass but those named here, each with its reason. They count keys, so they have a broker of their own. */
import { rm } from 'node:fs/promises'
import { startAnyMQ } from '../anymq.ts'
import { runCases } from '../cases/cases.ts'
import { pythonRedis, redisPySource } from '../install.ts'
import { Running, tail } from '../processes.ts'

const files = ['commands', 'pubsub', 'pipeline', 'scripting', 'lock', 'connection_pool'].map((name) => `tests/test_${name}.py`)
const passedMin = 716

/** What may fail: the beginning of a test's name, by the reason. */
const mayFail: Readonly<Record<string, readonly string[]>> = {
  'users are the broker’s: where there are none, Redis’s commands make none; and no user has no password, or rights to single commands':
    [
      'test_acl_deluser',
      'test_acl_dryrun',
      'test_acl_getuser_setuser',
      'test_acl_list',
      'test_acl_log',
      'test_auth',
      'test_client_kill_filter_by_user',
    ],
  'there is no client-side caching': ['test_client_tracking', 'test_initialise_pool_with_cache'],
  'what a command does with each of its keys is told in a word for all of them': ['test_command_getkeysandflags'],
  'Redis 7.0 fails it, too': [
    'test_busy_loading_',
    'test_connect_invalid_auth_credentials_supplied',
    'test_connect_no_auth_configured',
    'test_oom_error',
    'test_psync',
    'test_read_only_error',
    'test_xgroup_create_entriesread',
  ],
}

await runCases({
  [files.join(', ')]: async () => {
    const broker = await startAnyMQ()
    const program = new Running(
      pythonRedis,
      [
        '-m',
        'pytest',
        ...files,
        '--redis-url',
        `redis://${broker.redis}/0`,
        '-m',
        'not onlycluster and not redismod and not experimental',
        '-q',
        '--tb=line',
        '--timeout=60',
        '-p',
        'no:cacheprovider',
      ],
      {
        cwd: redisPySource,
        // Some know one address of Redis only.
        env: {
          REDIS_PORT: String(broker.redis.split(':')[1]),
          PYTHONPATH: new URL('elsewhere', import.meta.url).pathname,
        },
      },
    )
    await program.exited
    await broker.stop()
    await rm(`${redisPySource}/.coverage`, { force: true })
    const reasons = Object.values(mayFail).flat()
    const failed = [...program.output.matchAll(/^(?:FAILED|ERROR) \S+::(\w+)/gm)].map(([, name = '']) => name)
    const unexpected = failed.filter((name) => !reasons.some((beginning) => name.startsWith(beginning)))
    if (unexpected.length > 0) throw new Error(`${unexpected.join(', ')}\n${tail(program.output)}`)
    const passed = Number(/(\d+) passed/.exec(program.output)?.[1] ?? 0)
    if (passed < passedMin) throw new Error(`only ${passed} passed\n${tail(program.output)}`)
  },
})
