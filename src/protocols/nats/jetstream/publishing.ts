/** What a publish to a stream's subject asks for in its headers, and the answer that its publisher waits for. */
import { CoreError, type PublishItem, PublishStatus, type Space } from '../../../broker/face.ts'
import { ApiError, ofCore, refusal } from './errors.ts'
import { headerOf } from './headers.ts'
import type { Stream } from './stream.ts'
import { msOf, parseDuration } from './times.ts'

const headerBytesMax = 0xffff

/**
 * Says in the item what is to hold when it is stored. `headers`: the header block, '' when there is none. Returns what refuses it, or null.
 */
export function prepare(stream: Stream, item: PublishItem, headers: string, bodyBytes: number): ApiError | null {
  const refused = prepareHeaders(stream, item, headers, bodyBytes)
  return refused ?? stream.refusalFor(stream.config.storage, item.address, bodyBytes, headers !== '')
}

function prepareHeaders(stream: Stream, item: PublishItem, headers: string, bodyBytes: number): ApiError | null {
  const { config } = stream
  item.decidedBy = stream.name
  if (config.sealed) return refusal('streamSealed')
  if (config.max_msg_size >= 0 && bodyBytes > config.max_msg_size) return refusal('streamMessageTooLarge')
  if (!headers.includes('Nats-')) return null
  if (headers.length > headerBytesMax) return refusal('headerTooLarge')
  try {
    expectStream(stream, headers)
    setTimeToLive(stream, item, headers)
    expectLast(stream, item, headers)
    item.dedupId = headerOf(headers, 'Nats-Msg-Id') ?? null
    if (item.dedupId === '') item.dedupId = null
    setRollup(stream, item, headers)
    item.leavesNothing = headers.includes('\r\nNats-Marker-Reason:') || headerOf(headers, 'KV-Operation') === 'PURGE'
    refuseUnsupported(stream, headers)
    return null
  } catch (cause) {
    if (cause instanceof ApiError) return cause
    if (cause instanceof CoreError) return ofCore(cause) // its topic is gone
    throw cause
  }
}

function expectStream(stream: Stream, headers: string): void {
  const expected = headerOf(headers, 'Nats-Expected-Stream') ?? ''
  if (expected !== '' && expected !== stream.name) throw refusal('streamNotMatch')
}

/** In ms; -1 is none. null: it is no time to live that a stream like this can hold. */
function timeToLive({ config }: Stream, text: string): number | null {
  // Ages are held from the front of the log: a single message cannot outlive them.
  if (isNever(text)) return config.max_age > 0 ? null : -1
  const isSeconds = /^\d+$/.test(text)
  const duration = isSeconds ? Number(text) * 1000 : parseDuration(text)
  if (duration === null || (!isSeconds && duration < 1000)) return null
  return duration === 0 ? -1 : Math.floor(duration / 1000) * 1000
}

const isNever = (text: string): boolean => text.toLowerCase() === 'never'

export function isTimeToLive(stream: Stream, text: string): boolean {
  return timeToLive(stream, text) !== null
}

/** What a stored message asks for, in ms from when it was stored; -1: none. */
export function storedTimeToLive(stream: Stream, headers: string): number {
  const text = headerOf(headers, 'Nats-TTL') ?? ''
  return text === '' ? -1 : (timeToLive(stream, text) ?? -1)
}

function setTimeToLive(stream: Stream, item: PublishItem, headers: string): void {
  const text = headerOf(headers, 'Nats-TTL') ?? ''
  if (text === '') return
  const ttlMs = timeToLive(stream, text)
  const asks = isNever(text) || (ttlMs !== null && ttlMs > 0)
  if (asks && !stream.config.allow_msg_ttl) throw refusal('ttlDisabled')
  if (ttlMs === null) throw refusal('ttlInvalid')
  // Else the marker of before could still be there when this one is gone.
  const { subject_delete_marker_ttl: marker, max_msgs_per_subject: most } = stream.config
  item.ttlMs = ttlMs > 0 && marker > 0 && most !== 1 ? Math.max(ttlMs, msOf(marker)) : ttlMs
}

/** What is asked of a message that the stream itself makes. Throws {@link ApiError}. */
export function prepareOwn(stream: Stream, item: PublishItem, headers: string): void {
  item.decidedBy = stream.name
  setTimeToLive(stream, item, headers)
  setRollup(stream, item, headers)
}

