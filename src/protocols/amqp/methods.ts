// Every method of AMQP 0-9-1 and RabbitMQ's additions to it, as one table of field lists, with the small interpreter that reads
// and writes them. codec.ts writes the few hot methods by hand; a test holds both equal.
//
//   method     = class-id(u16) method-id(u16) fields
//   bit        = consecutive bits share one octet, the first in its lowest bit
//   shortstr   = length(u8) bytes     longstr = length(u32) bytes     table = see table.ts
import { Buffer } from 'node:buffer'
import { ByteReader, type ByteWriter } from './bytes.ts'
import { readTable, type Table, writeTable } from './table.ts'

type Kind = 'octet' | 'short' | 'long' | 'longlong' | 'bit' | 'shortstr' | 'longstr' | 'table'
type KindType = {
  octet: number
  short: number
  long: number
  /** Delivery tags: exact as a number up to 2^53. */
  longlong: number
  bit: boolean
  shortstr: string
  longstr: Buffer
  table: Table
}

type FieldList = Readonly<Record<string, Kind>>
type MethodShape = { readonly id: readonly [number, number]; readonly fields: FieldList; readonly content?: true }

const method = <F extends FieldList>(classId: number, methodId: number, fields: F) => ({
  id: [classId, methodId] as const,
  fields,
})

const ticket = { ticket: 'short' } as const
const closeFields = { replyCode: 'short', replyText: 'shortstr', classId: 'short', methodId: 'short' } as const
const tuneFields = { channelMax: 'short', frameMax: 'long', heartbeat: 'short' } as const
const exchangeBinding = {
  ...ticket,
  destination: 'shortstr',
  source: 'shortstr',
  routingKey: 'shortstr',
  nowait: 'bit',
  arguments: 'table',
} as const

