// Bytes ⇄ frames. The decoder is pulled, so that a session can stop between two frames; the frames of the publish and deliver
// paths are read and written by hand here, all others by the table of methods.ts.
//
//   frame  = type(u8) channel(u16) size(u32) payload 0xCE
//   header = class-id(u16) weight(u16) body-size(u64) property-flags(u16...) property-list
import { Buffer } from 'node:buffer'
import { ByteReader, ByteWriter } from './bytes.ts'
import { encodeMethod, type MethodFields, type MethodName, methodKey } from './methods.ts'
import { readTable, type Table, writeTable } from './table.ts'

export const FrameType = { Method: 1, Header: 2, Body: 3, Heartbeat: 8 } as const
export const frameEnd = 0xce
/** Type, channel, size before the payload and the end octet behind it. */
export const frameOverhead = 8
/** What both sides must accept before tune-ok (AMQP 0-9-1, 4.2.3). */
export const frameMinBytes = 4096

export const protocolHeader = Buffer.from([0x41, 0x4d, 0x51, 0x50, 0, 0, 9, 1])
export const heartbeatFrame = Buffer.from([FrameType.Heartbeat, 0, 0, 0, 0, 0, 0, frameEnd])

export const FrameResult = { NeedBytes: 0, Frame: 1, Error: 2 } as const
export type FrameResult = (typeof FrameResult)[keyof typeof FrameResult]

/**
 * Splits the incoming bytes into frames. After `next()` answers Frame the payload is `buffer[start..end)`: a view into the
 * socket's chunk, or into a buffer of the frame's own length when it straddled chunks.
 */
export class FrameDecoder {
  type = 0
  channel = 0
  buffer: Buffer = protocolHeader
  start = 0
  end = 0
  /** The error's text when `next()` answers Error. */
  error = ''
  /** Largest frame accepted, overhead included. */
  frameMax = frameMinBytes * 2

  #chunks: Buffer[] = []
  #chunk: Buffer | null = null
  #position = 0
  readonly #head = Buffer.alloc(7)
  #headLength = 0
  #joined: Buffer | null = null
  #joinedLength = 0

  push(chunk: Buffer): void {
    if (this.#chunk === null) {
      this.#chunk = chunk
      this.#position = 0
    } else {
      this.#chunks.push(chunk)
    }
  }

  next(): FrameResult {
    for (;;) {
      const chunk = this.#chunk
      if (chunk === null) return FrameResult.NeedBytes
      const result = this.#read(chunk)
      if (result !== FrameResult.NeedBytes) return result
      this.#chunk = this.#chunks.shift() ?? null
      this.#position = 0
    }
  }

