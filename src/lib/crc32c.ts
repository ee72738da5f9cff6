import { crc32c as native } from '@node-rs/crc32'

// Slicing-by-8 wins below this length: a call into the addon costs more than the work (docs/decisions).
const nativeFromBytes = 256
const tables = makeTables()

/** CRC-32C (Castagnoli, RFC 3720 appendix B.4) of `bytes[start..end)`, as an unsigned 32-bit integer. */
export function crc32c(bytes: Uint8Array, start = 0, end = bytes.length): number {
  if (end - start >= nativeFromBytes) {
    return native(Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start)) >>> 0
  }
  return sliced(bytes, start, end)
}

function sliced(bytes: Uint8Array, start: number, end: number): number {
  let crc = ~0
  let at = start
  const t = tables
  for (; at + 8 <= end; at += 8) {
    // `at + 8 <= end` bounds every index; the table has 2048 numbers.
    const low = crc ^ (at0(bytes, at) | (at0(bytes, at + 1) << 8) | (at0(bytes, at + 2) << 16) | (at0(bytes, at + 3) << 24))
    crc =
      at0(t, 1792 + (low & 255)) ^
      at0(t, 1536 + ((low >>> 8) & 255)) ^
      at0(t, 1280 + ((low >>> 16) & 255)) ^
      at0(t, 1024 + (low >>> 24)) ^
      at0(t, 768 + at0(bytes, at + 4)) ^
      at0(t, 512 + at0(bytes, at + 5)) ^
      at0(t, 256 + at0(bytes, at + 6)) ^
      at0(t, at0(bytes, at + 7))
  }
  for (; at < end; at++) crc = (crc >>> 8) ^ at0(t, (crc ^ at0(bytes, at)) & 255)
  return ~crc >>> 0
}

function at0(array: Uint8Array | Uint32Array, index: number): number {
  return array[index] as number // every caller's index is within bounds
}

function makeTables(): Uint32Array {
  const table = new Uint32Array(8 * 256)
  for (let n = 0; n < 256; n++) {
    let crc = n
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
    table[n] = crc >>> 0
  }
  for (let n = 0; n < 256; n++) {
    let crc = at0(table, n)
    for (let slice = 1; slice < 8; slice++) {
      crc = at0(table, crc & 255) ^ (crc >>> 8)
      table[slice * 256 + n] = crc >>> 0
    }
  }
  return table
}