export const methods = {
  'connection.start': method(10, 10, {
    versionMajor: 'octet',
    versionMinor: 'octet',
    serverProperties: 'table',
    mechanisms: 'longstr',
    locales: 'longstr',
  }),
  'connection.start-ok': method(10, 11, {
    clientProperties: 'table',
    mechanism: 'shortstr',
    response: 'longstr',
    locale: 'shortstr',
  }),
  'connection.secure': method(10, 20, { challenge: 'longstr' }),
  'connection.secure-ok': method(10, 21, { response: 'longstr' }),
  'connection.tune': method(10, 30, tuneFields),
  'connection.tune-ok': method(10, 31, tuneFields),
  'connection.open': method(10, 40, { virtualHost: 'shortstr', capabilities: 'shortstr', insist: 'bit' }),
  'connection.open-ok': method(10, 41, { knownHosts: 'shortstr' }),
  'connection.close': method(10, 50, closeFields),
  'connection.close-ok': method(10, 51, {}),
  'connection.blocked': method(10, 60, { reason: 'shortstr' }),
  'connection.unblocked': method(10, 61, {}),
  'connection.update-secret': method(10, 70, { newSecret: 'longstr', reason: 'shortstr' }),
  'connection.update-secret-ok': method(10, 71, {}),

  'channel.open': method(20, 10, { outOfBand: 'shortstr' }),
  'channel.open-ok': method(20, 11, { channelId: 'longstr' }),
  'channel.flow': method(20, 20, { active: 'bit' }),
  'channel.flow-ok': method(20, 21, { active: 'bit' }),
  'channel.close': method(20, 40, closeFields),
  'channel.close-ok': method(20, 41, {}),

  'access.request': method(30, 10, {
    realm: 'shortstr',
    exclusive: 'bit',
    passive: 'bit',
    active: 'bit',
    write: 'bit',
    read: 'bit',
  }),
  'access.request-ok': method(30, 11, ticket),

  'exchange.declare': method(40, 10, {
    ...ticket,
    exchange: 'shortstr',
    type: 'shortstr',
    passive: 'bit',
    durable: 'bit',
    autoDelete: 'bit',
    internal: 'bit',
    nowait: 'bit',
    arguments: 'table',
  }),
  'exchange.declare-ok': method(40, 11, {}),
  'exchange.delete': method(40, 20, { ...ticket, exchange: 'shortstr', ifUnused: 'bit', nowait: 'bit' }),
  'exchange.delete-ok': method(40, 21, {}),
  'exchange.bind': method(40, 30, exchangeBinding),
  'exchange.bind-ok': method(40, 31, {}),
  'exchange.unbind': method(40, 40, exchangeBinding),
  // 51, not 41: an old slip in RabbitMQ's grammar that every client has copied.
  'exchange.unbind-ok': method(40, 51, {}),

  'queue.declare': method(50, 10, {
    ...ticket,
    queue: 'shortstr',
    passive: 'bit',
    durable: 'bit',
    exclusive: 'bit',
    autoDelete: 'bit',
    nowait: 'bit',
    arguments: 'table',
  }),
  'queue.declare-ok': method(50, 11, { queue: 'shortstr', messageCount: 'long', consumerCount: 'long' }),
  'queue.bind': method(50, 20, {
    ...ticket,
    queue: 'shortstr',
    exchange: 'shortstr',
    routingKey: 'shortstr',
    nowait: 'bit',
    arguments: 'table',
  }),
  'queue.bind-ok': method(50, 21, {}),
  'queue.purge': method(50, 30, { ...ticket, queue: 'shortstr', nowait: 'bit' }),
  'queue.purge-ok': method(50, 31, { messageCount: 'long' }),
  'queue.delete': method(50, 40, { ...ticket, queue: 'shortstr', ifUnused: 'bit', ifEmpty: 'bit', nowait: 'bit' }),
  'queue.delete-ok': method(50, 41, { messageCount: 'long' }),
  'queue.unbind': method(50, 50, {
    ...ticket,
    queue: 'shortstr',
    exchange: 'shortstr',
    routingKey: 'shortstr',
    arguments: 'table',
  }),
  'queue.unbind-ok': method(50, 51, {}),

  'basic.qos': method(60, 10, { prefetchSize: 'long', prefetchCount: 'short', global: 'bit' }),
  'basic.qos-ok': method(60, 11, {}),
  'basic.consume': method(60, 20, {
    ...ticket,
    queue: 'shortstr',
    consumerTag: 'shortstr',
    noLocal: 'bit',
    noAck: 'bit',
    exclusive: 'bit',
    nowait: 'bit',
    arguments: 'table',
  }),
  'basic.consume-ok': method(60, 21, { consumerTag: 'shortstr' }),
  'basic.cancel': method(60, 30, { consumerTag: 'shortstr', nowait: 'bit' }),
  'basic.cancel-ok': method(60, 31, { consumerTag: 'shortstr' }),
  'basic.publish': method(60, 40, {
    ...ticket,
    exchange: 'shortstr',
    routingKey: 'shortstr',
    mandatory: 'bit',
    immediate: 'bit',
  }),
  'basic.return': method(60, 50, { replyCode: 'short', replyText: 'shortstr', exchange: 'shortstr', routingKey: 'shortstr' }),
  'basic.deliver': method(60, 60, {
    consumerTag: 'shortstr',
    deliveryTag: 'longlong',
    redelivered: 'bit',
    exchange: 'shortstr',
    routingKey: 'shortstr',
  }),
  'basic.get': method(60, 70, { ...ticket, queue: 'shortstr', noAck: 'bit' }),
  'basic.get-ok': method(60, 71, {
    deliveryTag: 'longlong',
    redelivered: 'bit',
    exchange: 'shortstr',
    routingKey: 'shortstr',
    messageCount: 'long',
  }),
  'basic.get-empty': method(60, 72, { clusterId: 'shortstr' }),
  'basic.ack': method(60, 80, { deliveryTag: 'longlong', multiple: 'bit' }),
  'basic.reject': method(60, 90, { deliveryTag: 'longlong', requeue: 'bit' }),
  'basic.recover-async': method(60, 100, { requeue: 'bit' }),
  'basic.recover': method(60, 110, { requeue: 'bit' }),
  'basic.recover-ok': method(60, 111, {}),
  'basic.nack': method(60, 120, { deliveryTag: 'longlong', multiple: 'bit', requeue: 'bit' }),

  'confirm.select': method(85, 10, { nowait: 'bit' }),
  'confirm.select-ok': method(85, 11, {}),

  'tx.select': method(90, 10, {}),
  'tx.select-ok': method(90, 11, {}),
  'tx.commit': method(90, 20, {}),
  'tx.commit-ok': method(90, 21, {}),
  'tx.rollback': method(90, 30, {}),
  'tx.rollback-ok': method(90, 31, {}),
} as const satisfies Record<string, MethodShape>

