/** The one message of the matrix, and what each part of it must look like on the other side. */
import type { HeaderType } from '../../../src/core/record.ts'

/** A header with the type that its producer gave it; `text` is how a protocol without types shows it. */
export interface TypedHeader {
  readonly name: string
  readonly type: HeaderType
  /** As the AMQP client library takes it. */
  readonly written: unknown
  /** As the AMQP client library gives it back. */
  readonly read: unknown
  readonly text?: string
  readonly raw?: Buffer
}

const typed = (tag: string, value: unknown): { '!': string; value: unknown } => ({ '!': tag, value })

/** Every type of an AMQP 0-9-1 table that the client can write. */
export const HEADERS: readonly TypedHeader[] = [
  { name: 'h-bool', type: 'bool', written: true, read: true, text: 'true' },
  { name: 'h-i8', type: 'i8', written: typed('byte', -5), read: -5, text: '-5' },
  { name: 'h-i16', type: 'i16', written: typed('short', -300), read: -300, text: '-300' },
  { name: 'h-i32', type: 'i32', written: typed('int', -70_000), read: -70_000, text: '-70000' },
  { name: 'h-i64', type: 'i64', written: typed('long', 2 ** 40), read: 2 ** 40, text: '1099511627776' },
  { name: 'h-f32', type: 'f32', written: typed('float', 1.5), read: 1.5, text: '1.5' },
  { name: 'h-f64', type: 'f64', written: typed('double', 2.25), read: 2.25, text: '2.25' },
  {
    name: 'h-decimal',
    type: 'decimal',
    written: typed('decimal', { digits: 314, places: 2 }),
    read: typed('decimal', { digits: 314, places: 2 }),
  },
  { name: 'h-timestamp', type: 'timestamp', written: typed('timestamp', 1_700_000_000), read: typed('timestamp', 1_700_000_000) },
  { name: 'h-string', type: 'string', written: 'grüße', read: 'grüße', text: 'grüße' },
  {
    name: 'h-bytes',
    type: 'bytes',
    written: Buffer.from([0, 255, 7]),
    read: Buffer.from([0, 255, 7]),
    raw: Buffer.from([0, 255, 7]),
  },
  { name: 'h-null', type: 'null', written: null, read: null },
  { name: 'h-array', type: 'array', written: [1, 'two', [true]], read: [1, 'two', [true]] },
  { name: 'h-table', type: 'table', written: { a: { b: 'deep' } }, read: { a: { b: 'deep' } } },
]

export const BODY = Buffer.from('{"matrix":"größe"}')
export const KEY = Buffer.from([0x6b, 0x00, 0xff])
/** Whole seconds: AMQP 0-9-1 has no finer time. */
export const TIMESTAMP = 1_700_000_123_000

/** The well-known attributes by the names of the header space in which protocols without them show them. */
export const ATTRIBUTES = {
  'message-id': 'message-1',
  'correlation-id': 'correlation-1',
  'reply-to': 'replies',
  'content-type': 'application/json',
  'content-encoding': 'identity',
  type: 'order.created',
  expiration: '3600000',
  priority: '7',
  'app-id': 'matrix',
} as const

/** For clients that know a message by its body alone. */
export const allButTheBody = [
  'key',
  'timestamp',
  ...Object.keys(ATTRIBUTES),
  ...HEADERS.map(({ name }) => name),
  'header types named',
]

/** What a protocol's driver reads: neutral, so that each driver writes and reads without knowing the others. */
export interface Seen {
  readonly body: Buffer
  readonly key: Buffer | undefined
  readonly timestamp: number | undefined
  /** Well-known attributes by their names in {@link ATTRIBUTES}. */
  readonly attributes: Readonly<Record<string, string | undefined>>
  readonly headers: ReadonlyMap<string, unknown>
  /** How often it was delivered before; undefined where the protocol cannot say. */
  readonly redelivered: boolean | undefined
}

/** One protocol's real client, as the matrix needs it. A later protocol adds one of these and gets its row and its column. */
export interface Driver {
  readonly name: string
  /** True when header values carry their types on the wire. */
  readonly typedHeaders: boolean
  /** What {@link declare} makes: a queue, or a topic kept by time. */
  readonly declares?: 'queue' | 'log'
  /** What alone its client can use. */
  readonly needs?: 'queue' | 'log'
  /** Parts (rows of the table) that its client has no way to write, or to read: nobody looks for them there. */
  readonly cannotWrite?: readonly string[]
  readonly cannotRead?: readonly string[]
  /** What it loses of a message that it sends on as it came. */
  readonly cannotCopy?: readonly string[]
  /** Makes `topic` able to keep what is published to it; absent where a protocol has nothing of the kind. */
  declare?(topic: string): Promise<void>
  /** Begins to hear what is published to `topic`, before it is; absent where a protocol reads what is kept. */
  listen?(topic: string): Promise<void>
  produce(topic: string): Promise<void>
  /** `owner`: whose protocol declared it; '': nobody's. */
  consume(topic: string, owner: string): Promise<Seen>
  /** Reads one message and sends it to another topic as a program would that knows nothing of the other protocols: body, key, headers. */
  forward(from: string, to: string, owner: string): Promise<void>
  /** Reads one message, gives it back unacknowledged and reads it again; absent where a protocol has no such thing. */
  consumeTwice?(topic: string): Promise<Seen>
  close(): Promise<void>
}
