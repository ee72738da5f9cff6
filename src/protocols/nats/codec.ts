/**
 * Bytes ⇄ operations (NATS client protocol). Pure: no socket, no clock, no broker.
 *
 *   CONNECT {json}                       SUB subject [queue] sid        PING
 *   PUB subject [reply] bytes            UNSUB sid [max]                PONG
 *   HPUB subject [reply] head total      (PUB and HPUB: then the payload)
 *
 * Verbs in any case; fields apart by blanks or tabs; lines end with CR LF, payloads are followed by it. An operation's fields stand in the decoder
 * until the next call, so that nothing is allocated for them; payloads are views into the chunk, but for one that straddles chunks.
 */
import { Buffer } from 'node:buffer'
import { NatsError, words } from './errors.ts'

export const Op = { More: 0, Connect: 1, Publish: 2, Subscribe: 3, Unsubscribe: 4, Ping: 5, Pong: 6 } as const
export type Op = (typeof Op)[keyof typeof Op]

export interface DecoderLimits {
  /** Of the fields after the verb, bytes. */
  readonly controlLineBytesMax: number
  readonly payloadBytesMax: number
}

const lineFeed = 10
const carriageReturn = 13
const fieldsMax = 4
const verbBytesMax = 8
const nothing = Buffer.alloc(0)

export class Decoder {
  /** CONNECT: its JSON. */
  json = ''
  subject = ''
  /** '' when there is none. */
  reply = ''
  queue = ''
  sid = ''
  /** UNSUB: -1 when there is none. */
  max = -1
  /** Of the payload, how many bytes are headers. */
  headerBytes = 0
  /** PUB, HPUB: headers and payload. */
  payload: Buffer = nothing

  readonly #limits: DecoderLimits
  #chunk: Buffer = nothing
  #at = 0
  /** The beginning of a line that goes on in the next chunk. */
  readonly #line: Buffer
  #lineBytes = 0
  /** Of the payload that is being read, with its line end; -1: a line is being read. */
  #wanted = -1
  /** A payload that straddles chunks, and how much of it is there. */
  #joined: Buffer | null = null
  #joinedBytes = 0
  readonly #starts: number[] = new Array<number>(fieldsMax).fill(0)
  readonly #ends: number[] = new Array<number>(fieldsMax).fill(0)
  readonly #lastSubject = new LastText()

  constructor(limits: DecoderLimits) {
    this.#limits = limits
    this.#line = Buffer.allocUnsafe(verbBytesMax + limits.controlLineBytesMax + 2)
  }

  /** Everything of the chunk before has been taken by {@link next}. */
  push(chunk: Buffer): void {
    this.#chunk = chunk
    this.#at = 0
  }

  /** The next whole operation, or More. Throws {@link NatsError}; nothing can be read after that. */
  next(): Op {
    if (this.#wanted >= 0) return this.#readPayload()
    const chunk = this.#chunk
    const start = this.#at
    const end = chunk.indexOf(lineFeed, start)
    const bytes = (end < 0 ? chunk.length : end + 1) - start
    if (end >= 0 && this.#lineBytes === 0) {
      this.#at = end + 1
      return this.#parse(chunk, start, end)
    }
    if (this.#lineBytes + bytes > this.#line.length) throw this.#tooLong(chunk, start)
    chunk.copy(this.#line, this.#lineBytes, start, start + bytes)
    this.#lineBytes += bytes
    this.#at = start + bytes
    if (end < 0) {
      // What begins no verb is told at once, not when its line ends, which it may never do.
      if (this.#lineBytes > 0) checkVerb(this.#line, this.#lineBytes)
      return Op.More
    }
    const lineBytes = this.#lineBytes
    this.#lineBytes = 0
    return this.#parse(this.#line, 0, lineBytes - 1)
  }

  #tooLong(chunk: Buffer, start: number): NatsError {
    if (this.#lineBytes === 0) checkVerb(chunk.subarray(start), chunk.length - start)
    return new NatsError(words.controlLine)
  }

  // -------------------------------------------------------------------------------------------------------------------- lines

  /** `end` is where the line feed stands. */
  #parse(line: Buffer, start: number, end: number): Op {
    const last = end > start && line[end - 1] === carriageReturn ? end - 1 : end
    let at = start
    while (at < last && !isBlank(line[at] as number)) at++ // at < last <= length
    if (last - at > this.#limits.controlLineBytesMax) throw new NatsError(words.controlLine)
    switch (verbOf(line, start, at)) {
      case 'pub':
        return this.#publish(line, at, last, false)
      case 'hpub':
        return this.#publish(line, at, last, true)
      case 'sub':
        return this.#subscribe(line, at, last)
      case 'unsub':
        return this.#unsubscribe(line, at, last)
      case 'ping':
        return Op.Ping
      case 'pong':
        return Op.Pong
      case 'connect':
        this.json = line.toString('utf8', at, last)
        return Op.Connect
      case '+ok':
      case '-err':
        return this.next() // What a server says; nats-server passes over it, too.
      default:
        throw new NatsError(words.unknownOperation)
    }
  }

  #publish(line: Buffer, at: number, end: number, withHeaders: boolean): Op {
    const sizes = withHeaders ? 2 : 1
    const fields = this.#split(line, at, end)
    const hasReply = fields === sizes + 2
    if (fields !== sizes + 1 && !hasReply) throw new NatsError(words.parser)
    this.subject = this.#lastSubject.read(line, this.#starts[0] as number, this.#ends[0] as number) // 2 fields at least
    this.reply = hasReply ? this.#text(line, 1) : ''
    const total = this.#number(line, fields - 1)
    this.headerBytes = withHeaders ? this.#number(line, fields - 2) : 0
    if (total > this.#limits.payloadBytesMax) throw new NatsError(words.payload)
    // Some clients say that there are none.
    const cut = this.headerBytes > 0 && this.headerBytes < shortestHeader
    if (this.headerBytes > total || cut) throw new NatsError(words.parser)
    this.#wanted = total + 2
    return this.#readPayload()
  }

  #subscribe(line: Buffer, at: number, end: number): Op {
    const fields = this.#split(line, at, end)
    if (fields !== 2 && fields !== 3) throw new NatsError(words.parser)
    this.subject = this.#text(line, 0)
    this.queue = fields === 3 ? this.#text(line, 1) : ''
    this.sid = this.#text(line, fields - 1)
    return Op.Subscribe
  }

  #unsubscribe(line: Buffer, at: number, end: number): Op {
    const fields = this.#split(line, at, end)
    if (fields !== 1 && fields !== 2) throw new NatsError(words.parser)
    this.sid = this.#text(line, 0)
    this.max = fields === 2 ? this.#number(line, 1) : -1
    return Op.Unsubscribe
  }

  /** Notes where the fields stand; returns how many there are. */
  #split(line: Buffer, from: number, end: number): number {
    let count = 0
    let at = from
    for (;;) {
      while (at < end && isBlank(line[at] as number)) at++ // at < end <= length
      if (at >= end) return count
      if (count === fieldsMax) throw new NatsError(words.parser)
      this.#starts[count] = at
      while (at < end && !isBlank(line[at] as number)) at++
      this.#ends[count] = at
      count++
    }
  }

  #text(line: Buffer, field: number): string {
    return line.toString('utf8', this.#starts[field], this.#ends[field])
  }

  #number(line: Buffer, field: number): number {
    const start = this.#starts[field] as number // fields were counted
    const end = this.#ends[field] as number
    if (end - start > 9) throw new NatsError(words.parser)
    let value = 0
    for (let at = start; at < end; at++) {
      const digit = (line[at] as number) - 48 // at < end
      if (digit < 0 || digit > 9) throw new NatsError(words.parser)
      value = value * 10 + digit
    }
    return value
  }

