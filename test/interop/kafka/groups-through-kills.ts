/**
 * Groups through kill -9: two members of franz-go go on consuming while their broker is killed again and again, each time with records on their
 * way. Every record that was confirmed to its producer is consumed, and what was committed stays so; consumers keep their partitions.
 */
import assert from 'node:assert/strict'
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Admin, Kafka, logLevel } from 'kafkajs'
import { type AnyMQ, startAnyMQ } from '../anymq.ts'
import { runCases, unique, until } from '../cases/cases.ts'
import { goProgram } from '../install.ts'
import { Running, tail } from '../processes.ts'

const KILLS = 3
const PARTITIONS = 4
/** Between two kills. */
const RECORDS = 400

type Kind = 'classic' | 'consumer' | 'share'

/** What the members have told. */
class Told {
  readonly values = new Set<string>()
  readonly committed = new Map<number, number>()
  /** How many partitions each member has, and how often that changed. */
  readonly owned = [0, 0]
  moves = 0

  hear(line: string): void {
    const [word, first = '', second] = line.split(' ')
    if (word === 'got') this.values.add(first)
    else if (word === 'committed') this.committed.set(Number(first), Number(second))
    else if (word === 'moved') {
      this.owned[Number(first)] = (this.owned[Number(first)] ?? 0) + Number(second)
      this.moves++
    }
  }
}

await runCases({
  [`a classic group through ${KILLS} kills`]: () => throughKills('classic'),
  [`a consumer group (KIP-848) through ${KILLS} kills`]: () => throughKills('consumer'),
  [`a share group through ${KILLS} kills`]: () => throughKills('share'),
})

async function throughKills(kind: Kind): Promise<void> {
  const data = mkdtempSync(join(tmpdir(), 'anymq-groups-'))
  const [topic, group] = [unique('kills'), unique('kills.g')]
  let broker = await startAnyMQ({ data })
  const { portOffset } = broker
  const kafka = new Kafka({
    brokers: [broker.kafka],
    logLevel: logLevel.NOTHING,
    retry: { retries: 60, initialRetryTime: 50, maxRetryTime: 200 },
  })
  const [admin, producer] = [kafka.admin(), kafka.producer()]
  const told = new Told()
  let members: Running | undefined
  try {
    await admin.connect()
    await producer.connect()
    await admin.createTopics({ topics: [{ topic, numPartitions: PARTITIONS }] })
    members = new Running(goProgram('franz'), ['members', kind, topic, group], {
      env: { KAFKA: broker.kafka },
      onLine: (line) => told.hear(line),
    })
    if (kind !== 'share') await until('two partitions each', () => told.owned.join() === '2,2', 30_000)
    const { moves } = told
    let sent = 0
    for (let kill = 0; kill < KILLS; kill++) {
      const values = Array.from({ length: RECORDS }, () => String(sent++))
      const before = told.values.size
      const confirmed = sendAll(values)
      await until('some records of this round', () => told.values.size > before + RECORDS / 4, 30_000)
      broker = await killed(broker)
      await confirmed
      if (kind !== 'share') await checkCommitted(admin)
    }
    await until('every record', () => told.values.size === sent, 60_000)
    // In the classic protocol this client gives up what it has whenever it cannot reach its broker, and joins again.
    if (kind === 'consumer') assert.equal(told.moves, moves, 'nobody was given other partitions')
  } catch (cause) {
    throw new Error(`${cause instanceof Error ? cause.stack : cause}\n${tail(members?.output ?? '')}`)
  } finally {
    members?.kill('SIGKILL')
    await producer.disconnect().catch(() => undefined)
    await admin.disconnect().catch(() => undefined)
    await broker.stop()
    await rm(data, { recursive: true, force: true })
  }

  /** In small pieces, so that the kill comes between them. Each is sent until it is confirmed. */
  async function sendAll(values: readonly string[]): Promise<void> {
    for (let at = 0; at < values.length; at += 10) {
      const messages = values.slice(at, at + 10).map((value) => ({ value, partition: Number(value) % PARTITIONS }))
      await producer.send({ topic, messages })
    }
  }

  async function killed(running: AnyMQ): Promise<AnyMQ> {
    running.process.kill('SIGKILL')
    await running.process.exited
    return await startAnyMQ({ data, portOffset })
  }

  async function checkCommitted(asked: Admin): Promise<void> {
    const atLeast = new Map(told.committed)
    const [found] = await asked.fetchOffsets({ groupId: group, topics: [topic] })
    for (const { partition, offset } of found?.partitions ?? [])
      assert.ok(
        Number(offset) >= (atLeast.get(partition) ?? -1),
        `${offset} of partition ${partition}, ${atLeast.get(partition)} was committed`,
      )
  }
}
