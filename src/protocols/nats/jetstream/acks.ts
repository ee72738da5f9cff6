/** The subject that a delivered message is acknowledged on: it says which one, and clients read from it what they show as its metadata. */
import { msOf, parseDuration } from './times.ts'

export interface AckPlace {
  readonly stream: string
  readonly consumer: string
  /** How often the message had been delivered. */
  readonly deliveries: number
  readonly streamSequence: number
  readonly consumerSequence: number
}

/** `$JS.ACK.<stream>.<consumer>.<deliveries>.<stream sequence>.<consumer sequence>.<time, ns>.<pending>` */
export function ackSubject(
  prefix: string,
  deliveries: number,
  streamSequence: number,
  consumerSequence: number,
  timeMs: number,
  pending: number,
): string {
  return `${prefix}${deliveries}.${streamSequence}.${consumerSequence}.${timeMs}000000.${pending}`
}

export const ackPrefix = (stream: string, consumer: string): string => `$JS.ACK.${stream}.${consumer}.`

/** Also the longer form, with a domain and an account before the stream. null for what is none. */
export function parseAck(subject: string): AckPlace | null {
  let words = 1
  for (let at = subject.indexOf('.'); at >= 0; at = subject.indexOf('.', at + 1)) words++
  const before = words === 9 ? 2 : words >= 11 ? 4 : -1
  if (before < 0) return null
  let at = 0
  for (let word = 0; word < before; word++) at = subject.indexOf('.', at) + 1
  const streamEnd = subject.indexOf('.', at)
  const consumerEnd = subject.indexOf('.', streamEnd + 1)
  const deliveriesEnd = subject.indexOf('.', consumerEnd + 1)
  const streamSequenceEnd = subject.indexOf('.', deliveriesEnd + 1)
  const deliveries = numberIn(subject, consumerEnd + 1, deliveriesEnd)
  const streamSequence = numberIn(subject, deliveriesEnd + 1, streamSequenceEnd)
  const consumerSequence = numberIn(subject, streamSequenceEnd + 1, subject.indexOf('.', streamSequenceEnd + 1))
  if (deliveries < 0 || streamSequence < 0 || consumerSequence < 0) return null
  const stream = subject.slice(at, streamEnd)
  return { stream, consumer: subject.slice(streamEnd + 1, consumerEnd), deliveries, streamSequence, consumerSequence }
}

/** -1 for what is no number that can be told exactly. */
function numberIn(text: string, start: number, end: number): number {
  if (start === end || end - start > 15) return -1
  let value = 0
  for (let at = start; at < end; at++) {
    const digit = text.charCodeAt(at) - 48
    if (digit < 0 || digit > 9) return -1
    value = value * 10 + digit
  }
  return value
}

/** What a negative acknowledgement asks for: `{"delay": nanoseconds}`, or a duration as Go writes it. */
export function nakDelayMs(options: string): number {
  if (options === '') return 0
  if (!options.startsWith('{')) return parseDuration(options) ?? 0
  try {
    const { delay } = JSON.parse(options) as { delay?: unknown }
    return typeof delay === 'number' ? msOf(delay) : 0
  } catch {
    return 0 // as one without options
  }
}
