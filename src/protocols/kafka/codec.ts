// Bytes ⇄ frames and messages. A frame is an int32 size and as many bytes: a request header, then the body by its schema.
// Pure: no socket, no clock, no broker. Next on the way in: session.ts.
import { Joined } from '../../lib/joined.ts'
import { messageRows } from './messages.ts'
import { type Message, Schema } from './schema.ts'
import { MalformedFrame, type Reader, Writer } from './wire.ts'

export interface Api {
  readonly key: number
  readonly name: string
  readonly from: number
  readonly to: number
  readonly flexible: number
  readonly request: Schema
  readonly response: Schema
}

export const ApiKey = {
  Produce: 0,
  Fetch: 1,
  ListOffsets: 2,
  Metadata: 3,
  OffsetCommit: 8,
  OffsetFetch: 9,
  FindCoordinator: 10,
  JoinGroup: 11,
  Heartbeat: 12,
  LeaveGroup: 13,
  SyncGroup: 14,
  DescribeGroups: 15,
  ListGroups: 16,
  SaslHandshake: 17,
  ApiVersions: 18,
  CreateTopics: 19,
  DeleteTopics: 20,
  DeleteRecords: 21,
  InitProducerId: 22,
  OffsetForLeaderEpoch: 23,
  AddPartitionsToTxn: 24,
  AddOffsetsToTxn: 25,
  EndTxn: 26,
  WriteTxnMarkers: 27,
  TxnOffsetCommit: 28,
  DescribeAcls: 29,
  CreateAcls: 30,
  DeleteAcls: 31,
  DescribeConfigs: 32,
  AlterConfigs: 33,
  AlterReplicaLogDirs: 34,
  DescribeLogDirs: 35,
  SaslAuthenticate: 36,
  CreatePartitions: 37,
  CreateDelegationToken: 38,
  RenewDelegationToken: 39,
  ExpireDelegationToken: 40,
  DescribeDelegationToken: 41,
  DeleteGroups: 42,
  ElectLeaders: 43,
  IncrementalAlterConfigs: 44,
  AlterPartitionReassignments: 45,
  ListPartitionReassignments: 46,
  OffsetDelete: 47,
  DescribeClientQuotas: 48,
  AlterClientQuotas: 49,
  DescribeUserScramCredentials: 50,
  AlterUserScramCredentials: 51,
  DescribeQuorum: 55,
  UpdateFeatures: 57,
  DescribeCluster: 60,
  DescribeProducers: 61,
  DescribeTransactions: 65,
  ListTransactions: 66,
  ConsumerGroupHeartbeat: 68,
  ConsumerGroupDescribe: 69,
  ListConfigResources: 74,
  DescribeTopicPartitions: 75,
  ShareGroupHeartbeat: 76,
  ShareGroupDescribe: 77,
  ShareFetch: 78,
  ShareAcknowledge: 79,
  DescribeShareGroupOffsets: 90,
  AlterShareGroupOffsets: 91,
  DeleteShareGroupOffsets: 92,
} as const

/** By key. */
export const apis: ReadonlyMap<number, Api> = new Map(
  messageRows.map((row) => [
    row.key,
    { ...row, request: new Schema(row.request, row.flexible), response: new Schema(row.response, row.flexible) },
  ]),
)

export interface RequestHeader {
  readonly key: number
  readonly version: number
  readonly correlationId: number
  readonly clientId: string | null
}

/** Reads the header and leaves the reader at the body. A version we do not know is read as far as its fixed part. */
export function readRequestHeader(reader: Reader): RequestHeader {
  const key = reader.int16()
  const version = reader.int16()
  const correlationId = reader.int32()
  const api = apis.get(key)
  if (api === undefined || version < 0 || version > api.to) return { key, version, correlationId, clientId: null }
  const clientId = reader.nullableString()
  if (version >= api.flexible) skipTags(reader)
  return { key, version, correlationId, clientId }
}

export function skipTags(reader: Reader): void {
  const count = reader.uvarint()
  if (count > reader.remaining()) throw new MalformedFrame('more tagged fields than bytes')
  for (let index = 0; index < count; index++) {
    reader.uvarint()
    reader.take(reader.uvarint())
  }
}

/** Starts a response: room for the size, then the response header. Finish with {@link finishResponse}. */
export function beginResponse(api: Api, version: number, correlationId: number, bytes?: number): Writer {
  const writer = new Writer(bytes)
  writer.int32(0)
  writer.int32(correlationId)
  // KIP-511: the answer to ApiVersions has the old header always, since the client may not know our versions yet.
  if (version >= api.flexible && api.key !== ApiKey.ApiVersions) writer.int8(0)
  return writer
}

/** Closes the frame: its buffers in order, the size written into the first. */
export function finishResponse(writer: Writer): Buffer[] {
  const size = writer.size - 4
  const parts = writer.finish()
  parts[0]?.writeInt32BE(size, 0)
  return parts
}

export function encodeResponse(api: Api, version: number, correlationId: number, body: Message): Buffer[] {
  const writer = beginResponse(api, version, correlationId)
  api.response.encode(writer, body, version)
  return finishResponse(writer)
}

export function encodeRequest(api: Api, version: number, correlationId: number, clientId: string | null, body: Message): Buffer {
  const writer = new Writer()
  writer.int32(0)
  writer.int16(api.key)
  writer.int16(version)
  writer.int32(correlationId)
  if (clientId === null) writer.int16(-1)
  else {
    const bytes = Buffer.byteLength(clientId)
    writer.int16(bytes)
    writer.text(clientId, bytes)
  }
  if (version >= api.flexible) writer.int8(0)
  api.request.encode(writer, body, version)
  return Buffer.concat(finishResponse(writer))
}

/**
 * Cuts a stream into frames. A frame that lies within one chunk is a view of it; one that straddles chunks is joined. The size is checked before
 * anything is buffered.
 */
export class FrameDecoder {
  readonly #frameBytesMax: number
  readonly #onFrame: (frame: Buffer) => void
  readonly #sizeBytes = Buffer.alloc(4)
  #sizeHave = 0
  #joined: Joined | undefined

  constructor(frameBytesMax: number, onFrame: (frame: Buffer) => void) {
    this.#frameBytesMax = frameBytesMax
    this.#onFrame = onFrame
  }

  push(chunk: Buffer): void {
    let at = 0
    while (at < chunk.length) {
      if (this.#joined !== undefined) {
        at = this.#fill(chunk, at, this.#joined)
        continue
      }
      let size: number
      if (this.#sizeHave === 0 && chunk.length - at >= 4) {
        size = chunk.readInt32BE(at)
        at += 4
      } else {
        this.#sizeBytes[this.#sizeHave++] = chunk[at++] ?? 0
        if (this.#sizeHave < 4) continue
        this.#sizeHave = 0
        size = this.#sizeBytes.readInt32BE(0)
      }
      if (size < 0 || size > this.#frameBytesMax)
        throw new MalformedFrame(`frame of ${size} bytes; at most ${this.#frameBytesMax} are taken`)
      if (chunk.length - at >= size) {
        this.#onFrame(chunk.subarray(at, at + size))
        at += size
      } else {
        this.#joined = new Joined(size)
      }
    }
  }

  #fill(chunk: Buffer, at: number, joined: Joined): number {
    const end = joined.take(chunk, at)
    const frame = joined.whole
    if (frame !== null) {
      this.#joined = undefined
      this.#onFrame(frame)
    }
    return end
  }
}
