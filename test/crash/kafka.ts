/** Publishing to and reading from the Kafka side, by kafkajs. */
import { Kafka, logLevel } from 'kafkajs'
import { within } from '../interop/cases/cases.ts'
import { begin, KEYS, type Ledger, type Publisher, send } from './ledger.ts'

const BATCH = 20
const client = (server: string, retries: number): Kafka =>
  new Kafka({
    clientId: 'crash',
    brokers: [server],
    logLevel: logLevel.NOTHING,
    connectionTimeout: 2_000,
    requestTimeout: 5_000,
    retry: { retries, initialRetryTime: 30 },
  })

export async function kafkaPublisher(server: string, topic: string, ledger: Ledger, idempotent: boolean): Promise<Publisher> {
  begin(ledger)
  const admin = client(server, 5).admin()
  await within(15_000, 'Kafka', admin.connect())
  await within(15_000, 'createTopics', admin.createTopics({ topics: [{ topic, numPartitions: 1 }], waitForLeaders: true }))
  await admin.disconnect()
  // Without retries of the library (the idempotent one insists on them), nothing is sent twice.
  const producer = client(server, idempotent ? 1 : 0).producer({ idempotent, maxInFlightRequests: 1 })
  await within(15_000, 'producer', producer.connect())
  let running = true
  const loop = (async () => {
    for (let round = 0; running; round++) {
      const ids = Array.from({ length: BATCH }, (_, i) => send(ledger, i % KEYS))
      try {
        await producer.send({
          topic,
          acks: -1,
          messages: ids.map((id) => ({ key: `key-${id.split(':')[0]}`, value: `${id} ${'x'.repeat((round * 37) % 900)}` })),
        })
        for (const id of ids) ledger.confirmed.add(id)
      } catch {
        // Not confirmed: whether it is stored is open. The connection is gone, or the broker refuses.
        if (running) await new Promise((resolve) => setTimeout(resolve, 20))
      }
    }
  })()
  return {
    stop: async () => {
      running = false
      await loop
      await producer.disconnect().catch(() => undefined)
    },
  }
}

export async function kafkaReadAll(server: string, topic: string): Promise<string[]> {
  const kafka = client(server, 5)
  const admin = kafka.admin()
  await within(15_000, 'Kafka', admin.connect())
  const [offsets] = await within(15_000, 'offsets', admin.fetchTopicOffsets(topic))
  await admin.disconnect()
  const end = Number(offsets?.high ?? 0)
  const found: string[] = []
  if (end === 0) return found
  const consumer = kafka.consumer({ groupId: `crash-${process.pid}-${Math.random()}`, heartbeatInterval: 500 })
  await within(15_000, 'consumer', consumer.connect())
  await consumer.subscribe({ topic, fromBeginning: true })
  let reachedEnd: (() => void) | undefined
  const done = new Promise<void>((resolve) => {
    reachedEnd = resolve
  })
  await consumer.run({
    autoCommit: false,
    eachBatchAutoResolve: true,
    eachBatch: async ({ batch }) => {
      for (const message of batch.messages) found.push(String(message.value).split(' ')[0] ?? '')
      if (end - 1 <= Number(batch.lastOffset())) reachedEnd?.()
    },
  })
  await within(30_000, `reading ${topic} to offset ${end}`, done)
  await consumer.disconnect()
  return found
}
