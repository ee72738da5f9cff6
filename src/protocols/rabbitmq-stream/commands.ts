// The commands and their fields, after PROTOCOL.adoc: one table for what clients ask, one small interpreter. What the server says is written by the
// functions below; the hot frames (Publish, PublishConfirm, Deliver) stand in publish.ts and chunk.ts.
import { Buffer } from 'node:buffer'
import { MalformedFrame } from './errors.ts'
import { type Reader, Writer } from './wire.ts'

export const Key = {
  DeclarePublisher: 1,
  Publish: 2,
  PublishConfirm: 3,
  PublishError: 4,
  QueryPublisherSequence: 5,
  DeletePublisher: 6,
  Subscribe: 7,
  Deliver: 8,
  Credit: 9,
  StoreOffset: 10,
  QueryOffset: 11,
  Unsubscribe: 12,
  Create: 13,
  Delete: 14,
  Metadata: 15,
  MetadataUpdate: 16,
  PeerProperties: 17,
  SaslHandshake: 18,
  SaslAuthenticate: 19,
  Tune: 20,
  Open: 21,
  Close: 22,
  Heartbeat: 23,
  Route: 24,
  Partitions: 25,
  ConsumerUpdate: 26,
  ExchangeCommandVersions: 27,
  StreamStats: 28,
  CreateSuperStream: 29,
  DeleteSuperStream: 30,
  ResolveOffsetSpec: 31,
} as const
/** The highest bit of a key marks a response. */
export const responseBit = 0x8000

/** Where a reader begins. A timestamp is in ms since the epoch. */
export type OffsetSpec =
  | { readonly type: 'none' | 'first' | 'last' | 'next' }
  | { readonly type: 'offset'; readonly offset: number }
  | { readonly type: 'timestamp'; readonly timestamp: number }

export interface CommandVersion {
  readonly key: number
  readonly from: number
  readonly to: number
}

interface FieldTypes {
  u8: number
  u16: number
  u32: number
  u64: number
  string: string
  bytes: Buffer
  strings: string[]
  map: Map<string, string>
  /** A map that may be left out at a frame's end. */
  tailMap: Map<string, string>
  offsetSpec: OffsetSpec
  versions: CommandVersion[]
}
type FieldType = keyof FieldTypes
type Fields = Readonly<Record<string, FieldType>>

/** Requests of clients by their key; each begins with a correlation id, which is not listed. */
const requests = {
  [Key.DeclarePublisher]: { publisherId: 'u8', reference: 'string', stream: 'string' },
  [Key.QueryPublisherSequence]: { reference: 'string', stream: 'string' },
  [Key.DeletePublisher]: { publisherId: 'u8' },
  [Key.Subscribe]: {
    subscriptionId: 'u8',
    stream: 'string',
    offset: 'offsetSpec',
    credit: 'u16',
    properties: 'tailMap',
  },
  [Key.QueryOffset]: { reference: 'string', stream: 'string' },
  [Key.Unsubscribe]: { subscriptionId: 'u8' },
  [Key.Create]: { stream: 'string', arguments: 'map' },
  [Key.Delete]: { stream: 'string' },
  [Key.Metadata]: { streams: 'strings' },
  [Key.PeerProperties]: { properties: 'map' },
  [Key.SaslHandshake]: {},
  [Key.SaslAuthenticate]: { mechanism: 'string', data: 'bytes' },
  [Key.Open]: { virtualHost: 'string' },
  [Key.Close]: { code: 'u16', reason: 'string' },
  [Key.Route]: { routingKey: 'string', superStream: 'string' },
  [Key.Partitions]: { superStream: 'string' },
  [Key.ExchangeCommandVersions]: { versions: 'versions' },
  [Key.StreamStats]: { stream: 'string' },
  [Key.CreateSuperStream]: { name: 'string', partitions: 'strings', bindingKeys: 'strings', arguments: 'map' },
  [Key.DeleteSuperStream]: { name: 'string' },
  [Key.ResolveOffsetSpec]: { stream: 'string', offset: 'offsetSpec', properties: 'tailMap' },
} as const satisfies Record<number, Fields>

/** What clients send without expecting an answer, and their answers to us. */
const oneWay = {
  [Key.Credit]: { subscriptionId: 'u8', credit: 'u16' },
  [Key.StoreOffset]: { reference: 'string', stream: 'string', offset: 'u64' },
  [Key.Tune]: { frameMax: 'u32', heartbeat: 'u32' },
  [Key.Heartbeat]: {},
  [Key.ConsumerUpdate | responseBit]: { correlationId: 'u32', code: 'u16', offset: 'offsetSpec' },
  [Key.Close | responseBit]: { correlationId: 'u32', code: 'u16' },
} as const satisfies Record<number, Fields>

