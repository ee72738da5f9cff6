/** What a bad client may send, made of what good ones sent. */
import type { Random } from '../simulation/disk.ts'

export interface Attack {
  readonly name: string
  /** Sent one after the other. */
  readonly chunks: readonly Buffer[]
  /** Then: wait for the broker, hang up, or cut the connection. */
  readonly end: 'wait' | 'close' | 'reset'
  /** Never reads what the broker answers. */
  readonly deaf: boolean
}

/** Values at which lengths, counts and numbers of things go wrong. */
const edges = [0, 1, -1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 0x05ffffff]

/** The same where numbers are written in digits. */
const writtenEdges = [
  '',
  '-',
  '0',
  '-1',
  '00000000000000000001',
  '1e9',
  '0x10',
  '2147483648',
  '4294967296',
  '9223372036854775808',
  '9'.repeat(40),
]

/** `sessions`: each connection that was recorded, as its frames; `others`: those of other protocols. */
export function makeAttack(random: Random, sessions: readonly Buffer[][], others: readonly Buffer[][]): Attack {
  const session = pick(random, sessions) ?? []
  const end = pick(random, ['wait', 'wait', 'close', 'reset'] as const) ?? 'wait'
  const deaf = random.chance(0.1)
  const kinds: [string, () => Buffer[]][] = [
    ['garbage', () => [garbage(random, 1 + random.below(5000))]],
    [
      'garbage after a good beginning',
      () => [...session.slice(0, 1 + random.below(session.length)), garbage(random, 1 + random.below(3000))],
    ],
    ['cut off', () => cut(random, session)],
    ['changed bytes', () => changed(random, session, 1 + random.below(3), flip)],
    ['changed numbers', () => changed(random, session, 1 + random.below(3), edge)],
    ['changed digits', () => changed(random, session, 1 + random.below(3), digits)],
    ['missing bytes', () => changed(random, session, 1, drop)],
    ['more bytes', () => changed(random, session, 1, insert)],
    ['giant length', () => giant(random, session)],
    ['wrong order', () => shuffled(random, session)],
    ['said twice', () => session.flatMap((frame) => (random.chance(0.3) ? [frame, frame] : [frame]))],
    ['left out', () => session.filter(() => random.chance(0.8))],
    ['byte by byte', () => split(Buffer.concat(session).subarray(0, 3000), 1)],
    ['in odd pieces', () => split(Buffer.concat(session), 1 + random.below(40))],
    ['all at once, many times', () => new Array<Buffer>(20).fill(Buffer.concat(session))],
    ['another protocol', () => pick(random, others) ?? []],
  ]
  const [name, make] = pick(random, kinds) as [string, () => Buffer[]] // there are some
  return { name, chunks: make(), end, deaf }
}

function pick<T>(random: Random, from: readonly T[]): T | undefined {
  return from[random.below(from.length)]
}

function garbage(random: Random, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => random.below(256)))
}

function cut(random: Random, frames: readonly Buffer[]): Buffer[] {
  const kept = frames.slice(0, 1 + random.below(frames.length))
  const last = kept.pop() ?? Buffer.alloc(0)
  return [...kept, last.subarray(0, random.below(last.length + 1))]
}

type Change = (random: Random, frame: Buffer) => Buffer

/** The first frames as they were, so that the broker gets to those that are not. */
function changed(random: Random, frames: readonly Buffer[], times: number, change: Change): Buffer[] {
  const result = [...frames]
  for (let count = 0; count < times; count++) {
    const at = random.below(result.length)
    result[at] = change(random, Buffer.from(result[at] ?? []))
  }
  return result
}

function flip(random: Random, frame: Buffer): Buffer {
  for (let count = 1 + random.below(4); count > 0 && frame.length > 0; count--) {
    const at = random.below(frame.length)
    frame[at] = random.chance(0.5) ? random.below(256) : (frame[at] as number) ^ (1 << random.below(8)) // at < length
  }
  return frame
}

function edge(random: Random, frame: Buffer): Buffer {
  const bytes = pick(random, [1, 2, 4, 8]) ?? 1
  if (frame.length < bytes) return frame
  const value = pick(random, edges) ?? 0
  const at = random.below(frame.length - bytes + 1)
  for (let index = 0; index < bytes; index++)
    frame[at + bytes - 1 - index] = index < 4 ? (value >>> (8 * index)) & 255 : value < 0 ? 255 : 0
  return frame
}

function digits(random: Random, frame: Buffer): Buffer {
  const text = frame.toString('latin1')
  const number = pick(random, [...text.matchAll(/\d+/g)])
  if (number === undefined) return frame
  const after = text.slice(number.index + number[0].length)
  return Buffer.from(text.slice(0, number.index) + pick(random, writtenEdges) + after, 'latin1')
}

function drop(random: Random, frame: Buffer): Buffer {
  const at = random.below(frame.length + 1)
  return Buffer.concat([frame.subarray(0, at), frame.subarray(at + 1 + random.below(20))])
}

function insert(random: Random, frame: Buffer): Buffer {
  const at = random.below(frame.length + 1)
  return Buffer.concat([frame.subarray(0, at), garbage(random, 1 + random.below(40)), frame.subarray(at)])
}

/** One of the first bytes of a frame says that much more is to come, and some of it comes. */
function giant(random: Random, frames: readonly Buffer[]): Buffer[] {
  const at = random.below(frames.length)
  const frame = Buffer.from(frames[at] ?? [])
  const place = random.below(Math.max(1, Math.min(8, frame.length - 3)))
  if (frame.length >= place + 4)
    frame.writeUInt32BE(pick(random, [0x7fffffff, 0xffffffff, 0x80000000, 0x06400000, 0x01000000]) ?? 0, place)
  return [...frames.slice(0, at), frame, ...new Array<Buffer>(random.below(20)).fill(Buffer.alloc(64 * 1024, 0x41))]
}

function shuffled(random: Random, frames: readonly Buffer[]): Buffer[] {
  const result = random.chance(0.5) ? [...frames] : frames.slice(1)
  for (let at = result.length - 1; at > 0; at--) {
    const other = random.below(at + 1)
    const frame = result[at] as Buffer // both within
    result[at] = result[other] as Buffer
    result[other] = frame
  }
  return result
}

function split(bytes: Buffer, size: number): Buffer[] {
  const pieces: Buffer[] = []
  for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size))
  return pieces
}
