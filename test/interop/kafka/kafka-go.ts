// The own tests of segmentio's kafka-go, by name: an old client with request versions that others no longer send. They know two addresses,
// localhost:9092 and, for logins, 9093, so a broker is started there; when a port is taken that is said, and nothing else is tested.

import { connect, createServer } from 'node:net'

import { startAnyMQ } from '../anymq.ts'
import { runCases } from '../cases/cases.ts'
import { goProgram, kafkaGoSources } from '../install.ts'
import { portIsFree, Running, tail } from '../processes.ts'

const wanted =
  '^(TestConn.*|TestReader.*|TestWriter.*|TestConsumerGroup.*|TestClient(Produce|Fetch|CreateTopics|DeleteTopics|Metadata|ListOffsets|OffsetCommit).*)$'

const skipped = [
  // They use a group without its way of connecting, and end with a nil pointer whatever the broker (Kafka 4.3 as well).
  'TestReaderConsumerGroup/(consumer_group_commits_on_close|verify_offset_committed)',
  // It reads twelve records from each of two readers although one of them may have eight: Kafka 4.3 fails it, too.
  'TestReaderConsumerGroup/consumer_group_rebalance$',
  // Sets a topic's segment.bytes to 200, which Kafka 4.3 refuses, too.
  'TestReaderReadCompactedMessage',
].join('|')

const tests = new Map<string, { passed: boolean; output: string }>()

async function runTests(): Promise<void> {
  for (const port of [9092, 9093]) {
    if (!(await portIsFree(port))) throw new Error(`port ${port} is taken, and these tests know no other`)
  }
  const broker = await startAnyMQ({ extra: ['--port', 'kafka=9092', '--advertise', 'kafka=localhost:9092'] })
  // Where nobody has to log in everybody may, so that the second listener is the first one.
  const second = createServer((socket) => {
    const onward = connect(9092, 'localhost')
    for (const each of [socket, onward]) each.on('error', () => each.destroy())
    socket.pipe(onward).pipe(socket)
  }).listen(9093, 'localhost')
  try {
    const program = new Running(
      goProgram('kafka-go.test'),
      ['-test.v', '-test.timeout=240s', `-test.run=${wanted}`, `-test.skip=${skipped}`],
      { cwd: kafkaGoSources, env: { KAFKA_VERSION: '3.7.0' } },
    )
    const { code } = await program.exited
    for (const [, verdict, name = ''] of program.output.matchAll(/^--- (PASS|FAIL): (\S+)/gm))
      tests.set(name, { passed: verdict === 'PASS', output: '' })
    if (tests.size === 0) throw new Error(`the tests ended with ${code}\n${tail(program.output)}\n${tail(program.errors)}`)
    const failed = program.output
      .split('\n')
      .filter((line) => /--- FAIL|_test\.go:\d+: (?!createTopic|waitForTopic|retrying|got key)/.test(line))
    for (const test of tests.values()) if (!test.passed) test.output = failed.join('\n')
  } finally {
    second.close()
    await broker.stop()
  }
}

await runCases({
  'TestConn*, TestReader*, TestWriter*, TestConsumerGroup*, TestClient*': async () => {
    await runTests()
    const failed = [...tests].filter(([, { passed }]) => !passed)
    if (failed.length > 0) throw new Error(`${failed.map(([name]) => name).join(', ')}\n${failed[0]?.[1].output}`)
    if (tests.size < 25) throw new Error(`only ${tests.size} tests ran`)
  },
})
