/** Bytes as text, latin1. Keys and names come again and again, and to make text of bytes takes long: short ones met lately stand each at the place that its bytes lead to. */

const textsKept = 1024
const shortBytesMax = 32
const texts = new Array<string>(textsKept).fill('')
const uppers = new Array<string>(textsKept).fill('')

/** The place where a short text is; it is put there. */
function placeOf(data: Buffer, start: number, end: number): number {
  const length = end - start
  let hash = length
  for (let at = start; at < end; at++) hash = (Math.imul(hash, 31) + (data[at] as number)) | 0 // at < end
  const place = (hash ^ (hash >>> 10) ^ (hash >>> 20)) & (textsKept - 1)
  const kept = texts[place] as string // place < textsKept
  let same = kept.length === length
  for (let at = 0; same && at < length; at++) same = kept.charCodeAt(at) === data[start + at]
  if (same) return place
  const made = data.toString('latin1', start, end)
  texts[place] = made
  uppers[place] = made.toUpperCase()
  return place
}

export function textOf(data: Buffer, start: number, end: number): string {
  return end - start > shortBytesMax ? data.toString('latin1', start, end) : (texts[placeOf(data, start, end)] as string) // there now
}

/** In capitals. */
export function upperOf(data: Buffer, start: number, end: number): string {
  if (end - start > shortBytesMax) return data.toString('latin1', start, end).toUpperCase()
  return uppers[placeOf(data, start, end)] as string // there now
}
