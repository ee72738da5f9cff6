/** One request each: an array of bulk strings. */
export function requests(stream: Buffer): Buffer[] {
  const starts = [...stream.toString('latin1').matchAll(/(?<=^|\r\n)\*\d+\r\n(?=\$)/g)].map(({ index }) => index)
  return starts.map((start, index) => stream.subarray(start, starts[index + 1] ?? stream.length))
}
