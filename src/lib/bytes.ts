/** Fixed-width big-endian integers, exact up to 2^53. */

const two32 = 0x1_0000_0000

/** Writes an unsigned 32-bit integer; of a larger one what remains by 2^32. It is short enough to become part of whatever calls it. */
export function putU32(buffer: Buffer, at: number, value: number): void {
  const bits = value | 0
  buffer[at] = bits >>> 24
  buffer[at + 1] = bits >>> 16
  buffer[at + 2] = bits >>> 8
  buffer[at + 3] = bits
}

/** Writes an unsigned 64-bit integer; `value` must be an exact non-negative integer. */
export function putU64(buffer: Buffer, at: number, value: number): void {
  putU32(buffer, at, value / two32)
  putU32(buffer, at + 4, value)
}

/** Reads an unsigned 32-bit integer that is known to lie within the buffer. */
export function getU32(buffer: Buffer, at: number): number {
  const high = ((buffer[at] as number) << 24) | ((buffer[at + 1] as number) << 16)
  return (high | ((buffer[at + 2] as number) << 8) | (buffer[at + 3] as number)) >>> 0
}

/** Reads an unsigned 64-bit integer; exact below 2^53. Throws where it does not lie within the buffer. */
export function getU64(buffer: Buffer, at: number): number {
  return buffer.readUInt32BE(at) * two32 + buffer.readUInt32BE(at + 4)
}

/** FNV-1a, 32 bits, never 0 (which means "no key"). */
export function hash32(bytes: Uint8Array): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < bytes.length; at++) hash = Math.imul(hash ^ (bytes[at] as number), 0x01000193) // at < length
  return hash >>> 0 || 1
}
