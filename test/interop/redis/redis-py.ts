/**
 * The own tests of redis-py: all of these files pass but those named here, each with its reason. They count keys, so they have a broker of their own; those of
 * users have one where an administrator logs in.
 */
import { rm } from 'node:fs/promises'
import { startAnyMQ, startSecuredAnyMQ } from '../anymq.ts'
import { runCases } from '../cases/cases.ts'
import { pythonRedis, redisPySource } from '../install.ts'
import { Running, tail } from '../processes.ts'

const files = ['commands', 'pubsub', 'pipeline', 'scripting', 'lock', 'connection_pool'].map((name) => `tests/test_${name}.py`)
const passedMin = 716
/** What makes users. */
const usersTests = ['test_acl_deluser', 'test_acl_dryrun', 'test_acl_list', 'test_acl_log', 'test_client_kill_filter_by_user']

/** What may fail: the beginning of a test's name, by the reason. */
const mayFail: Readonly<Record<string, readonly string[]>> = {
  'the first user is not made by Redis’s commands; these are run where there is one': usersTests,
  'a user has one password, which is not shown': ['test_acl_getuser_setuser'],
  'there is no user default whose password could be configured': ['test_auth'],
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

async function runTests(url: string, more: readonly string[]): Promise<Running> {
  const program = new Running(
    pythonRedis,
    [
      '-m',
      'pytest',
      ...files,
      '--redis-url',
      `${url}/0`,
      '-m',
      'not onlycluster and not redismod and not experimental',
      '-q',
      '--tb=line',
      '--timeout=60',
      '-p',
      'no:cacheprovider',
      ...more,
    ],
    {
      cwd: redisPySource,
      // Some know one address of Redis only.
      env: { REDIS_PORT: new URL(url).port, PYTHONPATH: new URL('elsewhere', import.meta.url).pathname },
    },
  )
  await program.exited
  await rm(`${redisPySource}/.coverage`, { force: true })
  return program
}

const passedOf = ({ output }: Running): number => Number(/(\d+) passed/.exec(output)?.[1] ?? 0)

await runCases({
  [files.join(', ')]: async () => {
    const broker = await startAnyMQ()
    const program = await runTests(`redis://${broker.redis}`, [])
    await broker.stop()
    const reasons = Object.values(mayFail).flat()
    const failed = [...program.output.matchAll(/^(?:FAILED|ERROR) \S+::(\w+)/gm)].map(([, name = '']) => name)
    const unexpected = failed.filter((name) => !reasons.some((beginning) => name.startsWith(beginning)))
    if (unexpected.length > 0) throw new Error(`${unexpected.join(', ')}\n${tail(program.output)}`)
    const passed = passedOf(program)
    if (passed < passedMin) throw new Error(`only ${passed} passed\n${tail(program.output)}`)
  },

  [`${usersTests.join(', ')}, by an administrator`]: async () => {
    const broker = await startSecuredAnyMQ()
    const program = await runTests(`redis://admin:admin-secret@${broker.redis}`, ['-k', usersTests.join(' or ')])
    await broker.stop()
    if (passedOf(program) !== usersTests.length || /^(FAILED|ERROR)/m.test(program.output)) throw new Error(tail(program.output))
  },
})
