// Opening compressed batches. Only when another protocol, or retention by key, wants the records inside: Kafka clients get them as they came.
// Compressing only what retention by key has written anew, and what a topic wants compressed in its own way (compression.type).
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { gunzip, lz4, snappy, unlz4Frame, unsnappyBlock, unzstd } from '../../lib/decompress.ts'
import { MalformedFrame } from './wire.ts'

export const Codec = { None: 0, Gzip: 1, Snappy: 2, Lz4: 3, Zstd: 4 } as const

// A batch is refused above the topic's limit while it is compressed; this bounds what it may become when opened.
const openedBytesMax = 256 * 1024 * 1024
const xerialMagic = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00])

export function decompress(codec: number, bytes: Buffer): Buffer {
  switch (codec) {
    case Codec.None:
      return bytes
    case Codec.Gzip:
      return gunzip(bytes, openedBytesMax)
    case Codec.Snappy:
      return bytes.subarray(0, 8).equals(xerialMagic) ? openXerial(bytes) : unsnappyBlock(bytes, openedBytesMax)
    case Codec.Lz4:
      return unlz4Frame(bytes, openedBytesMax)
    case Codec.Zstd:
      return unzstd(bytes, openedBytesMax)
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
    const block = unsnappyBlock(bytes.subarray(at, at + length), openedBytesMax - total)
    total += block.length
    blocks.push(block)
    at += length
  }
  return Buffer.concat(blocks)
}