export type MethodName = keyof typeof methods
export type MethodFields<N extends MethodName> = {
  [K in keyof (typeof methods)[N]['fields']]: (typeof methods)[N]['fields'][K] extends Kind
    ? KindType[(typeof methods)[N]['fields'][K]]
    : never
}
export type Method = { [N in MethodName]: { readonly name: N; readonly fields: MethodFields<N> } }[MethodName]

export const methodKey = (classId: number, methodId: number): number => (classId << 16) | methodId

/** The two ids of a method as one number, the way they stand in the first four octets of its frame. */
export const keyOf = (name: MethodName): number => methodKey(methods[name].id[0], methods[name].id[1])

const byKey = new Map<number, { name: MethodName; fields: [string, Kind][] }>()
for (const name of Object.keys(methods) as MethodName[])
  byKey.set(keyOf(name), { name, fields: Object.entries(methods[name].fields) as [string, Kind][] })

export const methodName = (key: number): MethodName | undefined => byKey.get(key)?.name

/** Reads a method frame's payload; undefined for ids that no method has. Throws a RangeError when the payload is too short. */
export function decodeMethod(buffer: Buffer, start: number, end: number): Method | undefined {
  const reader = new ByteReader(buffer, start, end)
  const shape = byKey.get((reader.u16() << 16) | reader.u16())
  if (shape === undefined) return undefined
  const fields: Record<string, unknown> = {}
  let bits = 0
  let bitsLeft = 0
  for (const [name, kind] of shape.fields) {
    if (kind !== 'bit') {
      bitsLeft = 0
      fields[name] = readField(reader, kind)
      continue
    }
    if (bitsLeft === 0) {
      bits = reader.u8()
      bitsLeft = 8
    }
    fields[name] = (bits & 1) === 1
    bits >>= 1
    bitsLeft--
  }
  // The table above is the proof that the fields are the ones of this name.
  return { name: shape.name, fields } as unknown as Method
}

function readField(reader: ByteReader, kind: Exclude<Kind, 'bit'>): unknown {
  switch (kind) {
    case 'octet':
      return reader.u8()
    case 'short':
      return reader.u16()
    case 'long':
      return reader.u32()
    case 'longlong':
      return reader.u64()
    case 'shortstr':
      return reader.shortString()
    case 'longstr':
      return Buffer.from(reader.longBytes())
    case 'table':
      return readTable(reader)
  }
}

/** Writes a method's payload (ids and fields, without the frame around it). */
export function encodeMethod<N extends MethodName>(writer: ByteWriter, name: N, fields: MethodFields<N>): void {
  const shape = methods[name]
  writer.u16(shape.id[0])
  writer.u16(shape.id[1])
  const values = fields as Readonly<Record<string, unknown>>
  let bits = 0
  let bitCount = 0
  for (const [field, kind] of Object.entries(shape.fields) as [string, Kind][]) {
    if (kind === 'bit') {
      if (values[field] === true) bits |= 1 << bitCount
      bitCount++
      continue
    }
    if (0 < bitCount) {
      writer.u8(bits)
      bits = 0
      bitCount = 0
    }
    writeField(writer, kind, values[field])
  }
  if (0 < bitCount) writer.u8(bits)
}

// The casts hold because MethodFields gives each kind its type.
function writeField(writer: ByteWriter, kind: Exclude<Kind, 'bit'>, value: unknown): void {
  switch (kind) {
    case 'octet':
      return writer.u8(value as number)
    case 'short':
      return writer.u16(value as number)
    case 'long':
      return writer.u32(value as number)
    case 'longlong':
      return writer.u64(value as number)
    case 'shortstr':
      return writer.shortString(value as string)
    case 'longstr':
      return writer.longBytes(value as Buffer)
    case 'table':
      return writeTable(writer, value as Table)
  }
}
