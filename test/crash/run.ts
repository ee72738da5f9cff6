/**
 * Crash test: Kafka, AMQP, JetStream, NSQ, MQTT, Redis, Disque and beanstalkd clients record what was confirmed while AnyMQ is killed with SIGKILL at random moments; after each restart
 * everything confirmed must be there, in order for each key, and nothing twice but what was sent again because it had not been confirmed.
 * A transactional publisher's transactions are there whole or not at all, those it aborted never.
 * In every third round the tail of the write-ahead log is torn as well; one more check fills a small disk.
 *
 *   npm run test:crash -- --rounds 20 [--seed N] [--durability fsync|os] [--no-disk]
 */
import assert from 'node:assert/strict'
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { parseArgs } from 'node:util'
import { requireNode24, startAnyMQ } from '../interop/anymq.ts'
import { freePortOffset } from '../interop/processes.ts'
import { amqpPublisher, amqpReadAll } from './amqp.ts'
import { beanstalkdLoad, checkBeanstalkd, newBeanstalkdLedger } from './beanstalkd.ts'
import { checkDisque, disqueLoad, newDisqueLedger } from './disque.ts'
import { fullDisk } from './full-disk.ts'
import { kafkaPublisher, kafkaReadAll } from './kafka.ts'
import { checkLedger, type Ledger, newLedger } from './ledger.ts'
import { mqttPublisher } from './mqtt.ts'
import { jetStreamPublisher, jetStreamReadAll } from './nats.ts'
import { nsqPublisher } from './nsq.ts'
import { seeded } from './random.ts'
import { checkRedis, newRedisLedger, redisLoad } from './redis.ts'
import { tearTail } from './tear.ts'
import { checkTransactions, newTransactions, readCommitted, transactionalPublisher } from './transactions.ts'

requireNode24()
const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    durability: { type: 'string', default: 'fsync' },
    'no-disk': { type: 'boolean', default: false },
  },
})
const rounds = Number(values.rounds)
const durability = values.durability === 'os' ? 'os' : 'fsync'
const random = seeded(Number(values.seed))
console.log(
  `# seed ${values.seed}; the same again: npm run test:crash -- --rounds ${rounds} --seed ${values.seed} --durability ${durability}`,
)

test(`${rounds} kills lose nothing confirmed (${durability})`, { timeout: 60_000 + rounds * 60_000 }, async (t) => {
  const data = mkdtempSync(join(tmpdir(), 'anymq-crash-'))
  const portOffset = await freePortOffset([7890, 9092, 5672, 1883, 4222, 6379, 7711, 4150, 11300])
  const kafka: Ledger = newLedger('kafka')
  const idempotent: Ledger = newLedger('kafka-idempotent')
  const amqp: Ledger = newLedger('amqp')
  const jetStream: Ledger = newLedger('jetstream')
  const mqtt: readonly Ledger[] = [newLedger('mqtt QoS 1'), newLedger('mqtt QoS 2')]
  const nsq: Ledger = newLedger('nsq')
  const transactions = newTransactions()
  try {
    for (let round = 1; round <= rounds; round++) {
      await t.test(`round ${round}`, async () => {
        const broker = await startAnyMQ({ data, portOffset, durability })
        const redis = newRedisLedger(round)
        const disque = newDisqueLedger(round)
        const beanstalkd = newBeanstalkdLedger(round)
        const loadMs = 300 + random(1_700)
        const publishers = await Promise.all([
          kafkaPublisher(broker.kafka, 'crash-kafka', kafka, false),
          kafkaPublisher(broker.kafka, 'crash-idempotent', idempotent, true),
          amqpPublisher(broker.amqp, 'crash-amqp', amqp),
          jetStreamPublisher(broker.nats, 'crash-jetstream', jetStream),
          nsqPublisher(broker.nsq, 'crash-nsq', nsq),
          transactionalPublisher(broker.kafka, 'crash-transactions', transactions),
          ...([1, 2] as const).map((qos) =>
            mqttPublisher(broker.mqtt, broker.amqp, `crash-mqtt-${qos}`, qos, mqtt[qos - 1] as Ledger),
          ),
          redisLoad(broker.redis, redis),
          disqueLoad(broker.disque, disque),
          beanstalkdLoad(broker.beanstalkd, beanstalkd),
        ])
        await new Promise((resolve) => setTimeout(resolve, loadMs))
        broker.process.kill('SIGKILL')
        await broker.process.exited
        await Promise.all(publishers.map((publisher) => publisher.stop()))
        const torn = round % 3 === 0 ? await tearTail(data, random) : 'log untouched'

        const again = await startAnyMQ({ data, portOffset, durability })
        try {
          const counts: string[] = []
          for (const [ledger, read] of [
            [kafka, await kafkaReadAll(again.kafka, 'crash-kafka')],
            [idempotent, await kafkaReadAll(again.kafka, 'crash-idempotent')],
            [amqp, await amqpReadAll(again.amqp, 'crash-amqp')],
            [jetStream, await jetStreamReadAll(again.nats, 'crash-jetstream')],
            [nsq, await kafkaReadAll(again.kafka, 'crash-nsq')],
            [mqtt[0] as Ledger, await amqpReadAll(again.amqp, 'crash-mqtt-1')],
            [mqtt[1] as Ledger, await amqpReadAll(again.amqp, 'crash-mqtt-2')],
          ] as const) {
            checkLedger(ledger, read)
            counts.push(`${ledger.name} ${ledger.confirmed.size} confirmed, ${read.length} found`)
          }
          counts.push(await checkRedis(again.redis, redis), await checkDisque(again.disque, disque))
          counts.push(await checkBeanstalkd(again.beanstalkd, beanstalkd))
          const committed = await readCommitted(again.kafka, 'crash-transactions')
          checkTransactions(transactions, committed)
          counts.push(`transactions ${transactions.committed.size} confirmed, ${transactions.aborted.size} aborted`)
          console.log(
            `# round ${round}: killed after ${loadMs} ms, ${torn}; ready again in ${Math.round(again.startMs)} ms; ${counts.join('; ')}`,
          )
        } finally {
          await again.stop()
        }
      })
    }
    for (const { name, confirmed } of [kafka, idempotent, amqp, jetStream, nsq, ...mqtt])
      assert.ok(confirmed.size > 0, `${name}: nothing was confirmed`)
    assert.ok(transactions.committed.size > 0, 'no transaction was confirmed')
  } finally {
    await rm(data, { recursive: true, force: true })
  }
})

test(
  'a full disk refuses publishes, loses nothing confirmed and recovers',
  { skip: values['no-disk'], timeout: 180_000 },
  fullDisk,
)