  #read(chunk: Buffer): FrameResult {
    if (this.#joined !== null) return this.#join(chunk, this.#joined)
    if (0 < this.#headLength) return this.#completeHead(chunk)
    const at = this.#position
    const available = chunk.length - at
    if (available < 7) {
      chunk.copy(this.#head, 0, at)
      this.#headLength = available
      return FrameResult.NeedBytes
    }
    const size = chunk.readUInt32BE(at + 3)
    if (this.#refuse(chunk[at] as number, size)) return FrameResult.Error
    this.type = chunk[at] as number
    this.channel = chunk.readUInt16BE(at + 1)
    if (available < size + frameOverhead) {
      this.#joined = Buffer.allocUnsafe(size + 1)
      this.#joinedLength = chunk.copy(this.#joined, 0, at + 7)
      return FrameResult.NeedBytes
    }
    this.#position = at + size + frameOverhead
    return this.#deliver(chunk, at + 7, at + 7 + size)
  }

  #completeHead(chunk: Buffer): FrameResult {
    const head = this.#head
    const copied = chunk.copy(head, this.#headLength, this.#position, this.#position + 7 - this.#headLength)
    this.#headLength += copied
    this.#position += copied
    if (this.#headLength < 7) return FrameResult.NeedBytes
    this.#headLength = 0
    const size = head.readUInt32BE(3)
    if (this.#refuse(head[0] as number, size)) return FrameResult.Error
    this.type = head[0] as number
    this.channel = head.readUInt16BE(1)
    const at = this.#position
    if (size < chunk.length - at) {
      this.#position = at + size + 1
      return this.#deliver(chunk, at, at + size)
    }
    this.#joined = Buffer.allocUnsafe(size + 1)
    this.#joinedLength = chunk.copy(this.#joined, 0, at)
    return FrameResult.NeedBytes
  }

  #join(chunk: Buffer, joined: Buffer): FrameResult {
    const copied = chunk.copy(joined, this.#joinedLength, this.#position, this.#position + joined.length - this.#joinedLength)
    this.#joinedLength += copied
    this.#position += copied
    if (this.#joinedLength < joined.length) return FrameResult.NeedBytes
    this.#joined = null
    return this.#deliver(joined, 0, joined.length - 1)
  }

  #refuse(type: number, size: number): boolean {
    if (this.frameMax - frameOverhead < size) {
      this.error = `type ${type}, frame_size ${size} bytes exceeds the negotiated maximum ${this.frameMax} bytes`
      return true
    }
    return false
  }

  #deliver(buffer: Buffer, start: number, end: number): FrameResult {
    if (buffer[end] !== frameEnd) {
      this.error = `type ${this.type}, all octets = <<>>: {invalid_frame_end_marker,${buffer[end]}}`
      return FrameResult.Error
    }
    this.buffer = buffer
    this.start = start
    this.end = end
    return FrameResult.Frame
  }
}

/** A whole method frame, for everything that is not hot. */
export function methodFrame<N extends MethodName>(channel: number, name: N, fields: MethodFields<N>): Buffer {
  const writer = new ByteWriter()
  writer.u8(FrameType.Method)
  writer.u16(channel)
  writer.u32(0)
  encodeMethod(writer, name, fields)
  writer.buffer.writeUInt32BE(writer.length - 7, 3)
  writer.u8(frameEnd)
  return writer.view()
}

export const publishKey = methodKey(60, 40)
export const ackKey = methodKey(60, 80)

/** Length of a basic.ack or basic.nack frame. */
export const ackFrameBytes = 7 + 4 + 9 + 1

/** basic.ack (`methodId` 80) or basic.nack (120; its second bit, requeue, stays clear as a server sends it). */
export function writeAck(slab: Buffer, at: number, channel: number, methodId: number, tag: number, multiple: boolean): void {
  slab[at] = FrameType.Method
  slab[at + 1] = channel >> 8
  slab[at + 2] = channel
  slab[at + 3] = 0
  slab[at + 4] = 0
  slab[at + 5] = 0
  slab[at + 6] = 13
  slab[at + 7] = 0
  slab[at + 8] = 60
  slab[at + 9] = 0
  slab[at + 10] = methodId
  writeU64(slab, at + 11, tag)
  slab[at + 19] = multiple ? 1 : 0
  slab[at + 20] = frameEnd
}

export function writeU64(slab: Buffer, at: number, value: number): void {
  const low = value % 0x1_0000_0000
  writeU32(slab, at, (value - low) / 0x1_0000_0000)
  writeU32(slab, at + 4, low)
}

export function writeU32(slab: Buffer, at: number, value: number): void {
  slab[at] = value >>> 24
  slab[at + 1] = value >>> 16
  slab[at + 2] = value >>> 8
  slab[at + 3] = value
}

export const readU32 = (buffer: Buffer, at: number): number =>
  (buffer[at] as number) * 0x100_0000 +
  (((buffer[at + 1] as number) << 16) | ((buffer[at + 2] as number) << 8) | (buffer[at + 3] as number))

export const readU64 = (buffer: Buffer, at: number): number => readU32(buffer, at) * 0x1_0000_0000 + readU32(buffer, at + 4)

/** Everything of a basic.deliver frame up to the delivery tag: made once a consumer. */
export function deliverPrefix(channel: number, consumerTag: string): Buffer {
  const writer = new ByteWriter()
  writer.u8(FrameType.Method)
  writer.u16(channel)
  writer.u32(0)
  writer.u16(60)
  writer.u16(60)
  writer.shortString(consumerTag)
  return Buffer.from(writer.view())
}

/** Bytes of the deliver (or any content-carrying method) frame plus the content header that {@link writeDeliver} writes. */
export const deliverBytes = (prefixBytes: number, namesBytes: number, propertiesBytes: number): number =>
  prefixBytes + 9 + namesBytes + 1 + 7 + 12 + propertiesBytes + 1

/**
 * basic.deliver and its content header. `buffer[names..namesEnd)` holds exchange and routing key as two short strings,
 * `buffer[properties..propertiesEnd)` the flags and property list: both as a publisher sent them. Returns where it ended.
 */
export function writeDeliver(
  slab: Buffer,
  start: number,
  prefix: Buffer,
  tag: number,
  redelivered: boolean,
  buffer: Buffer,
  names: number,
  namesEnd: number,
  properties: number,
  propertiesEnd: number,
  bodyBytes: number,
): number {
  let at = start
  const prefixBytes = prefix.length
  for (let i = 0; i < prefixBytes; i++) slab[at + i] = prefix[i] as number
  writeU32(slab, start + 3, prefixBytes - 7 + 9 + namesEnd - names)
  at += prefixBytes
  writeU64(slab, at, tag)
  slab[at + 8] = redelivered ? 1 : 0
  at += 9
  for (let i = names; i < namesEnd; i++) slab[at++] = buffer[i] as number
  slab[at] = frameEnd
  return writeContentHeader(
    slab,
    at + 1,
    slab[start + 1] as number,
    slab[start + 2] as number,
    buffer,
    properties,
    propertiesEnd,
    bodyBytes,
  )
}

export function writeContentHeader(
  slab: Buffer,
  start: number,
  channelHigh: number,
  channelLow: number,
  buffer: Buffer,
  properties: number,
  propertiesEnd: number,
  bodyBytes: number,
): number {
  let at = start
  slab[at] = FrameType.Header
  slab[at + 1] = channelHigh
  slab[at + 2] = channelLow
  writeU32(slab, at + 3, 12 + propertiesEnd - properties)
  slab[at + 7] = 0
  slab[at + 8] = 60
  slab[at + 9] = 0
  slab[at + 10] = 0
  writeU64(slab, at + 11, bodyBytes)
  at += 19
  if (propertiesEnd - properties < 48) {
    for (let i = properties; i < propertiesEnd; i++) slab[at++] = buffer[i] as number
  } else {
    at += buffer.copy(slab, at, properties, propertiesEnd)
  }
  slab[at] = frameEnd
  return at + 1
}

/** Bits of the property flags, in the order in which the properties follow. */
export const PropertyFlag = {
  contentType: 0x8000,
  contentEncoding: 0x4000,
  headers: 0x2000,
  deliveryMode: 0x1000,
  priority: 0x0800,
  correlationId: 0x0400,
  replyTo: 0x0200,
  expiration: 0x0100,
  messageId: 0x0080,
  timestamp: 0x0040,
  type: 0x0020,
  userId: 0x0010,
  appId: 0x0008,
  clusterId: 0x0004,
} as const

/** What a publish must know of a message's properties; filled again for each message, so that none is allocated. */
export class PropertyScan {
  deliveryMode = 0
  priority = -1
  /** Where the headers table (its length first) is; -1: none. */
  headers = -1
  /** Where these short strings begin (at their length); -1: none. */
  expiration = -1
  userId = -1
  replyTo = -1

  /** False when the properties are malformed. */
  scan(buffer: Buffer, start: number, end: number): boolean {
    this.deliveryMode = 0
    this.priority = -1
    this.headers = -1
    this.expiration = -1
    this.userId = -1
    this.replyTo = -1
    if (end - start < 2) return false
    const flags = ((buffer[start] as number) << 8) | (buffer[start + 1] as number)
    if ((flags & 1) !== 0) return false
    let at = start + 2
    if ((flags & 0xc000) !== 0) {
      if ((flags & PropertyFlag.contentType) !== 0) at += 1 + (buffer[at] as number)
      if ((flags & PropertyFlag.contentEncoding) !== 0) at += 1 + (buffer[at] as number)
    }
    if ((flags & PropertyFlag.headers) !== 0) {
      if (end < at + 4) return false
      this.headers = at
      at += 4 + readU32(buffer, at)
    }
    if ((flags & PropertyFlag.deliveryMode) !== 0) this.deliveryMode = buffer[at++] as number
    if ((flags & PropertyFlag.priority) !== 0) this.priority = buffer[at++] as number
    if ((flags & 0x07fc) !== 0) {
      if ((flags & PropertyFlag.correlationId) !== 0) at += 1 + (buffer[at] as number)
      if ((flags & PropertyFlag.replyTo) !== 0) {
        this.replyTo = at
        at += 1 + (buffer[at] as number)
      }
      if ((flags & PropertyFlag.expiration) !== 0) {
        this.expiration = at
        at += 1 + (buffer[at] as number)
      }
      if ((flags & PropertyFlag.messageId) !== 0) at += 1 + (buffer[at] as number)
      if ((flags & PropertyFlag.timestamp) !== 0) at += 8
      if ((flags & PropertyFlag.type) !== 0) at += 1 + (buffer[at] as number)
      if ((flags & PropertyFlag.userId) !== 0) {
        this.userId = at
        at += 1 + (buffer[at] as number)
      }
      if ((flags & PropertyFlag.appId) !== 0) at += 1 + (buffer[at] as number)
      if ((flags & PropertyFlag.clusterId) !== 0) at += 1 + (buffer[at] as number)
    }
    return at === end
  }
}

/** A message's properties, for the paths that must look at all of them. */
export interface Properties {
  contentType?: string
  contentEncoding?: string
  headers?: Table
  deliveryMode?: number
  priority?: number
  correlationId?: string
  replyTo?: string
  expiration?: string
  messageId?: string
  /** Seconds since the epoch. */
  timestamp?: number
  type?: string
  userId?: string
  appId?: string
  clusterId?: string
}

const propertyKinds = [
  ['contentType', 'text'],
  ['contentEncoding', 'text'],
  ['headers', 'table'],
  ['deliveryMode', 'octet'],
  ['priority', 'octet'],
  ['correlationId', 'text'],
  ['replyTo', 'text'],
  ['expiration', 'text'],
  ['messageId', 'text'],
  ['timestamp', 'time'],
  ['type', 'text'],
  ['userId', 'text'],
  ['appId', 'text'],
  ['clusterId', 'text'],
] as const satisfies readonly (readonly [keyof Properties, string])[]

/** Throws a RangeError when the bytes are malformed. */
export function decodeProperties(buffer: Buffer, start: number, end: number): Properties {
  const reader = new ByteReader(buffer, start, end)
  const flags = reader.u16()
  const properties: Record<string, unknown> = {}
  for (const [name, kind] of propertyKinds) {
    if ((flags & PropertyFlag[name]) === 0) continue
    switch (kind) {
      case 'text':
        properties[name] = reader.shortString()
        break
      case 'octet':
        properties[name] = reader.u8()
        break
      case 'time':
        properties[name] = reader.u64()
        break
      case 'table':
        properties[name] = readTable(reader)
        break
    }
  }
  return properties as Properties
}

export function encodeProperties(writer: ByteWriter, properties: Properties): void {
  let flags = 0
  for (const [name] of propertyKinds) if (properties[name] !== undefined) flags |= PropertyFlag[name]
  writer.u16(flags)
  for (const [name, kind] of propertyKinds) {
    const value = properties[name]
    if (value === undefined) continue
    // The kinds above say which type each property has.
    switch (kind) {
      case 'text':
        writer.shortString(value as string)
        break
      case 'octet':
        writer.u8(value as number)
        break
      case 'time':
        writer.u64(value as number)
        break
      case 'table':
        writeTable(writer, value as Table)
        break
    }
  }
}
