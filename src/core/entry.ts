/**
 * The stored form of an entry, the same bytes in memory, in the write-ahead log and in segments.
 *
 *   0 u32 length, header included      24 u64 timestamp, ms
 *   4 u32 CRC-32C of bytes 8..length   32 u64 expires at, ms; 0 never
 *   8 u64 base offset                  40 u32 key hash; 0 no key
 *  16 u32 count of records             44 u32 length of annotations (JSON) before the payload
 *  20 u8  version  21 u8 format        48 annotations, [u16 length, subject], payload
 *  22 u16 flags: 1 undecided, 2 a marker that decides (with 4: they happened),
 *        8 with a subject, 16 it leaves nothing behind when it expires
 */
import { getU32, putU32, putU64 } from '../lib/bytes.ts'
import { crc32c } from '../lib/crc32c.ts'
import type { Annotations } from './record.ts'

export const entryHeaderBytes = 48
const entryVersion = 1

export const EntryFlag = { Undecided: 1, Marker: 2, Commit: 4, Subject: 8, Last: 16 } as const

/** What an entry is made of, before it has an offset. */
export interface EntryContent {
  readonly format: number
  readonly count: number
  readonly timestamp: number
  readonly expiresAt: number
  readonly keyHash: number
  readonly flags: number
  /** The address it was published to, where the topic's name does not say. */
  readonly subject: Buffer | null
  readonly annotations: Buffer | null
  readonly payload: Buffer
}

export function entryBytes(content: EntryContent): number {
  return entryHeaderBytes + (content.annotations?.length ?? 0) + subjectBytes(content) + content.payload.length
}

function subjectBytes({ subject }: EntryContent): number {
  return subject === null ? 0 : 2 + subject.length
}

/** Writes an entry without its checksum: {@link sealEntry} follows once the format has stamped its offset. Returns its end. */
export function writeEntry(buffer: Buffer, at: number, baseOffset: number, content: EntryContent): number {
  const { annotations, subject, payload } = content
  const annotationBytes = annotations === null ? 0 : annotations.length
  const end = at + entryBytes(content)
  putU32(buffer, at, end - at)
  putU64(buffer, at + 8, baseOffset)
  putU32(buffer, at + 16, content.count)
  buffer[at + 20] = entryVersion
  buffer[at + 21] = content.format
  const flags = subject === null ? content.flags : content.flags | EntryFlag.Subject
  buffer[at + 22] = flags >>> 8
  buffer[at + 23] = flags
  putU64(buffer, at + 24, content.timestamp)
  putU64(buffer, at + 32, content.expiresAt)
  putU32(buffer, at + 40, content.keyHash)
  putU32(buffer, at + 44, annotationBytes)
  if (annotations !== null) buffer.set(annotations, at + entryHeaderBytes)
  if (subject !== null) {
    buffer.writeUInt16BE(subject.length, at + entryHeaderBytes + annotationBytes)
    buffer.set(subject, at + entryHeaderBytes + annotationBytes + 2)
  }
  buffer.set(payload, end - payload.length)
  return end
}

export function sealEntry(buffer: Buffer, at: number, end: number): void {
  putU32(buffer, at + 4, crc32c(buffer, at + 8, end))
}

/** Whether the checksum of the whole entry at `at` holds. */
export function entryIsWhole(buffer: Buffer, at: number, end: number): boolean {
  return getU32(buffer, at + 4) === crc32c(buffer, at + 8, end)
}

/** Entries are looked at when they are known to be whole: no further checks. */
const timeOrOffset = (buffer: Buffer, at: number): number => getU32(buffer, at) * 0x1_0000_0000 + getU32(buffer, at + 4)

export const entryLength = (buffer: Buffer, at: number): number => getU32(buffer, at)
export const entryBase = (buffer: Buffer, at: number): number => timeOrOffset(buffer, at + 8)
export const entryCount = (buffer: Buffer, at: number): number => getU32(buffer, at + 16)
export const entryFormat = (buffer: Buffer, at: number): number => buffer[at + 21] as number // the header is whole
export const entryFlags = (buffer: Buffer, at: number): number => buffer.readUInt16BE(at + 22)
export const entryTimestamp = (buffer: Buffer, at: number): number => timeOrOffset(buffer, at + 24)
export const entryExpiresAt = (buffer: Buffer, at: number): number => timeOrOffset(buffer, at + 32)
export const entryKeyHash = (buffer: Buffer, at: number): number => getU32(buffer, at + 40)
/** Where the payload begins. */
export function entryPayload(buffer: Buffer, at: number): number {
  const place = at + entryHeaderBytes + getU32(buffer, at + 44)
  return (entryFlags(buffer, at) & EntryFlag.Subject) === 0 ? place : place + 2 + buffer.readUInt16BE(place)
}

export function entrySubject(buffer: Buffer, at: number): string | null {
  if ((entryFlags(buffer, at) & EntryFlag.Subject) === 0) return null
  const place = at + entryHeaderBytes + getU32(buffer, at + 44)
  return buffer.toString('utf8', place + 2, place + 2 + buffer.readUInt16BE(place))
}

export function entryAnnotations(buffer: Buffer, at: number): Annotations | null {
  const bytes = getU32(buffer, at + 44)
  if (bytes === 0) return null
  const text = buffer.toString('utf8', at + entryHeaderBytes, at + entryHeaderBytes + bytes)
  return JSON.parse(text) as Annotations // written by ourselves, and covered by the checksum
}