export type RequestKey = keyof typeof requests
type Read<F extends Fields> = { readonly [Name in keyof F]: FieldTypes[F[Name]] }
export type RequestFields<K extends RequestKey> = Read<(typeof requests)[K]>
export type CreditFields = Read<(typeof oneWay)[typeof Key.Credit]>
export type StoreOffsetFields = Read<(typeof oneWay)[typeof Key.StoreOffset]>
export type TuneFields = Read<(typeof oneWay)[typeof Key.Tune]>
export interface ConsumerUpdateAnswer {
  readonly correlationId: number
  readonly code: number
  readonly offset: OffsetSpec
}

export const isRequest = (key: number): key is RequestKey => key in requests

export const readRequest = <K extends RequestKey>(key: K, reader: Reader): RequestFields<K> =>
  readFields(requests[key], reader) as RequestFields<K> // the table is what the type is made of
export const readCredit = (reader: Reader): CreditFields => readFields(oneWay[Key.Credit], reader) as CreditFields
export const readStoreOffset = (reader: Reader): StoreOffsetFields =>
  readFields(oneWay[Key.StoreOffset], reader) as StoreOffsetFields
export const readTune = (reader: Reader): TuneFields => readFields(oneWay[Key.Tune], reader) as TuneFields
export const readConsumerUpdateAnswer = (reader: Reader): ConsumerUpdateAnswer =>
  readFields(oneWay[Key.ConsumerUpdate | responseBit] as Fields, reader) as unknown as ConsumerUpdateAnswer

function readFields(fields: Fields, reader: Reader): Record<string, unknown> {
  const read: Record<string, unknown> = {}
  for (const [name, type] of Object.entries(fields)) read[name] = readers[type](reader)
  if (!reader.done) throw new MalformedFrame(`${reader.end - reader.at} bytes are left behind the last field`)
  return read
}

const readers: { readonly [T in FieldType]: (reader: Reader) => FieldTypes[T] } = {
  u8: (reader) => reader.u8(),
  u16: (reader) => reader.u16(),
  u32: (reader) => reader.u32(),
  u64: (reader) => reader.u64(),
  string: (reader) => reader.string(),
  bytes: (reader) => reader.bytes(),
  strings: (reader) => Array.from({ length: reader.count(2) }, () => reader.string()),
  map: (reader) => new Map(Array.from({ length: reader.count(4) }, () => [reader.string(), reader.string()] as const)),
  tailMap: (reader) => (reader.done ? new Map() : readers.map(reader)),
  offsetSpec: readOffsetSpec,
  versions: (reader) =>
    Array.from({ length: reader.count(6) }, () => ({ key: reader.u16(), from: reader.u16(), to: reader.u16() })),
}

function readOffsetSpec(reader: Reader): OffsetSpec {
  const type = reader.u16()
  switch (type) {
    case 0:
      return { type: 'none' }
    case 1:
      return { type: 'first' }
    case 2:
      return { type: 'last' }
    case 3:
      return { type: 'next' }
    case 4:
      return { type: 'offset', offset: reader.u64() }
    case 5:
      return { type: 'timestamp', timestamp: reader.i64() }
    default:
      throw new MalformedFrame(`no offset specification has the type ${type}`)
  }
}

// ------------------------------------------------------------------------------------------------------------ what the server says

/** Begins a frame; {@link Writer.frame} ends it. */
export function begin(key: number, version = 1): Writer {
  const writer = new Writer()
  writer.u16(key)
  writer.u16(version)
  return writer
}

/** `code` null: the answer to Metadata has one for each stream instead. */
export function beginResponse(key: number, correlationId: number, code: number | null): Writer {
  const writer = begin(key | responseBit)
  writer.u32(correlationId)
  if (code !== null) writer.u16(code)
  return writer
}

/** What some answers hold beside their code, also when that is an error: clients read on. */
export const emptyTails: Partial<Record<RequestKey, (writer: Writer) => void>> = {
  [Key.QueryPublisherSequence]: (writer) => writer.i64(0),
  [Key.QueryOffset]: (writer) => writer.i64(0),
  [Key.Route]: (writer) => writer.u32(0),
  [Key.Partitions]: (writer) => writer.u32(0),
  [Key.StreamStats]: (writer) => writer.u32(0),
  [Key.Open]: (writer) => writer.u32(0),
  [Key.ResolveOffsetSpec]: (writer) => {
    writer.u16(4)
    writer.i64(0)
  },
}

export function writeMap(writer: Writer, map: Readonly<Record<string, string>>): void {
  const entries = Object.entries(map)
  writer.u32(entries.length)
  for (const [name, value] of entries) {
    writer.string(name)
    writer.string(value)
  }
}

