// Opening compressed batches. Only when another protocol, or retention by key, wants the records inside: Kafka clients get them as they came.
// Compressing only what retention by key has written anew, and what a topic wants compressed in its own way (compression.type).
import { createRequire } from 'node:module'
import { gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import type Lz4 from 'lz4-napi'
import type Snappy from 'snappy'
import { MalformedFrame } from './wire.ts'

export const Codec = { None: 0, Gzip: 1, Snappy: 2, Lz4: 3, Zstd: 4 } as const

// A batch is refused above the topic's limit while it is compressed; this bounds what it may become when opened.
const openedBytesMax = 256 * 1024 * 1024
const xerialMagic = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00])

// Native libraries, loaded when the first batch needs them: an idle broker does without.
const load = createRequire(import.meta.url)
let loadedLz4: typeof Lz4 | undefined
let loadedSnappy: typeof Snappy | undefined

function lz4(): typeof Lz4 {
  loadedLz4 ??= load('lz4-napi') as typeof Lz4 // the library's own types
  return loadedLz4
}

function snappy(): typeof Snappy {
  loadedSnappy ??= load('snappy') as typeof Snappy // the library's own types
  return loadedSnappy
}

export function decompress(codec: number, bytes: Buffer): Buffer {
  switch (codec) {
    case Codec.None:
      return bytes
    case Codec.Gzip:
      return gunzipSync(bytes, { maxOutputLength: openedBytesMax })
    case Codec.Snappy:
      return bytes.subarray(0, 8).equals(xerialMagic) ? openXerial(bytes) : snappyBlock(bytes)
    case Codec.Lz4:
      return Buffer.from(lz4().decompressFrameSync(bytes))
    case Codec.Zstd:
      return zstdDecompressSync(bytes, { maxOutputLength: openedBytesMax })
    default:
      throw new MalformedFrame(`no such compression: ${codec}`)
  }
}

export function compress(codec: number, bytes: Buffer): Buffer {
  switch (codec) {
    case Codec.Gzip:
      return gzipSync(bytes)
    case Codec.Snappy:
      return makeXerial(bytes)
    case Codec.Lz4:
      return Buffer.from(lz4().compressFrameSync(bytes))
    case Codec.Zstd:
      return zstdCompressSync(bytes)
    default:
      return bytes
  }
}

/** The form of Java's library, which is the one that all clients read: magic, version 1, compatible with 1, then one block. */
function makeXerial(bytes: Buffer): Buffer {
  const block = snappy().compressSync(bytes)
  const header = Buffer.alloc(20)
  xerialMagic.copy(header)
  header.writeInt32BE(1, 8)
  header.writeInt32BE(1, 12)
  header.writeInt32BE(block.length, 16)
  return Buffer.concat([header, block])
}

/** Java and sarama: a 16-byte header, then blocks of int32 length + snappy. */
function openXerial(bytes: Buffer): Buffer {
  const blocks: Buffer[] = []
  let total = 0
  let at = 16
  while (at + 4 <= bytes.length) {
    const length = bytes.readInt32BE(at)
    at += 4
    if (length < 0 || at + length > bytes.length) throw new MalformedFrame('a snappy block runs beyond its batch')
    const block = snappyBlock(bytes.subarray(at, at + length))
    total += block.length
    if (total > openedBytesMax) throw new MalformedFrame(`a batch opens to more than ${openedBytesMax} bytes`)
    blocks.push(block)
    at += length
  }
  return Buffer.concat(blocks)
}

function snappyBlock(bytes: Buffer): Buffer {
  // The block begins with its opened length (varint): checked before the library allocates it.
  let length = 0
  for (let index = 0; index < 5; index++) {
    const byte = bytes[index] ?? 0
    length += (byte & 0x7f) * 2 ** (7 * index)
    if (byte < 0x80) break
  }
  if (length > openedBytesMax) throw new MalformedFrame(`a batch opens to more than ${openedBytesMax} bytes`)
  return snappy().uncompressSync(bytes, { asBuffer: true }) as Buffer
}
