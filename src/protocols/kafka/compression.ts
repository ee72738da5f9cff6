// Opening compressed batches. Only when another protocol, or compaction, wants the records inside: Kafka clients get them as they came.
import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import { decompressFrameSync as lz4Decompress } from 'lz4-napi'
import { uncompressSync as snappyUncompress } from 'snappy'
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
      return gunzipSync(bytes, { maxOutputLength: openedBytesMax })
    case Codec.Snappy:
      return bytes.subarray(0, 8).equals(xerialMagic) ? openXerial(bytes) : snappyBlock(bytes)
    case Codec.Lz4:
      return Buffer.from(lz4Decompress(bytes))
    case Codec.Zstd:
      return zstdDecompressSync(bytes, { maxOutputLength: openedBytesMax })
    default:
      throw new MalformedFrame(`no such compression: ${codec}`)
  }
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
  return snappyUncompress(bytes, { asBuffer: true }) as Buffer
}