export function writeStrings(writer: Writer, strings: readonly string[]): void {
  writer.u32(strings.length)
  for (const string of strings) writer.string(string)
}

export function tuneFrame(frameMax: number, heartbeatSeconds: number): Buffer {
  const writer = begin(Key.Tune)
  writer.u32(frameMax)
  writer.u32(heartbeatSeconds)
  return writer.frame()
}

export const heartbeatFrame: Buffer = begin(Key.Heartbeat).frame()

export function closeFrame(correlationId: number, code: number, reason: string): Buffer {
  const writer = begin(Key.Close)
  writer.u32(correlationId)
  writer.u16(code)
  writer.string(reason)
  return writer.frame()
}

export function metadataUpdateFrame(code: number, stream: string): Buffer {
  const writer = begin(Key.MetadataUpdate)
  writer.u16(code)
  writer.string(stream)
  return writer.frame()
}

export function consumerUpdateFrame(correlationId: number, subscriptionId: number, active: boolean): Buffer {
  const writer = begin(Key.ConsumerUpdate)
  writer.u32(correlationId)
  writer.u8(subscriptionId)
  writer.u8(active ? 1 : 0)
  return writer.frame()
}

/** Sent only when a credit was given to nobody. */
export function creditErrorFrame(code: number, subscriptionId: number): Buffer {
  const writer = begin(Key.Credit | responseBit)
  writer.u16(code)
  writer.u8(subscriptionId)
  return writer.frame()
}

/**
 * What the server takes, in answer to ExchangeCommandVersions. Deliver and ConsumerUpdate are the client's to name. In RabbitMQ's order: rstream
 * looks for Publish in the second place.
 */
export const spokenVersions: readonly CommandVersion[] = [
  Key.DeclarePublisher,
  Key.Publish,
  Key.QueryPublisherSequence,
  Key.DeletePublisher,
  Key.Subscribe,
  Key.Credit,
  Key.StoreOffset,
  Key.QueryOffset,
  Key.Unsubscribe,
  Key.Create,
  Key.Delete,
  Key.Metadata,
  Key.Close,
  Key.Heartbeat,
  Key.Route,
  Key.Partitions,
  Key.StreamStats,
  Key.CreateSuperStream,
  Key.DeleteSuperStream,
  Key.ResolveOffsetSpec,
].map((key) => ({ key, from: 1, to: key === Key.Publish ? 2 : 1 }))

// ------------------------------------------------------------------------------------------------------------------------ frames

/** A length beyond the limit; the frame itself is not buffered. */
export class FrameTooLarge extends Error {
  readonly bytes: number

  constructor(bytes: number, most: number) {
    super(`a frame of ${bytes} bytes exceeds ${most}`)
    this.bytes = bytes
  }
}

/** Cuts a connection's bytes into frames: u32 length, then key, version and content. */
export class FrameDecoder {
  /** Largest frame, without its length; 0: no limit. */
  frameMax: number
  #parts: Buffer[] = []
  #held = 0

  constructor(frameMax: number) {
    this.frameMax = frameMax
  }

  push(chunk: Buffer): void {
    if (chunk.length === 0) return
    this.#parts.push(chunk)
    this.#held += chunk.length
  }

  /** The next frame without its length, or undefined until more bytes come. Throws {@link FrameTooLarge}. */
  next(): Buffer | undefined {
    if (this.#held < 4) return undefined
    const length = this.#first(4).readUInt32BE(0)
    if (length < 4) throw new MalformedFrame(`a frame of ${length} bytes has no room for its key`)
    if (this.frameMax !== 0 && this.frameMax < length) throw new FrameTooLarge(length, this.frameMax)
    if (this.#held < 4 + length) return undefined
    const part = this.#first(4 + length)
    this.#held -= 4 + length
    if (part.length === 4 + length) this.#parts.shift()
    else this.#parts[0] = part.subarray(4 + length)
    return part.subarray(4, 4 + length)
  }

  /** The first part, which holds `bytes` bytes at least: only what straddles chunks is joined. */
  #first(bytes: number): Buffer {
    const first = this.#parts[0] as Buffer // callers check that so much is held
    if (bytes <= first.length) return first
    const taken: Buffer[] = []
    let missing = bytes
    let rest: Buffer | undefined
    while (0 < missing) {
      const part = this.#parts.shift() as Buffer // as above
      taken.push(part.subarray(0, missing))
      if (missing < part.length) rest = part.subarray(missing)
      missing -= part.length
    }
    const joined = Buffer.concat(taken, bytes)
    if (rest !== undefined) this.#parts.unshift(rest)
    this.#parts.unshift(joined)
    return joined
  }
}
