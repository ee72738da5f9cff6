/** A transactional Kafka publisher, by kafkajs, and the check that what is committed of it is whole: each transaction spans several partitions. */
import assert from 'node:assert/strict'
import { type Admin, Kafka, logLevel, type Producer } from 'kafkajs'
import { unique, until, within } from '../interop/cases/cases.ts'
import type { Publisher } from './ledger.ts'

const PARTITIONS = 3
/** Records of a transaction in each partition. */
const BATCH = 2
const transactionalId = 'crash'

/** Transactions by their number. What was neither committed nor aborted for certain may be there, whole. */
export interface Transactions {
  next: number
  readonly committed: Set<number>
  readonly aborted: Set<number>
}

export function newTransactions(): Transactions {
  return { next: 0, committed: new Set(), aborted: new Set() }
}

function client(server: string): Kafka {
  return new Kafka({
    clientId: 'crash',
    brokers: [server],
    logLevel: logLevel.NOTHING,
    connectionTimeout: 2_000,
    requestTimeout: 5_000,
    retry: { retries: 1, initialRetryTime: 30 },
  })
}

async function withAdmin(kafka: Kafka, use: (admin: Admin) => Promise<unknown>): Promise<void> {
  const admin = kafka.admin()
  await within(15_000, 'Kafka', admin.connect())
  await within(15_000, 'the administrator', use(admin))
  await admin.disconnect()
}

/** The same id each time: it fences, and aborts what the one before left open. */
async function producerOf(kafka: Kafka): Promise<Producer> {
  const producer = kafka.producer({ transactionalId, idempotent: true, maxInFlightRequests: 1 })
  await within(15_000, 'transactional producer', producer.connect())
  return producer
}

export async function transactionalPublisher(server: string, topic: string, transactions: Transactions): Promise<Publisher> {
  const kafka = client(server)
  await withAdmin(kafka, (admin) => admin.createTopics({ topics: [{ topic, numPartitions: PARTITIONS }], waitForLeaders: true }))
  const producer = await producerOf(kafka)
  let running = true
  const loop = (async () => {
    while (running) {
      const number = transactions.next++
      try {
        await publish(producer, topic, number, transactions)
      } catch {
        // The broker is gone, and with it this producer's transaction.
        return
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

async function publish(producer: Producer, topic: string, number: number, { committed, aborted }: Transactions): Promise<void> {
  // Whatever becomes of the request, it is not committed from here on.
  const isAborted = number % 4 === 3
  if (isAborted) aborted.add(number)
  const transaction = await producer.transaction()
  for (let index = 0; index < BATCH; index++) {
    const messages = Array.from({ length: PARTITIONS }, (_, partition) => ({ partition, value: `${number}:${index}` }))
    await transaction.send({ topic, messages })
  }
  if (isAborted) return await transaction.abort()
  await transaction.commit()
  committed.add(number)
}

/** The committed values of each partition, in order; what a killed publisher left open is aborted first. */
export async function readCommitted(server: string, topic: string): Promise<string[][]> {
  const kafka = client(server)
  const producer = await producerOf(kafka)
  const end = unique('end')
  const transaction = await producer.transaction()
  await transaction.send({ topic, messages: Array.from({ length: PARTITIONS }, (_, partition) => ({ partition, value: end })) })
  await transaction.commit()
  await producer.disconnect()
  const found = Array.from({ length: PARTITIONS }, (): string[] => [])
  const consumer = kafka.consumer({ groupId: unique('crash'), heartbeatInterval: 500 })
  await within(15_000, 'consumer', consumer.connect())
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ partition, message }) => void found[partition]?.push(String(message.value)),
  })
  await until(`the ends of ${topic}`, () => found.every((values) => values.includes(end)), 30_000)
  await consumer.disconnect()
  return found.map((values) => values.filter((value) => !value.startsWith('end')))
}

/** Each confirmed transaction whole and once, in order, in all partitions; none that was aborted; nothing by halves. */
export function checkTransactions({ next, committed, aborted }: Transactions, found: readonly string[][]): void {
  const numbers = found.map((values) => [...new Set(values.map((value) => Number(value.split(':')[0])))])
  const [first = []] = numbers
  for (const others of numbers) assert.deepEqual(others, first, 'a transaction is in some of its partitions alone')
  for (const values of found) {
    const expected = first.flatMap((number) => Array.from({ length: BATCH }, (_, index) => `${number}:${index}`))
    assert.deepEqual(values, expected, 'a transaction is not whole, or twice')
  }
  assert.deepEqual(
    first,
    [...first].sort((a, b) => a - b),
    'transactions are not in order',
  )
  const seen = new Set(first)
  const missing = [...committed].filter((number) => !seen.has(number))
  assert.deepEqual(missing, [], `${missing.length} confirmed transactions are missing of ${committed.size}`)
  assert.deepEqual(
    [...aborted].filter((number) => seen.has(number)),
    [],
    'aborted transactions are there',
  )
  assert.ok(
    first.every((number) => number < next),
    'transactions that nobody began',
  )
}
