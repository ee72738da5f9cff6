/**
 * What a stream is backed up as: the archive of nats-server 2.15 (server/archive), inside an S2 stream. `NATSARC1`, then entries: the lengths of name,
 * headers and payload, a time in ns and a sequence as varints of protobuf's kinds, then the three. One without a name is the end.
 */
import { Buffer } from 'node:buffer'

const magic = Buffer.from('NATSARC1')
const varintBytesMax = 10
/** Of one entry; more is no message. */
const entryBytesMax = 64 * 1024 * 1024
const nothing = Buffer.alloc(0)

export interface Entry {
  readonly name: string
  /** ms since the epoch. */
  readonly time: number
  readonly sequence: number
  readonly headers: Buffer
  readonly payload: Buffer
}

export const beginning = magic
export const ending: Entry = { name: '', time: 0, sequence: 0, headers: nothing, payload: nothing }

export function encodeEntry({ name, time, sequence, headers, payload }: Entry): Buffer {
  const text = Buffer.from(name)
  const head: number[] = []
  put(head, BigInt(text.length))
  put(head, BigInt(time) * 2_000_000n) // zigzag of what is not negative
  for (const value of [sequence, headers.length, payload.length]) put(head, BigInt(value))
  return Buffer.concat([Buffer.from(head), text, headers, payload])
}

function put(to: number[], value: bigint): void {
  let rest = value
  for (; rest > 0x7fn; rest >>= 7n) to.push(Number(rest & 0x7fn) | 0x80)
  to.push(Number(rest))
}

/** Takes an archive that comes in pieces apart. Throws RangeError where it is none. */
export class ArchiveReader {
  #held: Buffer = nothing
  #begun = false

  /** Entries that became whole with these bytes; their bytes are views of them. */
  push(pieces: readonly Buffer[]): Entry[] {
    let bytes = Buffer.concat([this.#held, ...pieces])
    if (!this.#begun) {
      const known = Math.min(bytes.length, magic.length)
      if (!bytes.subarray(0, known).equals(magic.subarray(0, known))) throw new RangeError('the backup is of another format')
      this.#begun = known === magic.length
      if (this.#begun) bytes = bytes.subarray(known)
    }
    const entries: Entry[] = []
    while (this.#begun) {
      const found = decodeEntry(bytes)
      if (found === null) break
      entries.push(found.entry)
      bytes = bytes.subarray(found.bytes)
    }
    this.#held = bytes
    return entries
  }
}

/** null: it is not whole yet. */
function decodeEntry(bytes: Buffer): { readonly entry: Entry; readonly bytes: number } | null {
  let at = 0
  const numbers: bigint[] = []
  while (numbers.length < 5) {
    let value = 0n
    for (let index = 0; ; index++) {
      const byte = bytes[at++]
      if (byte === undefined) return null
      if (index === varintBytesMax) throw new RangeError('a number of the backup is too long')
      value |= BigInt(byte & 0x7f) << BigInt(7 * index)
      if (byte < 0x80) break
    }
    numbers.push(value)
  }
  const [nameBytes = 0n, time = 0n, sequence = 0n, headerBytes = 0n, payloadBytes = 0n] = numbers
  const length = nameBytes + headerBytes + payloadBytes
  if (length > BigInt(entryBytesMax) || sequence > BigInt(Number.MAX_SAFE_INTEGER))
    throw new RangeError('an entry of the backup is too large')
  if (at + Number(length) > bytes.length) return null
  const headersAt = at + Number(nameBytes)
  const payloadAt = headersAt + Number(headerBytes)
  const end = at + Number(length)
  const nanos = (time >> 1n) ^ -(time & 1n)
  const entry = {
    name: bytes.toString('utf8', at, headersAt),
    time: Number(nanos / 1_000_000n),
    sequence: Number(sequence),
    headers: bytes.subarray(headersAt, payloadAt),
    payload: bytes.subarray(payloadAt, end),
  }
  return { entry, bytes: end }
}
