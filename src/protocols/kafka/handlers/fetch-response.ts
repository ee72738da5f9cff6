// The answer to a fetch, written by hand with its payloads by reference; codec.test.ts holds it equal to the table.
import type { FetchPart } from '../fetch-session.ts'
import type { Writer } from '../wire.ts'

/** throttleTimeMs errorCode sessionId [topic [partition errorCode highWatermark lastStableOffset logStartOffset [aborted] preferred records]] */
export function writeFetchResponse(
  writer: Writer,
  sessionId: number,
  parts: readonly FetchPart[],
  version: number,
  throttleTimeMs = 0,
): void {
  const flexible = version >= 12
  const count = (elements: number): void => (flexible ? writer.uvarint(elements + 1) : writer.int32(elements))
  writer.int32(throttleTimeMs)
  if (version >= 7) {
    writer.int16(0)
    writer.int32(sessionId)
  }
  const topics = byTopic(parts)
  count(topics.length)
  for (const partitions of topics) {
    const first = partitions[0]
    if (first === undefined) continue // byTopic makes no empty group
    if (version >= 13) writer.uuid(first.topicId)
    else {
      const bytes = Buffer.byteLength(first.topic)
      if (flexible) writer.uvarint(bytes + 1)
      else writer.int16(bytes)
      writer.text(first.topic, bytes)
    }
    count(partitions.length)
    for (const part of partitions) writePartition(writer, part, version, flexible)
    if (flexible) writer.int8(0)
  }
  if (flexible) writer.int8(0)
}

function writePartition(writer: Writer, part: FetchPart, version: number, flexible: boolean): void {
  writer.int32(part.partition)
  writer.int16(part.errorCode)
  writer.int64(part.highWatermark)
  writer.int64(part.lastStableOffset)
  if (version >= 5) writer.int64(part.logStartOffset)
  writeAborted(writer, part.aborted, flexible)
  if (version >= 11) writer.int32(-1)
  let bytes = 0
  for (const batch of part.batches) bytes += batch.length
  if (flexible) writer.uvarint(bytes + 1)
  else writer.int32(bytes)
  for (const batch of part.batches) writer.bytes(batch)
  if (flexible) writer.int8(0)
}

/** null for those who read what is not decided, too. */
function writeAborted(writer: Writer, aborted: FetchPart['aborted'], flexible: boolean): void {
  if (flexible) writer.uvarint(aborted === null ? 0 : aborted.length + 1)
  else writer.int32(aborted === null ? -1 : aborted.length)
  for (const { producerId, first } of aborted ?? []) {
    writer.int64(producerId)
    writer.int64(first)
    if (flexible) writer.int8(0)
  }
}

function byTopic(parts: readonly FetchPart[]): FetchPart[][] {
  const groups: FetchPart[][] = []
  let last: FetchPart | undefined
  for (const part of parts) {
    if (last !== undefined && last.topic === part.topic && last.topicId === part.topicId) groups.at(-1)?.push(part)
    else groups.push([part])
    last = part
  }
  return groups
}
