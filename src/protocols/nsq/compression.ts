/** Snappy (framing_format.txt) and deflate (RFC 1951, flushed after each turn) around a connection's frames, both ways. */
import { Buffer } from 'node:buffer'
import { constants, createInflateRaw, deflateRawSync } from 'node:zlib'
import type { Connection } from '../../broker/face.ts'
import { crc32c } from '../../lib/crc32c.ts'
import { snappy, unsnappyBlock } from '../../lib/decompress.ts'
import type { Output } from './codec.ts'

export type Compression = 'snappy' | 'deflate'

/** Collects what a turn writes, compresses it and gives it to the connection. */
export class Compressing implements Output {
  readonly #connection: Connection
  readonly #compress: (bytes: Buffer) => Buffer
  #pieces: Buffer[] = []
  slab: Buffer = Buffer.alloc(0)

  constructor(connection: Connection, compression: Compression, deflateLevel: number) {
    this.#connection = connection
    this.#compress = compression === 'snappy' ? snappyStream() : (bytes) => deflate(bytes, deflateLevel)
  }

  reserve(bytes: number): number {
    this.slab = Buffer.allocUnsafe(bytes)
    return 0
  }

  commit(bytes: number): void {
    this.write(this.slab.subarray(0, bytes))
  }

  write(bytes: Uint8Array): void {
    if (this.#pieces.length === 0) queueMicrotask(() => this.flush())
    this.#pieces.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length))
  }

  flush(): void {
    if (this.#pieces.length === 0) return
    this.#connection.write(this.#compress(Buffer.concat(this.#pieces.splice(0))))
  }
}

// Each call begins without what was sent before, so that the blocks it makes are good after any others.
const deflate = (bytes: Buffer, level: number): Buffer => deflateRawSync(bytes, { level, finishFlush: constants.Z_SYNC_FLUSH })

/** What opens a client's bytes. */
export interface Opening {
  push(chunk: Buffer): void
  close(): void
}

export interface OpeningHost {
  readonly connection: Pick<Connection, 'pause' | 'resume'>
  onOpened(bytes: Buffer): void
  onDamaged(reason: string): void
}

export const openingOf = (compression: Compression, host: OpeningHost): Opening =>
  compression === 'snappy' ? new SnappyOpening(host) : new DeflateOpening(host)

class DeflateOpening implements Opening {
  readonly #inflate = createInflateRaw({ flush: constants.Z_SYNC_FLUSH })
  readonly #host: OpeningHost
  #full = false

  constructor(host: OpeningHost) {
    this.#host = host
    this.#inflate.on('data', (bytes: Buffer) => host.onOpened(bytes))
    this.#inflate.on('error', (error) => host.onDamaged(error.message))
    this.#inflate.on('drain', () => {
      if (!this.#full) return
      this.#full = false
      host.connection.resume()
    })
  }

  push(chunk: Buffer): void {
    if (this.#inflate.write(chunk) || this.#full) return
    this.#full = true
    this.#host.connection.pause()
  }

  close(): void {
    this.#inflate.destroy()
  }
}

const headBytes = 4
const crcBytes = 4
const openedBytesMax = 65_536
/** What a compressor may make of that at worst, with its checksum. */
const chunkBytesMax = crcBytes + 76_490
const identifier = 'sNaPpY'
const Chunk = { Compressed: 0x00, Plain: 0x01, Skippable: 0x80, Identifier: 0xff } as const

class SnappyOpening implements Opening {
  readonly #host: OpeningHost
  #rest: Buffer = Buffer.alloc(0)
  #begun = false
  #failed = false

  constructor(host: OpeningHost) {
    this.#host = host
  }

  push(chunk: Buffer): void {
    if (this.#failed) return
    this.#rest = Buffer.concat([this.#rest, chunk])
    while (!this.#failed && this.#rest.length >= headBytes) {
      const type = this.#rest[0] as number // it has that
      const end = headBytes + this.#rest.readUIntLE(1, 3)
      if (type < Chunk.Skippable && end - headBytes > chunkBytesMax) return this.#fail('a chunk is too large')
      if (this.#rest.length < end) return
      const inside = this.#rest.subarray(headBytes, end)
      this.#rest = this.#rest.subarray(end)
      this.#open(type, inside)
    }
  }

  #open(type: number, inside: Buffer): void {
    if (!this.#begun && type !== Chunk.Identifier) return this.#fail('it does not begin with the stream identifier')
    if (type === Chunk.Identifier) {
      this.#begun = true
      if (inside.toString('latin1') !== identifier) this.#fail('the stream identifier is not right')
      return
    }
    if (type >= Chunk.Skippable) return
    if (type > Chunk.Plain || inside.length < crcBytes) return this.#fail(`a chunk of type ${type} that is not known`)
    let bytes: Buffer
    try {
      const content = inside.subarray(crcBytes)
      bytes = type === Chunk.Plain ? content : unsnappyBlock(content, openedBytesMax)
    } catch (cause) {
      return this.#fail(String(cause))
    }
    if (masked(crc32c(bytes)) !== inside.readUInt32LE(0)) return this.#fail('a checksum is wrong')
    this.#host.onOpened(bytes)
  }

  #fail(reason: string): void {
    this.#failed = true
    this.#host.onDamaged(`snappy: ${reason}`)
  }

  close(): void {
    this.#failed = true
  }
}

function snappyStream(): (bytes: Buffer) => Buffer {
  let begun = false
  return (bytes) => {
    const parts: Buffer[] = begun ? [] : [Buffer.from(`\xff\x06\x00\x00${identifier}`, 'latin1')]
    begun = true
    for (let at = 0; at < bytes.length; at += openedBytesMax) parts.push(...snappyChunk(bytes.subarray(at, at + openedBytesMax)))
    return Buffer.concat(parts)
  }
}

function snappyChunk(bytes: Buffer): [Buffer, Buffer] {
  const compressed = snappy().compressSync(bytes)
  const isSmaller = compressed.length < bytes.length
  const content = isSmaller ? compressed : bytes
  const head = Buffer.allocUnsafe(headBytes + crcBytes)
  head[0] = isSmaller ? Chunk.Compressed : Chunk.Plain
  head.writeUIntLE(crcBytes + content.length, 1, 3)
  head.writeUInt32LE(masked(crc32c(bytes)), headBytes)
  return [head, content]
}

/** Section 3 of the format: checksums of what holds checksums are bad ones. */
const masked = (crc: number): number => (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0
