/**
 * The stream format of S2 (github.com/klauspost/compress, s2/README.md) and of snappy (framing_format.txt), which are one: chunks of u8 type, u24 length.
 * Written is snappy's part of it, which readers of both understand; read is all of it.
 */
import { Buffer } from 'node:buffer'
import { crc32c } from './crc32c.ts'
import { snappy } from './decompress.ts'
import { Joined } from './joined.ts'

const Chunk = { Compressed: 0, Plain: 1, Skippable: 0x80, Identifier: 0xff } as const
/** Of a chunk of snappy's, opened. */
const plainBytesMax = 64 * 1024
/** Of a chunk of S2's, opened. */
const openedBytesMax = 4 * 1024 * 1024
const chunkBytesMax = openedBytesMax + 512 * 1024
const headBytes = 4
const checksumBytes = 4

export const identifier = Buffer.from('ff060000734e61507059', 'hex') // sNaPpY
const identifiers = ['sNaPpY', 'S2sTwO']

/** The chunks of these bytes; the stream begins with {@link identifier}. */
export function s2Chunks(bytes: Buffer): Buffer {
  const chunks: Buffer[] = []
  for (let at = 0; at < bytes.length; at += plainBytesMax) {
    const plain = bytes.subarray(at, at + plainBytesMax)
    const compressed = snappy().compressSync(plain)
    const smaller = compressed.length < plain.length
    const content = smaller ? compressed : plain
    const head = Buffer.alloc(headBytes + checksumBytes)
    head[0] = smaller ? Chunk.Compressed : Chunk.Plain
    head.writeUIntLE(content.length + checksumBytes, 1, 3)
    head.writeUInt32LE(masked(crc32c(plain)), headBytes)
    chunks.push(head, content)
  }
  return Buffer.concat(chunks)
}

function masked(crc: number): number {
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0
}

/** Opens a stream that comes in pieces. What it throws (RangeError) says what is wrong with it. */
export class S2Reader {
  readonly #head = Buffer.alloc(headBytes)
  #headLength = 0
  #body: Joined | null = null
  #begun = false

  /** What became whole with these bytes, opened. */
  push(bytes: Buffer): Buffer[] {
    const opened: Buffer[] = []
    for (let at = 0; at < bytes.length || this.#body?.length === 0; ) {
      if (this.#body === null) {
        this.#head[this.#headLength++] = bytes[at++] as number // at < length
        if (this.#headLength < headBytes) continue
        const length = this.#head.readUIntLE(1, 3)
        if (length > chunkBytesMax) throw new RangeError(`s2: a chunk of ${length} bytes`)
        this.#body = new Joined(length)
      }
      at = this.#body.take(bytes, at)
      const body = this.#body.whole
      if (body === null) break
      this.#body = null
      this.#headLength = 0
      const part = this.#open(this.#head[0] as number, body)
      if (part !== null) opened.push(part)
    }
    return opened
  }

  /** Whether it ends with a whole chunk. */
  get whole(): boolean {
    return this.#begun && this.#headLength === 0
  }

  #open(type: number, body: Buffer): Buffer | null {
    if (type === Chunk.Identifier) {
      if (!identifiers.includes(body.toString('latin1'))) throw new RangeError('s2: the stream is of another kind')
      this.#begun = true
      return null
    }
    if (!this.#begun) throw new RangeError('s2: the stream does not begin as one')
    if (type >= Chunk.Skippable) return null
    if (type !== Chunk.Compressed && type !== Chunk.Plain) throw new RangeError(`s2: a chunk of unknown type ${type}`)
    if (body.length < checksumBytes) throw new RangeError('s2: a chunk without its checksum')
    const content = body.subarray(checksumBytes)
    const plain = type === Chunk.Compressed ? openS2Block(content, openedBytesMax) : content
    if (masked(crc32c(plain)) !== body.readUInt32LE(0)) throw new RangeError('s2: a chunk does not match its checksum')
    return plain
  }
}

/** One block: its opened length, then literals and copies of what was opened before. Unlike snappy's, a copy may repeat the offset of the one before. */
export function openS2Block(block: Buffer, bytesMax: number): Buffer {
  let at = 0
  let length = 0
  for (let factor = 1; ; factor *= 128) {
    const byte = block[at++]
    if (byte === undefined || factor > 2 ** 28) throw corrupt()
    length += (byte & 0x7f) * factor
    if (byte < 0x80) break
  }
  if (length > bytesMax) throw new RangeError(`s2: ${length} bytes exceed ${bytesMax}`)
  const opened = Buffer.allocUnsafe(length)
  let to = 0
  let offset = 0
  const number = (bytes: number): number => {
    if (at + bytes > block.length) throw corrupt()
    at += bytes
    return block.readUIntLE(at - bytes, bytes)
  }
  while (at < block.length) {
    const tag = number(1)
    const kind = tag & 3
    if (kind === 0) {
      const short = tag >> 2
      const count = 1 + (short < 60 ? short : number(short - 59))
      if (at + count > block.length || to + count > length) throw corrupt()
      block.copy(opened, to, at, at + count)
      at += count
      to += count
      continue
    }
    let count = 1 + (tag >> 2)
    if (kind === 1) {
      const near = ((tag & 0xe0) << 3) | number(1)
      const few = (tag >> 2) & 7
      count = 4 + few
      if (near !== 0) offset = near
      else if (few > 4) count = 4 + number(few - 4) + [4, 1 << 8, 1 << 16][few - 5]! // few is 5 to 7
    } else offset = number(kind === 2 ? 2 : 4)
    if (offset === 0 || offset > to || to + count > length) throw corrupt()
    // What is copied may overlap what it makes.
    for (const end = to + count; to < end; to++) opened[to] = opened[to - offset] as number // offset <= to
  }
  if (to !== length) throw corrupt()
  return opened
}

const corrupt = (): RangeError => new RangeError('s2: a block is damaged')
