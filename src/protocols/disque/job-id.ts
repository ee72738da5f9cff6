/**
 * Ids of jobs ⇄ where their records stand: 40 characters, of which clients check the form.
 *
 *   id = "D-" node "-" place "-" ttl
 *   node  = the first 8 hexadecimal digits of the node's id
 *   place = 18 bytes in base64: the first 9 of the topic's id, u16 partition, u40 offset, u16 check
 *   ttl   = minutes in 4 hexadecimal digits: even for jobs that are delivered at most once, odd for all others
 *
 * So an id is good as long as the job is, whichever connection shows it, and after a restart.
 */
import { Buffer } from 'node:buffer'
import { placesOfPartition } from '../../broker/face.ts'
import { crc32c } from '../../lib/crc32c.ts'

export const jobIdLength = 40
export const ttlMinutesMax = 0xffff

const topicBytes = 9
const checkAt = 16
const placeBytes = 18
/** Where the parts begin. */
const placeStart = 11
const ttlStart = 36

export interface JobPlace {
  /** {@link topicKey} of its topic. */
  readonly topic: string
  readonly place: number
}

/** As much of a topic's id as ids of jobs hold. */
export const topicKey = (topicId: Buffer): string => topicId.toString('latin1', 0, topicBytes)

const scratch = Buffer.alloc(placeBytes)

/** `node`: 8 hexadecimal digits. */
export function encodeJobId(node: string, topicId: Buffer, place: number, ttlSeconds: number, isRetried: boolean): string {
  topicId.copy(scratch, 0, 0, topicBytes)
  scratch.writeUInt16BE(Math.floor(place / placesOfPartition), topicBytes)
  scratch.writeUIntBE(place % placesOfPartition, topicBytes + 2, 5)
  scratch.writeUInt16BE(crc32c(scratch.subarray(0, checkAt)) & 0xffff, checkAt)
  return `D-${node}-${scratch.toString('base64')}-${ttlDigits(ttlSeconds, isRetried)}`
}

function ttlDigits(ttlSeconds: number, isRetried: boolean): string {
  const minutes = Math.min(ttlMinutesMax, Math.floor(ttlSeconds / 60))
  return (isRetried ? minutes | 1 : minutes & ~1).toString(16).padStart(4, '0')
}

/** Whether it has the form of an id; more is not asked of it before it is looked for. */
export function isJobId(id: string): boolean {
  return id.length === jobIdLength && id.startsWith('D-') && id[10] === '-' && id[35] === '-'
}

/** Where the job is to be looked for; null: no node like this one has given such an id. */
export function decodeJobId(node: string, id: string): JobPlace | null {
  if (!isJobId(id) || id.slice(2, 10) !== node || id.length < ttlStart) return null
  const bytes = Buffer.from(id.slice(placeStart, placeStart + 24), 'base64')
  if (bytes.length !== placeBytes || bytes.readUInt16BE(checkAt) !== (crc32c(bytes.subarray(0, checkAt)) & 0xffff)) return null
  const offset = bytes.readUIntBE(topicBytes + 2, 5)
  if (offset >= placesOfPartition) return null
  return { topic: topicKey(bytes), place: bytes.readUInt16BE(topicBytes) * placesOfPartition + offset }
}
