/** The matrix's side of RabbitMQ's streams, by the Java client in a process of its own (StreamMatrix.java). */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { within } from '../cases/cases.ts'
import { javaClasspath } from '../install.ts'
import { ATTRIBUTES, type Driver, HEADERS, type Seen } from './message.ts'

type Shown =
  | null
  | { readonly type: 'map'; readonly value: Readonly<Record<string, Shown>> }
  | { readonly type: string; readonly value: string }

export async function streamDriver(): Promise<Driver> {
  const program = spawn('java', ['-Xmx256m', '-cp', javaClasspath, 'StreamMatrix'], { stdio: ['pipe', 'pipe', 'inherit'] })
  const waiting: ((line: string) => void)[] = []
  createInterface({ input: program.stdout }).on('line', (line) => waiting.shift()?.(line))
  const ask = async (...words: string[]): Promise<Shown> => {
    const answer = new Promise<string>((resolve) => waiting.push(resolve))
    program.stdin.write(`${words.join(' ')}\n`)
    const answered = JSON.parse(await within(20_000, words.join(' '), answer)) as Shown & { error?: string }
    if (answered.error !== undefined) throw new Error(answered.error)
    return answered
  }
  return {
    name: 'stream',
    typedHeaders: true,
    declares: 'log',
    // Its builder has no header section, and its application properties hold neither null, decimals nor what is nested.
    cannotWrite: ['priority', 'expiration', 'h-decimal', 'h-null', 'h-array', 'h-table'],
    cannotRead: ['priority', 'expiration', 'h-decimal', 'h-null', 'h-array', 'h-table'],
    // It writes no header section, and times as plain numbers.
    cannotCopy: ['priority', 'expiration', 'h-timestamp'],
    declare: async (topic) => void (await ask('declare', topic)),
    produce: async (topic) => void (await ask('produce', topic)),
    consume: async (topic) => seen(fieldsOf(await ask('consume', topic))),
    forward: async (from, to) => void (await ask('forward', from, to)),
    close: async () => {
      program.stdin.end()
    },
  }
}

type Fields = Readonly<Record<string, Shown>>

const fieldsOf = (shown: Shown | undefined): Fields =>
  shown?.type === 'map' && typeof shown.value === 'object' ? shown.value : {}

function seen(message: Fields): Seen {
  const annotations = fieldsOf(message['annotations'])
  // The documented place of what AMQP 1.0 has no word for.
  const spare = fieldsOf(annotations['x-opt-anymq'])
  const placed: Fields = { ...message, type: annotations['x-basic-type'] ?? null, 'app-id': spare['appId'] ?? null }
  const key = read(spare['key'])
  const timestamp = read(message['timestamp'])
  return {
    body: read(message['body']) as Buffer,
    key: Buffer.isBuffer(key) ? key : undefined,
    timestamp: typeof timestamp === 'number' ? timestamp : undefined,
    attributes: Object.fromEntries(
      Object.keys(ATTRIBUTES).map((name) => {
        const value = read(placed[name])
        return [name, typeof value === 'string' ? value : undefined]
      }),
    ),
    headers: new Map(
      Object.entries(fieldsOf(message['headers'])).map(([name, value]) => [name, times.has(name) ? timeOf(value) : read(value)]),
    ),
    redelivered: undefined,
  }
}

/** As message.ts writes what was read. */
function read(shown: Shown | undefined): unknown {
  if (shown === null || shown === undefined || typeof shown.value !== 'string') return undefined
  const { type, value } = shown
  if (type === 'bytes') return Buffer.from(value, 'base64')
  if (type === 'bool') return value === 'true'
  if (type === 'integer' || type === 'float') return Number(value)
  return value
}

/** The client shows times as numbers. */
const times = new Set(HEADERS.filter(({ type }) => type === 'timestamp').map(({ name }) => name))
const timeOf = (shown: Shown): unknown => ({ '!': 'timestamp', value: Number(read(shown)) / 1000 })
