/**
 * Exactly once through kill -9: a Java program consumes, transforms and produces in transactions while its broker is killed again and again.
 * What is committed in the end is what went in, each once and in order.
 */
import assert from 'node:assert/strict'
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Kafka, logLevel } from 'kafkajs'
import { startAnyMQ } from '../anymq.ts'
import { runCases, until } from '../cases/cases.ts'
import { javaClasspath } from '../install.ts'
import { Running, tail } from '../processes.ts'

const KILLS = 6
const RECORDS = 3_000
const PARTITIONS = 2

await runCases({
  [`nothing lost and nothing twice through ${KILLS} kills`]: async () => {
    const data = mkdtempSync(join(tmpdir(), 'anymq-once-'))
    let broker = await startAnyMQ({ data })
    const { portOffset } = broker
    let worker: Running | undefined
    try {
      const kafka = new Kafka({ brokers: [broker.kafka], logLevel: logLevel.NOTHING })
      await fill(kafka)
      let committed = 0
      worker = new Running('java', ['-Xmx256m', '-cp', javaClasspath, 'ExactlyOnce', 'in', 'out', String(RECORDS)], {
        env: { KAFKA: broker.kafka },
        onLine: (line) => {
          if (line.startsWith('committed')) committed++
        },
      })
      for (let kill = 0; kill < KILLS; kill++) {
        const before = committed
        await until(`something committed after ${kill} kills`, () => committed >= before + 10, 60_000)
        broker.process.kill('SIGKILL')
        await broker.process.exited
        broker = await startAnyMQ({ data, portOffset })
      }
      const { code } = await within(worker)
      assert.equal(code, 0, tail(worker.output))
      const found = await committedOf(kafka)
      for (let partition = 0; partition < PARTITIONS; partition++) {
        const expected = Array.from({ length: RECORDS / PARTITIONS }, (_, i) => String(i * PARTITIONS + partition))
        assert.deepEqual(found[partition], expected, `partition ${partition}`)
      }
    } finally {
      worker?.kill('SIGKILL')
      await broker.stop()
      await rm(data, { recursive: true, force: true })
    }
  },
})

async function within(worker: Running): Promise<{ code: number | null }> {
  const timer = setTimeout(() => worker.kill('SIGKILL'), 120_000)
  const ended = await worker.exited
  clearTimeout(timer)
  return ended
}

async function fill(kafka: Kafka): Promise<void> {
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: ['in', 'out'].map((topic) => ({ topic, numPartitions: PARTITIONS })) })
  await admin.disconnect()
  const producer = kafka.producer()
  await producer.connect()
  const messages = Array.from({ length: RECORDS }, (_, i) => ({ partition: i % PARTITIONS, value: String(i) }))
  await producer.send({ topic: 'in', messages })
  await producer.disconnect()
}

/** The committed values of each partition of `out`, in order. */
async function committedOf(kafka: Kafka): Promise<string[][]> {
  const found = Array.from({ length: PARTITIONS }, (): string[] => [])
  const consumer = kafka.consumer({ groupId: 'reader' })
  await consumer.connect()
  await consumer.subscribe({ topic: 'out', fromBeginning: true })
  await consumer.run({ eachMessage: async ({ partition, message }) => void found[partition]?.push(String(message.value)) })
  const count = (): number => found.reduce((sum, values) => sum + values.length, 0)
  await until(`${RECORDS} records in out`, () => count() >= RECORDS, 30_000)
  // One too many would follow at once: a record behind all others says when all was read.
  const producer = kafka.producer()
  await producer.connect()
  for (let partition = 0; partition < PARTITIONS; partition++)
    await producer.send({ topic: 'out', messages: [{ partition, value: 'end' }] })
  await producer.disconnect()
  await until('the ends', () => found.every((values) => values.at(-1) === 'end'), 30_000)
  await consumer.disconnect()
  return found.map((values) => values.slice(0, -1))
}
