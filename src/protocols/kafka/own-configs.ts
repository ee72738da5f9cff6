// What this broker's topics can do that Kafka's cannot, as topic configs under the prefix `anymq.`: what becomes of records that a consumer gives
// back. They count for whoever acknowledges records one by one, which Kafka's ordinary consumers do not.
import type { SchemaNaming, TopicConfig } from '../../broker/face.ts'
import type { ConfigRow } from './config.ts'
import { isTopicName } from './names.ts'

// Written as numbers here, since config.ts, which names them, is made of these rows.
const [bool, string, int, long] = [1, 2, 3, 5]
const whole = /^\d+$/

/** `min`, or `min:max`, in ms. */
const delays = /^(\d+)(?::(\d+))?$/

/** By the names of Confluent's broker, which says how subjects are named by the class that does it. */
const namings: Readonly<Record<SchemaNaming, string>> = {
  topic: 'io.confluent.kafka.serializers.subject.TopicNameStrategy',
  record: 'io.confluent.kafka.serializers.subject.RecordNameStrategy',
  topicRecord: 'io.confluent.kafka.serializers.subject.TopicRecordNameStrategy',
}

const checks: readonly TopicConfig['keySchema'][] = ['none', 'registered', 'content']

/** Which schemas the records' keys or values have. Confluent's switch asks for the id of one alone, ours also for the content. */
function schemaRows(part: 'key' | 'value'): ConfigRow[] {
  const [schema, subject] = part === 'key' ? (['keySchema', 'keySubject'] as const) : (['valueSchema', 'valueSubject'] as const)
  return [
    {
      name: `confluent.${part}.schema.validation`,
      type: bool,
      read: (config) => String(config[schema] !== 'none'),
      write: (text) => (text === 'true' ? { [schema]: 'registered' } : text === 'false' ? { [schema]: 'none' } : undefined),
    },
    {
      name: `confluent.${part}.subject.name.strategy`,
      type: string,
      read: (config) => namings[config[subject]],
      write: (text) => {
        const naming = (['topic', 'record', 'topicRecord'] as const).find((each) => namings[each] === text)
        return naming === undefined ? undefined : { [subject]: naming }
      },
    },
    {
      name: `anymq.${part}.schema.validation`,
      type: string,
      read: (config) => config[schema],
      write: (text) => {
        const check = checks.find((each) => each === text)
        return check === undefined ? undefined : { [schema]: check }
      },
    },
  ]
}

export const ownConfigRows: readonly ConfigRow[] = [
  ...schemaRows('key'),
  ...schemaRows('value'),
  {
    name: 'anymq.delay.ms',
    type: long,
    read: (config) => String(config.delayMs),
    write: (text) => (whole.test(text) && Number(text) <= Number.MAX_SAFE_INTEGER ? { delayMs: Number(text) } : undefined),
  },
  {
    name: 'anymq.forward.topic',
    type: string,
    read: (config) => config.forwardTo ?? '',
    write: (text) => (text === '' ? { forwardTo: null } : isTopicName(text) ? { forwardTo: text } : undefined),
  },
  {
    // Enforced when records are produced (delays.ts), and kept with what was set.
    name: 'anymq.delay.headers',
    type: bool,
    read: (_, set) => set['anymq.delay.headers'] ?? 'false',
    write: (text) => (text === 'true' || text === 'false' ? {} : undefined),
  },
  {
    name: 'anymq.dead.letter.topic',
    type: string,
    read: ({ deadLetter }) => {
      if (deadLetter === null) return ''
      // Another protocol can send them to an exchange, which has no name here.
      return deadLetter.exchange === '' ? (deadLetter.routingKey ?? '') : `exchange:${deadLetter.exchange}`
    },
    write: (text) => {
      if (text === '') return { deadLetter: null }
      return isTopicName(text) ? { deadLetter: { exchange: '', routingKey: text } } : undefined
    },
  },
  {
    name: 'anymq.delivery.limit',
    type: int,
    read: (config) => String(config.deliveryLimit),
    write: (text) =>
      text === '-1' || (whole.test(text) && Number(text) <= 0x7fffffff) ? { deliveryLimit: Number(text) } : undefined,
  },
  {
    name: 'anymq.retry.delay.ms',
    type: string,
    read: ({ retryDelay }) => {
      if (retryDelay === null) return ''
      return retryDelay.minMs === retryDelay.maxMs ? String(retryDelay.minMs) : `${retryDelay.minMs}:${retryDelay.maxMs}`
    },
    write: (text) => {
      if (text === '') return { retryDelay: null }
      const found = delays.exec(text)
      const minMs = Number(found?.[1])
      const maxMs = Number(found?.[2] ?? minMs)
      return found !== null && minMs > 0 && minMs <= maxMs && maxMs <= Number.MAX_SAFE_INTEGER
        ? { retryDelay: { minMs, maxMs, on: 'all' } }
        : undefined
    },
  },
  {
    name: 'anymq.record.ttl.ms',
    type: long,
    read: (config) => String(config.recordTtlMs),
    write: (text) =>
      text === '-1' || (whole.test(text) && Number(text) <= Number.MAX_SAFE_INTEGER) ? { recordTtlMs: Number(text) } : undefined,
  },
]
