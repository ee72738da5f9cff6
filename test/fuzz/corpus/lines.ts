/** Lines with their ends: the unit in which requests of text go wrong. */
export function lines(stream: Buffer): Buffer[] {
  const frames: Buffer[] = []
  for (let at = 0; at < stream.length; ) {
    const end = stream.indexOf('\n', at)
    const next = end < 0 ? stream.length : end + 1
    frames.push(stream.subarray(at, next))
    at = next
  }
  return frames
}
