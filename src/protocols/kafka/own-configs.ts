// What this broker's topics can do that Kafka's cannot, as topic configs under the prefix `anymq.`: what becomes of records that a consumer gives
// back. They count for whoever acknowledges records one by one, which Kafka's ordinary consumers do not.
import type { ConfigRow } from './config.ts'
import { isTopicName } from './names.ts'

// Written as numbers here, since config.ts, which names them, is made of these rows.
const [string, int, long] = [2, 3, 5]
const whole = /^\d+$/

/** `min`, or `min:max`, in ms. */
const delays = /^(\d+)(?::(\d+))?$/

export const ownConfigRows: readonly ConfigRow[] = [
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
