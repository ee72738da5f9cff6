/** Destinations of both dialects, RabbitMQ's and ActiveMQ's, as one closed set. Pure. */
import { StompError } from './errors.ts'

export type Destination =
  /** The topic of that name as a queue, made when it is missing. */
  | { readonly kind: 'queue'; readonly name: string }
  /** A queue that must exist. */
  | { readonly kind: 'existing'; readonly name: string }
  /** An address of the subject space: `pattern` when subscribed to. */
  | { readonly kind: 'topic'; readonly name: string }
  | { readonly kind: 'exchange'; readonly name: string; readonly key: string }
  /** A queue, or a topic, that this connection gives a name to. */
  | { readonly kind: 'temporary'; readonly name: string }
  | { readonly kind: 'temporary-topic'; readonly name: string }

const form =
  'a destination is /queue/NAME, /topic/KEY, /exchange/NAME[/KEY], /amq/queue/NAME, /temp-queue/NAME, /temp-topic/NAME or /reply-queue/NAME'

/** A slash within a name is written %2F. Throws {@link StompError}. */
export function parseDestination(text: string): Destination {
  // Some libraries write queues without a prefix.
  if (!text.startsWith('/')) return { kind: 'queue', name: nameOf(text, text) }
  const [, kind, ...rest] = text.split('/')
  switch (kind) {
    case 'queue':
      return { kind: 'queue', name: single(rest, text) }
    case 'topic':
      return { kind: 'topic', name: single(rest, text) }
    case 'exchange': {
      const [name = '', ...key] = rest
      if (key.length > 1) throw unknown(text)
      return { kind: 'exchange', name: nameOf(name, text), key: decode(key[0] ?? '', text) }
    }
    case 'amq':
      if (rest[0] !== 'queue') throw unknown(text)
      return { kind: 'existing', name: single(rest.slice(1), text) }
    case 'reply-queue':
      return { kind: 'existing', name: decode(rest.join('/'), text) }
    case 'temp-queue':
      return { kind: 'temporary', name: single(rest, text) }
    case 'temp-topic':
      return { kind: 'temporary-topic', name: single(rest, text) }
    default:
      throw unknown(text)
  }
}

function single(parts: readonly string[], text: string): string {
  if (parts.length !== 1) throw unknown(text)
  return nameOf(parts[0] ?? '', text)
}

function nameOf(part: string, text: string): string {
  const name = decode(part, text)
  if (name === '') throw unknown(text)
  return name
}

function decode(part: string, text: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    throw unknown(text, 'two hexadecimal digits of UTF-8 follow a percent sign, and one that stands for itself is %25')
  }
}

function unknown(text: string, why = form): StompError {
  return new StompError('Unknown destination', `'${text}': ${why}`)
}

const subjectExchange = 'amq.topic'

/** The exchange and the key to publish to, or to bind from; `''` is the default exchange. */
export function routeOf(destination: Destination): readonly [string, string] {
  switch (destination.kind) {
    case 'topic':
      return [subjectExchange, destination.name]
    case 'exchange':
      return [destination.name, destination.key]
    default:
      return ['', destination.name]
  }
}

/** ActiveMQ's `>` is the rest of an address, `*` one word of it; RabbitMQ's `#` and `*` are the broker's own. */
export function patternOf(name: string): string {
  return name
    .split('.')
    .map((word) => (word === '>' ? '#' : word))
    .join('.')
}

export const queueDestination = (name: string): string => `/queue/${encodeURIComponent(name)}`
export const topicDestination = (address: string): string => `/topic/${encodeURIComponent(address)}`
export const exchangeDestination = (name: string, key: string): string =>
  `/exchange/${encodeURIComponent(name)}/${encodeURIComponent(key)}`
