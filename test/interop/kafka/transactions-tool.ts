/** kafka-transactions.sh: Kafka's own tool for transactions, as its script starts it. */
import assert from 'node:assert/strict'
import { Kafka, logLevel } from 'kafkajs'
import { runCases, setting, unique } from '../cases/cases.ts'
import { javaClasspath } from '../install.ts'
import { runOk } from '../processes.ts'

const server = setting('KAFKA')
const kafka = new Kafka({ clientId: 'interop', brokers: [server], logLevel: logLevel.NOTHING })

/** Its table as rows of words, without the head. */
async function tool(...args: string[]): Promise<string[][]> {
  const command = ['-Xmx128m', '-cp', javaClasspath, 'org.apache.kafka.tools.TransactionsCommand', '--bootstrap-server', server]
  const said = await runOk('java', [...command, ...args], { timeoutMs: 30_000 })
  const lines = said.split('\n').filter((line) => line.trim() !== '')
  return lines.slice(1).map((line) => line.trim().split(/\s+/))
}

await runCases({
  'lists, describes and aborts a transaction': async () => {
    const topic = unique('txn.tool')
    const id = unique('txn')
    const admin = kafka.admin()
    await admin.connect()
    await admin.createTopics({ topics: [{ topic, numPartitions: 1 }] })
    const producer = kafka.producer({
      transactionalId: id,
      idempotent: true,
      maxInFlightRequests: 1,
      transactionTimeout: 120_000,
    })
    await producer.connect()
    const transaction = await producer.transaction()
    await transaction.send({ topic, messages: [{ value: 'held' }] })

    const listed = (await tool('list')).find(([listedId]) => listedId === id)
    assert.deepEqual(listed?.slice(3), ['Ongoing'], 'listed')
    const [described] = await tool('describe', '--transactional-id', id)
    assert.deepEqual([described?.[1], described?.[4], described?.[5]], [id, 'Ongoing', '120000'], 'described')
    assert.ok(described?.includes(`${topic}-0`), `its partition is in: ${described}`)
    const place = ['--topic', topic, '--partition', '0']
    const [before] = await tool('describe-producers', ...place)
    assert.equal(before?.at(-1), '0', 'the transaction begins at offset 0')
    await tool('abort', ...place, '--start-offset', '0')
    const [after] = await tool('describe-producers', ...place)
    assert.equal(after?.at(-1), 'None', 'nothing is open any more')
    await producer.disconnect()
    await admin.disconnect()
  },
})
