/** Storing at given sequences, as copies and backups do: those that nothing is stored at are passed over. */
import { Buffer } from 'node:buffer'
import { PublishItem, PublishStatus, type Space } from '../../../broker/face.ts'
import { encodeEnvelope, messageFormatId, payloadFormatId } from '../mapping.ts'
import type { Stream } from './stream.ts'

/** Sequences passed over in one step. */
const gapMax = 100_000
const nothing = Buffer.alloc(0)

/** A message as it was, whatever it was published with. `headers`: the whole block, or nothing. */
export function itemOf(subject: string, headers: Buffer, payload: Buffer): PublishItem {
  if (headers.length === 0) return new PublishItem(null, subject, payloadFormatId, payload)
  return new PublishItem(null, subject, messageFormatId, encodeEnvelope('', headers.length, Buffer.concat([headers, payload])))
}

/** Its outcome stands in the item. */
export function place(stream: Stream, space: Space, item: PublishItem): void {
  item.into = stream.name
  space.publish([item], () => undefined)
  if (item.status === PublishStatus.Stored) stream.endSequence = item.baseOffset + item.count + stream.base
}

/** What comes next has this sequence: something is stored up to there and taken away. False when there is no room. */
export function passOver(stream: Stream, space: Space, sequence: number): boolean {
  for (let gap = sequence - stream.endSequence; gap > 0; gap = sequence - stream.endSequence) {
    const item = new PublishItem(null, stream.name, payloadFormatId, nothing)
    item.count = Math.min(gap, gapMax)
    place(stream, space, item)
    if (item.status !== PublishStatus.Stored) return false
    const offsets = Array.from({ length: item.count }, (_, index) => item.baseOffset + index)
    space.removeRecords(stream.name, 0, offsets).catch(() => undefined) // the stream is gone meanwhile
  }
  return true
}
