/**
 * The bridging matrix: one message from each protocol's real client to each other's, part by part, and a copy through a third hand that must
 * restore everything. Prints the table; every cell that is not right is a failed case with what was expected and what came.
 */
import { isDeepStrictEqual } from 'node:util'
import { runCases, unique as uniqueName, within } from '../cases/cases.ts'
import { amqpDriver } from './amqp.ts'
import { beanstalkdDriver } from './beanstalkd.ts'
import { disqueDriver } from './disque.ts'
import { kafkaDriver } from './kafka.ts'
import { ATTRIBUTES, BODY, type Driver, HEADERS, KEY, type Seen, TIMESTAMP } from './message.ts'
import { mqttDriver } from './mqtt.ts'
import { natsDriver } from './nats.ts'
import { nsqDriver } from './nsq.ts'
import { redisListDriver, redisStreamDriver } from './redis.ts'
import { sqsDriver } from './sqs.ts'
import { stompDriver } from './stomp.ts'
import { streamDriver } from './stream.ts'

const drivers: readonly Driver[] = [
  await within(15_000, 'Kafka', kafkaDriver()),
  await within(15_000, 'AMQP', amqpDriver()),
  await within(15_000, 'STOMP', stompDriver()),
  await within(15_000, 'streams', streamDriver()),
  await within(15_000, 'MQTT', mqttDriver()),
  await within(15_000, 'NATS', natsDriver()),
  await within(15_000, 'SQS', sqsDriver()),
  await within(15_000, 'Redis', redisStreamDriver()),
  await within(15_000, 'Redis', redisListDriver()),
  await within(15_000, 'Disque', disqueDriver()),
  await within(15_000, 'NSQ', nsqDriver()),
  await within(15_000, 'beanstalkd', beanstalkdDriver()),
]

/** The table's rows: a part, and whether what was seen is what was sent. Returns undefined when right, else what is wrong. */
type Check = (seen: Seen, producer: Driver, consumer: Driver) => string | undefined
const parts: Record<string, Check> = {
  body: (seen) => differs(seen.body, BODY),
  key: (seen) => differs(seen.key, KEY),
  timestamp: (seen) => differs(seen.timestamp, TIMESTAMP),
  ...Object.fromEntries(
    Object.entries(ATTRIBUTES).map(([name, value]) => [name, (seen: Seen) => differs(seen.attributes[name], value)]),
  ),
  ...Object.fromEntries(
    HEADERS.map((header) => [
      header.name,
      (seen: Seen, producer: Driver, consumer: Driver) => headerDiffers(header, seen, producer, consumer),
    ]),
  ),
  'header types named': (seen, producer, consumer) => {
    if (!producer.typedHeaders || consumer.typedHeaders) return undefined
    return seen.headers.has('anymq.types') ? undefined : 'no header anymq.types'
  },
  'delivery count': (seen) => (seen.redelivered === true ? 'marked as redelivered at its first delivery' : undefined),
  'nothing added': (seen) => {
    // `anymq.` is the documented space for what has no counterpart; anything else would be shown to programs that did not ask.
    const known = new Set(HEADERS.map((header) => header.name))
    const strangers = [...seen.headers.keys()].filter((name) => !known.has(name) && !name.startsWith('anymq.'))
    return strangers.length === 0 ? undefined : `unexpected headers ${strangers.join(', ')}`
  },
}

/** Of characters that names may have in every protocol. */
const unique = (prefix: string): string => uniqueName(prefix).replaceAll('.', '-')

const columns: { title: string; wrong: Record<string, string | undefined> }[] = []
const cases: Record<string, () => Promise<void>> = {}

for (const producer of drivers) {
  for (const consumer of drivers) {
    if (!meet(producer, consumer)) continue
    const owners = ownersOf(producer, consumer)
    for (const owner of owners.length === 0 ? [null] : owners) {
      const title = `${producer.name} → ${consumer.name} (${owner === null ? 'live' : `declared by ${owner.name}`})`
      cases[title] = () =>
        column(title, async () => {
          const topic = unique('matrix')
          await owner?.declare?.(topic)
          await consumer.listen?.(topic)
          await producer.produce(topic)
          return judge(await consumer.consume(topic, owner?.name ?? ''), producer, consumer)
        })
    }
  }
}

