// Opening what a client compressed. Each function throws when the bytes are not of its form, or open to more than `bytesMax`.
import { Buffer } from 'node:buffer'
import { createRequire } from 'node:module'
import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import type Lz4 from 'lz4-napi'
import type Snappy from 'snappy'

// Native libraries, loaded when they are first needed: an idle broker does without.
const load = createRequire(import.meta.url)
let loadedLz4: typeof Lz4 | undefined
let loadedSnappy: typeof Snappy | undefined

export function lz4(): typeof Lz4 {
  loadedLz4 ??= load('lz4-napi') as typeof Lz4 // the library's own types
  return loadedLz4
}

export function snappy(): typeof Snappy {
  loadedSnappy ??= load('snappy') as typeof Snappy // the library's own types
  return loadedSnappy
}

export const gunzip = (bytes: Buffer, bytesMax: number): Buffer => gunzipSync(bytes, { maxOutputLength: bytesMax })
export const unzstd = (bytes: Buffer, bytesMax: number): Buffer => zstdDecompressSync(bytes, { maxOutputLength: bytesMax })

export function unlz4Frame(bytes: Buffer, bytesMax: number): Buffer {
  return limited(Buffer.from(lz4().decompressFrameSync(bytes)), bytesMax)
}

/** One block of snappy's raw form. */
export function unsnappyBlock(bytes: Buffer, bytesMax: number): Buffer {
  // The block begins with its opened length (varint): checked before the library allocates it.
  let length = 0
  for (let index = 0; index < 5; index++) {
    const byte = bytes[index] ?? 0
    length += (byte & 0x7f) * 2 ** (7 * index)
    if (byte < 0x80) break
  }
  if (length > bytesMax) throw new RangeError(`snappy: ${length} bytes exceed ${bytesMax}`)
  return snappy().uncompressSync(bytes, { asBuffer: true }) as Buffer
}

/** Snappy's framing format (framing_format.txt): chunks of u8 type, u24 length in little-endian order; the checksums are left to the reader's codec. */
export function unsnappyFrames(bytes: Buffer, bytesMax: number): Buffer {
  const parts: Buffer[] = []
  let total = 0
  for (let at = 0; at < bytes.length; ) {
    if (bytes.length < at + 4) throw new RangeError('snappy: a chunk ends in its header')
    const type = bytes[at] as number // at < length
    const start = at + 4
    const end = start + bytes.readUIntLE(at + 1, 3)
    if (bytes.length < end) throw new RangeError('snappy: a chunk runs beyond its end')
    at = end
    // 0 compressed and 1 plain data, each behind a CRC of 4 bytes; 0x80 and above may be skipped.
    if (type === 0 || type === 1) {
      if (end < start + 4) throw new RangeError('snappy: a chunk without its checksum')
      const inside = bytes.subarray(start + 4, end)
      const part = type === 0 ? unsnappyBlock(inside, bytesMax - total) : inside
      total += part.length
      if (bytesMax < total) throw new RangeError(`snappy: ${total} bytes exceed ${bytesMax}`)
      parts.push(part)
    } else if (type < 0x80) throw new RangeError(`snappy: a chunk of unknown type ${type}`)
  }
  return Buffer.concat(parts)
}

function limited(bytes: Buffer, bytesMax: number): Buffer {
  if (bytesMax < bytes.length) throw new RangeError(`${bytes.length} bytes exceed ${bytesMax}`)
  return bytes
}
