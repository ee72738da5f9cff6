/** Fills a small disk under the broker: it must refuse, keep what it confirmed, and go on when space is freed. */
import assert from 'node:assert/strict'
import { mkdtempSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { startAnyMQ } from '../interop/anymq.ts'
import { until } from '../interop/cases/cases.ts'
import { run } from '../interop/processes.ts'
import { amqpPublisher, amqpReadAll } from './amqp.ts'
import { kafkaPublisher, kafkaReadAll } from './kafka.ts'
import { checkLedger, newLedger } from './ledger.ts'

const DISK_MIB = 512
const STALL_MS = 3_000

export async function fullDisk(t: TestContext): Promise<void> {
  const disk = mkdtempSync(join(tmpdir(), 'anymq-disk-'))
  const mounted = await run('mount', ['-t', 'tmpfs', '-o', `size=${DISK_MIB}m`, 'tmpfs', disk], { timeoutMs: 10_000 })
  if (mounted.code !== 0) {
    await rm(disk, { recursive: true, force: true })
    t.skip(`a small disk cannot be mounted here: ${mounted.stderr.trim()}`)
    return
  }
  const data = join(disk, 'data')
  const ballast = join(disk, 'ballast')
  const kafka = newLedger('kafka')
  const amqp = newLedger('amqp')
  try {
    const broker = await startAnyMQ({ data })
    try {
      // Something else takes all the space but a few MiB; the publishers take the rest.
      const publishers = [
        await kafkaPublisher(broker.kafka, 'disk-kafka', kafka, false),
        await amqpPublisher(broker.amqp, 'disk-amqp', amqp),
      ]
      await until('something confirmed', () => 100 < kafka.confirmed.size && 100 < amqp.confirmed.size)
      const filled = await run('dd', ['if=/dev/zero', `of=${ballast}`, 'bs=1M', `count=${DISK_MIB}`], { timeoutMs: 60_000 })
      assert.match(filled.stderr, /No space left/)
      let before = -1
      await until(
        'the publishers are refused',
        async () => {
          const now = kafka.confirmed.size + amqp.confirmed.size
          const stalled = now === before
          before = now
          await new Promise((resolve) => setTimeout(resolve, STALL_MS))
          return stalled
        },
        90_000,
      )
      assert.ok(broker.process.running, `the broker ended on a full disk\n${broker.process.errors.slice(-2_000)}`)
      await Promise.all(publishers.map((publisher) => publisher.stop()))
      checkLedger(kafka, await kafkaReadAll(broker.kafka, 'disk-kafka'))
      await rm(ballast)

      const counts = [kafka.confirmed.size, amqp.confirmed.size] as const
      const resumed = [
        await kafkaPublisher(broker.kafka, 'disk-kafka', kafka, false),
        await amqpPublisher(broker.amqp, 'disk-amqp', amqp),
      ]
      await until(
        'publishing goes on after space is freed',
        () => counts[0] < kafka.confirmed.size && counts[1] < amqp.confirmed.size,
        30_000,
      )
      await Promise.all(resumed.map((publisher) => publisher.stop()))
      checkLedger(kafka, await kafkaReadAll(broker.kafka, 'disk-kafka'))
      checkLedger(amqp, await amqpReadAll(broker.amqp, 'disk-amqp'))
      await writeFile(ballast, '')
    } finally {
      await broker.stop()
    }
    const again = await startAnyMQ({ data })
    try {
      checkLedger(kafka, await kafkaReadAll(again.kafka, 'disk-kafka'))
      checkLedger(amqp, await amqpReadAll(again.amqp, 'disk-amqp'))
    } finally {
      await again.stop()
    }
  } finally {
    await run('umount', ['-l', disk], { timeoutMs: 10_000 })
    await rm(disk, { recursive: true, force: true })
  }
}
