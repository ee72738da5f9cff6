/** What WebSocket clients send, whatever they speak inside: both go wrong, the frames and what is in them. */
import type { Corpus } from './corpus.ts'

export const webSocket: Required<Pick<Corpus, 'saysWhy' | 'frames'>> = {
  saysWhy: isClosingAnswered,

  /** The lines of the upgrade; then each frame: two bytes, more of the length, four of the mask, and so many bytes. */
  frames(stream) {
    const upgrade = stream.indexOf('\r\n\r\n') + 4
    const frames = upgrade < 4 ? [] : [stream.subarray(0, upgrade)]
    for (let at = upgrade < 4 ? 0 : upgrade; at < stream.length; ) {
      const short = (stream[at + 1] ?? 0) & 127
      const isWhole = at + 14 <= stream.length
      const length = short < 126 || !isWhole ? short : short === 126 ? stream.readUInt16BE(at + 2) : stream.readUInt32BE(at + 6)
      const head = 6 + (short < 126 ? 0 : short === 126 ? 2 : 8)
      frames.push(stream.subarray(at, at + head + length))
      at += head + length
    }
    return frames
  },
}

/** What the broker closes for, of RFC 6455 section 7.4.1; with another code, or none, it answers the peer's own closing. */
const ownCloseCodes = [1001, 1002, 1003, 1007, 1008, 1009, 1011]

function isClosingAnswered(heardLast: Buffer): boolean {
  if (heardLast.subarray(-2).equals(Buffer.from([0x88, 0]))) return true
  const frame = heardLast.subarray(-4)
  return frame.length === 4 && frame.readUInt16BE(0) === 0x8802 && !ownCloseCodes.includes(frame.readUInt16BE(2))
}
