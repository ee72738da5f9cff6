/** Direct gets: messages answered as messages, one or a batch, without JSON around them. */
import { apiLevel } from '../info.ts'
import { find, type GetRequest, getFields } from './api-messages.ts'
import type { Call } from './call.ts'
import { ApiError } from './errors.ts'
import { parseObject, read } from './fields.ts'
import { headerOf, type Line, statusBlock, withHeaders } from './headers.ts'
import type { StoredMessage } from './stored.ts'
import type { Stream } from './stream.ts'
import { timeText } from './times.ts'

/** Subjects in one answer. */
const resultsMax = 1024
const bytesMaxDefault = 64 * 1024 * 1024

/** False where no stream of this name allows it: nobody listens there. */
export function directGet(call: Call, headers: string): boolean {
  const [name = '', ...subject] = call.words
  const { jetStream, space, reply } = call
  const stream = answering(jetStream, name)
  if (stream === undefined) return false
  if (reply === '') return true
  const say = (status: string): void => void jetStream.outbox.status(reply, statusBlock(status))
  const needed = headerOf(headers, 'Nats-Required-Api-Level')
  if (needed !== undefined && !(Number(needed) <= apiLevel)) say('412 Required Api Level')
  else if (!space.principal.may('consume', space.namespace, stream.name)) say('408 Not Permitted')
  else {
    const asked = requestOf(call.body, subject.join('.'))
    if (typeof asked === 'string') say(asked)
    else get(call, stream, asked).catch(() => say('500 The stream could not be read'))
  }
  return true
}

/** The stream itself; where it does not, or is gone, a mirror of it may. */
function answering(jetStream: Call['jetStream'], name: string): Stream | undefined {
  const stream = jetStream.stream(name)
  if (stream?.config.allow_direct === true) return stream
  return jetStream.streams().find(({ config }) => config.mirror_direct && config.mirror?.name === name)
}

/** The request, or the status that refuses it. */
function requestOf(body: string, subject: string): GetRequest | string {
  let asked: GetRequest
  try {
    asked = read<GetRequest>(getFields, parseObject(body))
  } catch (cause) {
    if (cause instanceof ApiError) return '408 Malformed Request'
    throw cause
  }
  const { seq, last_by_subj: last, next_by_subj: next, multi_last: many, batch, start_time: start } = asked
  const several =
    (seq > 0 && (last !== '' || start !== '')) ||
    (last !== '' && (start !== '' || next !== '' || batch > 0 || many.length > 0)) ||
    (next !== '' && many.length > 0) ||
    (asked.up_to_seq > 0 && asked.up_to_time !== '')
  if (subject !== '') {
    const said = last !== '' || next !== '' || many.length > 0 || seq !== 0 || batch !== 0 || start !== ''
    return said || asked.up_to_seq !== 0 || asked.up_to_time !== '' ? '408 Bad Request' : { ...asked, last_by_subj: subject }
  }
  if (seq === 0 && last === '' && next === '' && many.length === 0 && start === '') return '408 Empty Request'
  return several ? '408 Bad Request' : asked
}

async function get(call: Call, stream: Stream, asked: GetRequest): Promise<void> {
  if (asked.multi_last.length > 0) return await getMany(call, stream, asked)
  if (asked.batch > 0) return await getBatch(call, stream, asked)
  const message = await find(stream, asked)
  if (message === null) notFound(call)
  else send(call, stream, message, asked.no_hdr, [])
}

function notFound({ jetStream, reply }: Call): void {
  jetStream.outbox.status(reply, statusBlock('404 Message Not Found'))
}

function send({ jetStream, reply }: Call, stream: Stream, message: StoredMessage, bare: boolean, more: readonly Line[]): void {
  const { subject, sequence, time, headers, payload } = message
  if (bare) {
    jetStream.outbox.deliver(reply, { subject: reply, reply: '', headers: Buffer.alloc(0), payload })
    return
  }
  const lines: readonly Line[] = [
    ['Nats-Stream', stream.name],
    ['Nats-Subject', subject],
    ['Nats-Sequence', sequence],
    ['Nats-Time-Stamp', timeText(time)],
    ...more,
  ]
  jetStream.outbox.status(reply, withHeaders(headers, lines), payload)
}

/** From a place on, until there are enough. */
async function getBatch(call: Call, stream: Stream, asked: GetRequest): Promise<void> {
  const from = asked.start_time === '' ? asked.seq : await stream.sequenceAt(Date.parse(asked.start_time))
  const { first, count } = stream.matching(asked.next_by_subj === '' ? '>' : asked.next_by_subj, Math.max(1, from), asked.batch)
  const sent = await sendAll(call, stream, first, count, asked)
  if (sent.count === 0) return notFound(call)
  endOfBatch(call, count - sent.count, sent.last, [])
}

/** The newest of each subject that matches. */
async function getMany(call: Call, stream: Stream, asked: GetRequest): Promise<void> {
  const { jetStream, reply } = call
  const last =
    asked.up_to_time === '' ? asked.up_to_seq || stream.lastSequence : (await stream.sequenceAt(Date.parse(asked.up_to_time))) - 1
  const all = stream.lastOfEach(asked.multi_last, last).filter((sequence) => sequence >= asked.seq)
  if (all.length > resultsMax) return void jetStream.outbox.status(reply, statusBlock('413 Too Many Results'))
  if (all.length === 0) return void jetStream.outbox.status(reply, statusBlock('404 No Results'))
  const sent = await sendAll(call, stream, asked.batch > 0 ? all.slice(0, asked.batch) : all, all.length, asked)
  endOfBatch(call, all.length - sent.count, sent.last, [['Nats-UpTo-Sequence', last]])
}

async function sendAll(
  call: Call,
  stream: Stream,
  sequences: readonly number[],
  total: number,
  asked: GetRequest,
): Promise<{ readonly count: number; readonly last: number }> {
  const bytesMax = asked.max_bytes > 0 ? asked.max_bytes : bytesMaxDefault
  let bytes = 0
  let count = 0
  let last = 0
  for (const sequence of sequences) {
    const message = await stream.message(sequence)
    // Taken away meanwhile.
    if (message === null) continue
    count++
    send(call, stream, message, asked.no_hdr, [
      ['Nats-Num-Pending', total - count],
      ['Nats-Last-Sequence', last],
    ])
    last = sequence
    bytes += message.subject.length + message.headers.length + message.payload.length
    if (bytes >= bytesMax) break
  }
  return { count, last }
}

function endOfBatch({ jetStream, reply }: Call, pending: number, last: number, more: readonly Line[]): void {
  const lines: readonly Line[] = [['Nats-Num-Pending', pending], ['Nats-Last-Sequence', last], ...more]
  jetStream.outbox.status(reply, statusBlock('204 EOB', lines))
}