// A program that copies what it reads, headers and all, with a client of another protocol: what comes out is what went in.
for (const producer of drivers) {
  for (const middle of drivers) {
    if (middle === producer || !meet(producer, middle)) continue
    const title = `${producer.name} → ${middle.name} copies → ${producer.name}`
    cases[title] = () =>
      column(title, async () => {
        const [from, to] = [unique('matrix.from'), unique('matrix.to')]
        const [owner] = ownersOf(producer, middle)
        await owner?.declare?.(from)
        await owner?.declare?.(to)
        await middle.listen?.(from)
        await producer.listen?.(to)
        await producer.produce(from)
        await middle.forward(from, to, owner?.name ?? '')
        const wrong = judge(await producer.consume(to, owner?.name ?? ''), producer, producer)
        // kafkajs, which copies for Kafka, cannot write a null header value and sends an empty one.
        const lost = [...(middle.cannotCopy ?? []), ...(middle.name === 'kafka' ? ['h-null'] : [])]
        return { ...wrong, ...Object.fromEntries(lost.map((name) => [name, undefined])) }
      })
  }
}

for (const producer of drivers) {
  for (const consumer of drivers) {
    if (consumer.consumeTwice === undefined || !suits(consumer, producer)) continue
    cases[`${producer.name} → ${consumer.name}: given back, it comes again marked`] = async () => {
      const topic = unique('matrix.twice')
      await consumer.declare?.(topic)
      await producer.produce(topic)
      const seen = await consumer.consumeTwice?.(topic)
      if (seen?.redelivered !== true) throw new Error('the second delivery is not marked as redelivered')
    }
  }
}

const titles = Object.keys(cases)
cases['the table'] = async () => {
  const names = Object.keys(parts)
  const width = Math.max(...names.map((name) => name.length))
  columns.sort((a, b) => titles.indexOf(a.title) - titles.indexOf(b.title))
  console.log(columns.map((each, index) => `#  ${index + 1}: ${each.title}`).join('\n'))
  console.log(`#  ${' '.repeat(width)}  ${columns.map((_, index) => String(index + 1).padStart(3)).join(' ')}`)
  for (const name of names) {
    console.log(
      `#  ${name.padEnd(width)}  ${columns.map((each) => ('*' in each.wrong ? '  -' : each.wrong[name] === undefined ? ' ok' : '  ✗')).join(' ')}`,
    )
  }
}

await runCases(cases)

/** Who of the two can make what keeps messages and what both can use, the first if it can. */
function ownersOf(...pair: readonly [Driver, Driver]): Driver[] {
  return [...new Set(pair)].filter((owner) => owner.declare !== undefined && pair.every((user) => suits(owner, user)))
}

function suits(owner: Driver, user: Driver): boolean {
  return user.needs === undefined || user.needs === owner.declares
}

/** Whether there is anything that both can use. */
function meet(one: Driver, other: Driver): boolean {
  return (one.needs === undefined && other.needs === undefined) || ownersOf(one, other).length > 0
}

async function column(title: string, exchange: () => Promise<Record<string, string | undefined>>): Promise<void> {
  try {
    const wrong = await exchange()
    columns.push({ title, wrong })
    const said = Object.entries(wrong).filter(([, what]) => what !== undefined)
    if (said.length !== 0) throw new Error(said.map(([part, what]) => `${part}: ${what}`).join('\n'))
  } catch (error) {
    if (columns.at(-1)?.title !== title) columns.push({ title, wrong: { '*': String(error) } })
    throw error
  }
}

function judge(seen: Seen, producer: Driver, consumer: Driver): Record<string, string | undefined> {
  const unseen = new Set([...(producer.cannotWrite ?? []), ...(consumer.cannotRead ?? [])])
  return Object.fromEntries(
    Object.entries(parts).map(([name, check]) => [name, unseen.has(name) ? undefined : check(seen, producer, consumer)]),
  )
}

function headerDiffers(header: (typeof HEADERS)[number], seen: Seen, producer: Driver, consumer: Driver): string | undefined {
  const got = seen.headers.get(header.name)
  if (producer.typedHeaders && consumer.typedHeaders) return differs(got, header.read)
  // Between a protocol with types and one without, values are text, or bytes as they are.
  if (header.raw !== undefined) return differs(Buffer.isBuffer(got) ? got : Buffer.from(String(got)), header.raw)
  if (header.text === undefined) {
    // No one text form is promised for these; that they arrive is.
    return producer.typedHeaders && !seen.headers.has(header.name) ? 'missing' : undefined
  }
  return differs(Buffer.isBuffer(got) ? got.toString() : got, header.text)
}

function differs(got: unknown, expected: unknown): string | undefined {
  return isDeepStrictEqual(got, expected) ? undefined : `expected ${show(expected)}, got ${show(got)}`
}

function show(value: unknown): string {
  return Buffer.isBuffer(value)
    ? `bytes ${value.toString('hex')}`
    : JSON.stringify(value, (_, each: unknown) => (typeof each === 'bigint' ? `${each}n` : each))
}
