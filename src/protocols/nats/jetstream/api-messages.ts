/** Requests about single messages of a stream. */
import { streamNamed } from './api-streams.ts'
import { allow, type Handler } from './call.ts'
import { refusal } from './errors.ts'
import { type Fields, flag, int, parseObject, read, strings, text, time } from './fields.ts'
import type { StoredMessage } from './stored.ts'
import type { Stream } from './stream.ts'
import { timeText } from './times.ts'

export interface GetRequest {
  readonly seq: number
  readonly last_by_subj: string
  readonly next_by_subj: string
  readonly batch: number
  readonly max_bytes: number
  readonly start_time: string
  readonly multi_last: readonly string[]
  readonly up_to_seq: number
  readonly up_to_time: string
  readonly no_hdr: boolean
}

export const getFields = {
  seq: int,
  last_by_subj: text,
  next_by_subj: text,
  batch: int,
  max_bytes: int,
  start_time: time,
  multi_last: strings,
  up_to_seq: int,
  up_to_time: time,
  no_hdr: flag,
} as const satisfies Fields

/** The one message that is asked for, or null. */
export async function find(stream: Stream, asked: GetRequest): Promise<StoredMessage | null> {
  const from = asked.start_time === '' ? asked.seq : await stream.sequenceAt(Date.parse(asked.start_time))
  if (asked.next_by_subj !== '') {
    const [sequence] = stream.matching(asked.next_by_subj, from, 1).first
    return sequence === undefined ? null : await stream.message(sequence)
  }
  if (from > 0) return await stream.message(from)
  const last = stream.lastOf(asked.last_by_subj)
  return last === 0 ? null : await stream.message(last)
}

export const messageHandlers: Readonly<Record<string, Handler>> = {
  'STREAM.MSG.GET': {
    type: 'stream_msg_get',
    words: 1,
    run: async (call) => {
      if (call.body.trim() === '') throw refusal('badRequest')
      const asked = read<GetRequest>(getFields, parseObject(call.body))
      const { seq, last_by_subj: last, next_by_subj: next, start_time: start } = asked
      if (asked.batch > 0 || asked.max_bytes > 0) throw refusal('badRequest')
      const nothing = seq === 0 && last === '' && next === '' && start === ''
      const several = (seq > 0 && (last !== '' || start !== '')) || (last !== '' && (start !== '' || next !== ''))
      if (nothing || several) throw refusal('badRequest')
      const message = await find(streamNamed(call), asked)
      if (message === null) throw refusal('messageNotFound')
      const { subject, sequence, time: at, headers, payload } = message
      return {
        message: {
          subject,
          seq: sequence,
          ...(headers.length === 0 || asked.no_hdr ? {} : { hdrs: headers.toString('base64') }),
          ...(payload.length === 0 ? {} : { data: payload.toString('base64') }),
          time: timeText(at),
        },
      }
    },
  },
  'STREAM.MSG.DELETE': {
    type: 'stream_msg_delete',
    words: 1,
    run: async (call) => {
      if (call.body.trim() === '') throw refusal('badRequest')
      const { seq } = read<{ seq: number }>({ seq: int, no_erase: flag }, parseObject(call.body))
      const stream = streamNamed(call)
      allow(call, 'manage', stream.name)
      if (stream.config.sealed) throw refusal('streamSealed')
      if (stream.config.deny_delete) throw refusal('messageDelete', 'message delete not permitted')
      if (seq > stream.lastSequence) throw refusal('messageDelete', 'stream store EOF')
      if ((await stream.remove([seq])) > 0) return { success: true }
      // Of what is gone nats-server knows what was taken away between others.
      if (seq >= Number((await stream.state())['first_seq'])) throw refusal('sequenceNotFound', seq)
      throw refusal('messageDelete', 'no message found')
    },
  },
}