  // ----------------------------------------------------------------------------------------------------------------- payloads

  #readPayload(): Op {
    const chunk = this.#chunk
    const there = chunk.length - this.#at
    if (this.#joined === null && there >= this.#wanted) {
      const start = this.#at
      this.#at += this.#wanted
      return this.#published(chunk, start)
    }
    this.#joined ??= Buffer.allocUnsafe(this.#wanted)
    const taken = Math.min(there, this.#wanted - this.#joinedBytes)
    chunk.copy(this.#joined, this.#joinedBytes, this.#at, this.#at + taken)
    this.#joinedBytes += taken
    this.#at += taken
    if (this.#joinedBytes < this.#wanted) return Op.More
    const joined = this.#joined
    this.#joined = null
    this.#joinedBytes = 0
    return this.#published(joined, 0)
  }

  #published(bytes: Buffer, start: number): Op {
    const end = start + this.#wanted - 2
    this.#wanted = -1
    if (bytes[end] !== carriageReturn || bytes[end + 1] !== lineFeed) throw new NatsError(words.unknownOperation)
    this.payload = bytes.subarray(start, end)
    return Op.Publish
  }
}

/** `NATS/1.0` and two line ends. */
const shortestHeader = 12

/** Publishers mostly repeat the subject: its text, and the hash that comes with it, are made once. */
class LastText {
  #bytes: Buffer = nothing
  #text = ''

  read(line: Buffer, start: number, end: number): string {
    const bytes = this.#bytes
    if (bytes.length === end - start && bytes.length > 0) {
      let at = 0
      while (at < bytes.length && bytes[at] === line[start + at]) at++
      if (at === bytes.length) return this.#text
    }
    this.#bytes = Buffer.from(line.subarray(start, end))
    this.#text = line.toString('utf8', start, end)
    return this.#text
  }
}

const isBlank = (byte: number): boolean => byte === 32 || byte === 9

const verbs = ['pub', 'hpub', 'sub', 'unsub', 'ping', 'pong', 'connect', '+ok', '-err'] as const
type Verb = (typeof verbs)[number]
const lower = (byte: number): number => (byte >= 65 && byte <= 90 ? byte | 32 : byte)

function verbOf(line: Buffer, start: number, end: number): Verb | null {
  for (const verb of verbs) {
    if (verb.length !== end - start) continue
    let at = 0
    while (at < verb.length && lower(line[start + at] as number) === verb.charCodeAt(at)) at++
    if (at === verb.length) return verb
  }
  return null
}

/** Throws when the line cannot become an operation. */
function checkVerb(line: Buffer, bytes: number): void {
  let length = 0
  while (length < bytes && length < verbBytesMax && !isBlank(line[length] as number)) length++
  if (length < bytes && verbOf(line, 0, length) !== null) return
  const begun = line.toString('latin1', 0, length).trimEnd().toLowerCase()
  if (!verbs.some((verb) => verb.startsWith(begun))) throw new NatsError(words.unknownOperation)
}
