/** A buffer that is written from its beginning on, with room for so many bytes more: the same, or a larger one with what was written so far. */
export function withRoom(buffer: Buffer<ArrayBuffer>, used: number, bytes: number): Buffer<ArrayBuffer> {
  const needed = used + bytes
  if (needed <= buffer.length) return buffer
  const grown = Buffer.allocUnsafe(Math.max(needed, buffer.length * 2))
  buffer.copy(grown, 0, 0, used)
  return grown
}