function expectLast(stream: Stream, item: PublishItem, headers: string): void {
  const ofSubject = numberOf(headers, 'Nats-Expected-Last-Subject-Sequence')
  const subject = headerOf(headers, 'Nats-Expected-Last-Subject-Sequence-Subject') ?? ''
  if (ofSubject !== null) {
    const offset = ofSubject === 0 ? -1 : stream.offsetOf(ofSubject)
    // A pattern names no single address: looked up here, and nothing can come between.
    if (/[*>]/.test(subject)) {
      const last = stream.lastOf(subject)
      if (last !== ofSubject) throw refusal('wrongLastSequence', last)
    } else item.expectedLast = subject === '' ? { offset } : { address: subject, offset }
  } else if (subject !== '') throw refusal('expectedSubjectWithoutSequence')
  const last = numberOf(headers, 'Nats-Expected-Last-Sequence')
  if (last !== null) {
    if (last + 1 < stream.base) throw refusal('wrongLastSequence', stream.lastSequence)
    item.expectedNext = stream.offsetOf(last + 1)
  }
  const id = headerOf(headers, 'Nats-Expected-Last-Msg-Id') ?? ''
  if (id !== '' && id !== stream.lastMessageId) throw refusal('wrongLastMessageId', stream.lastMessageId ?? '')
}

function numberOf(headers: string, name: string): number | null {
  const text = headerOf(headers, name)
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : null
}

function setRollup({ config }: Stream, item: PublishItem, headers: string): void {
  const rollup = headerOf(headers, 'Nats-Rollup') ?? ''
  if (rollup === '') return
  if (!config.allow_rollup_hdrs || config.deny_purge) throw refusal('rollupFailed', 'rollup not permitted')
  if (rollup !== 'sub' && rollup !== 'all') throw refusal('rollupFailed', `rollup value invalid: "${rollup}"`)
  item.replaces = rollup === 'sub' ? 'address' : 'all'
}

function refuseUnsupported({ config }: Stream, headers: string): void {
  if (headerOf(headers, 'Nats-Incr') !== undefined && !config.allow_msg_counter) throw refusal('incrementDisabled')
}

/** What the publisher hears once the outcome stands in the item; `refused`: it was not even tried. */
export function acknowledgement(stream: Stream, item: PublishItem, space: Space, refused: ApiError | null): string {
  const { name } = stream
  if (refused !== null) return refusalText(stream, refused)
  switch (item.status) {
    case PublishStatus.Stored:
      return `{"stream":${JSON.stringify(name)},"seq":${item.baseOffset + stream.base}}`
    case PublishStatus.Duplicate:
      return `{"stream":${JSON.stringify(name)},"seq":${item.baseOffset + stream.base},"duplicate":true}`
    default:
      return refusalText(stream, whyNot(stream, item, space))
  }
}

export function refusalText({ name }: Stream, error: ApiError): string {
  return JSON.stringify({ error, stream: name, seq: 0 })
}

/** Why what was tried was not stored. */
export function whyNot(stream: Stream, item: PublishItem, space: Space): ApiError {
  const { config } = stream
  switch (item.errorCode) {
    case 'Mismatch':
      return wrongLast(stream, item)
    case 'TooLarge':
      return refusal('streamMessageTooLarge')
    case 'Full': {
      if (config.discard_new_per_subject && isFullOf(stream, stream.storedAs(item.address)))
        return refusal('streamStore', 'maximum messages per subject exceeded')
      if (config.discard !== 'new') return refusal('storageExceeded')
      const records = space.status(stream.name)?.partitions[0]?.records ?? 0
      const counted = config.max_msgs >= 0 && records >= config.max_msgs
      return refusal('streamStore', counted ? 'maximum messages exceeded' : 'maximum bytes exceeded')
    }
    default:
      return refusal('streamStore', item.errorMessage)
  }
}

function isFullOf(stream: Stream, subject: string): boolean {
  try {
    return stream.sequencesOf(subject).length >= stream.config.max_msgs_per_subject
  } catch (cause) {
    if (cause instanceof CoreError) return false // its topic is gone meanwhile
    throw cause
  }
}

/** What stands there in place of what was expected. */
export function wrongLast(stream: Stream, { baseOffset, expectedLast, expectedNext }: PublishItem): ApiError {
  // Which of the two did not hold: the next offset is one behind the last, and there is always one.
  const ofSubject = expectedLast !== null && (expectedNext < 0 || baseOffset !== stream.offsetOf(stream.lastSequence + 1))
  if (!ofSubject) return refusal('wrongLastSequence', baseOffset + stream.base - 1)
  return refusal('wrongLastSequence', baseOffset < 0 ? 0 : baseOffset + stream.base)
}
