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
  const words = subject.split('.')
  const from = words.length === 9 ? 2 : words.length >= 11 ? 4 : -1
  if (from < 0) return null
  const numbers = words.slice(from + 2, from + 5).map(Number)
  if (!numbers.every(Number.isSafeInteger)) return null
  const [deliveries = 0, streamSequence = 0, consumerSequence = 0] = numbers
  return { stream: words[from] ?? '', consumer: words[from + 1] ?? '', deliveries, streamSequence, consumerSequence }
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
