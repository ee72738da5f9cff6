/** Fixed-width big-endian integers beyond 32 bits, exact up to 2^53. */

const two32 = 0x1_0000_0000

/** Writes an unsigned 64-bit integer; `value` must be an exact non-negative integer. */
export function putU64(buffer: Buffer, at: number, value: number): void {
  buffer.writeUInt32BE(Math.floor(value / two32), at)
  buffer.writeUInt32BE(value % two32, at + 4)
}

/** Reads an unsigned 64-bit integer; exact below 2^53. */
export function getU64(buffer: Buffer, at: number): number {
  return buffer.readUInt32BE(at) * two32 + buffer.readUInt32BE(at + 4)
}

/** FNV-1a, 32 bits, never 0 (which means "no key"). */
export function hash32(bytes: Uint8Array): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < bytes.length; at++) hash = Math.imul(hash ^ (bytes[at] as number), 0x01000193) // at < length
  return hash >>> 0 || 1
}
