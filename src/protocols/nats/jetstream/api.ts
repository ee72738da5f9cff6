/** The JetStream API: requests on `$JS.API.>`, each answered with JSON on its reply subject. What streams and consumers do is elsewhere. */

import type { Space } from '../../../broker/face.ts'
import { asCoreError } from '../../../core/errors.ts'
import { apiLevel } from '../info.ts'
import { heldBytes, type Limits, reserved, shownInTiers, shownLimits, singleTier } from './account-limits.ts'
import { consumerHandlers } from './api-consumers.ts'
import { messageHandlers } from './api-messages.ts'
import { streamHandlers } from './api-streams.ts'
import type { Call, Handler } from './call.ts'
import { directGet } from './direct.ts'
import { ApiError, ofCore, refusal } from './errors.ts'
import { headerOf } from './headers.ts'
import type { JetStream } from './jetstream.ts'

const handlers: Readonly<Record<string, Handler>> = {
  INFO: { type: 'account_info', words: 0, run: async ({ jetStream }) => accountInfo(jetStream) },
  ...streamHandlers,
  ...messageHandlers,
  ...consumerHandlers,
}

const prefix = '$JS.API.'
/** The longest name of a handler, in words. */
const namedBy = 3

/** True when the subject belongs to the API; what it is not is nobody's to answer. */
export function isApiSubject(subject: string): boolean {
  return subject.startsWith(prefix)
}

export interface ApiRequest {
  readonly subject: string
  readonly reply: string
  readonly headers: string
  readonly body: string
}

/** Answers a request. False when there is nothing of this name, as where nobody listens. */
export function onApiRequest(jetStream: JetStream, space: Space, request: ApiRequest): boolean {
  const words = request.subject.slice(prefix.length).split('.')
  const call = { jetStream, space, body: request.body, reply: request.reply }
  if (words[0] === 'DIRECT' && words[1] === 'GET') return directGet({ ...call, words: words.slice(2) }, request.headers)
  if (words[0] === 'CONSUMER' && words[1] === 'MSG' && words[2] === 'NEXT') return next(call, words.slice(3))
  // Each consumer hears of this itself.
  if (words[0] === 'CONSUMER' && words[1] === 'RESET' && jetStream.consumer(words[2] ?? '', words[3] ?? '') === undefined)
    return false
  for (let count = Math.min(namedBy, words.length); count > 0; count--) {
    const handler = handlers[words.slice(0, count).join('.')]
    if (handler === undefined) continue
    const rest = words.slice(count)
    if (rest.length < handler.words || (rest.length > handler.words && handler.more !== true)) return false
    answer(handler, { ...call, words: rest }, request.headers)
    return true
  }
  return false
}

function next({ jetStream, space, body, reply }: Omit<Call, 'words'>, [stream = '', name = '']: readonly string[]): boolean {
  const consumer = jetStream.consumer(stream, name)
  if (consumer === undefined) return false
  if (!space.principal.may('consume', space.namespace, stream)) jetStream.outbox.status(reply, statusOf('409 Not permitted'))
  else if (consumer.pull === null) jetStream.outbox.status(reply, statusOf('409 Consumer is push based'))
  else consumer.pull.request(reply, body)
  return true
}

const statusOf = (status: string): Buffer => Buffer.from(`NATS/1.0 ${status}\r\n\r\n`)

function answer(handler: Handler, call: Call, headers: string): void {
  const { jetStream, reply } = call
  jetStream.counts.requests++
  const type = `io.nats.jetstream.api.v1.${handler.type}_response`
  run(handler, call, headers).then(
    (fields) => jetStream.outbox.answer(reply, { type, ...fields }),
    (cause: unknown) => {
      jetStream.counts.errors++
      const error = cause instanceof ApiError ? cause : ofCore(asCoreError(cause))
      jetStream.outbox.answer(reply, { type, error, ...handler.empty })
    },
  )
}

async function run(handler: Handler, call: Call, headers: string): Promise<object> {
  const needed = headerOf(headers, 'Nats-Required-Api-Level')
  if (needed !== undefined && !(Number(needed) <= apiLevel)) throw refusal('requiredApiLevel')
  return await handler.run(call)
}

function accountInfo(jetStream: JetStream): object {
  const streams = jetStream.streams()
  const { own, tiers } = jetStream.limits
  const inUse = {
    ...heldBytes(streams),
    reserved_memory: reserved(streams, 'memory'),
    reserved_storage: reserved(streams, 'file'),
    streams: streams.length,
    consumers: jetStream.consumerCount,
  }
  return {
    ...inUse,
    limits: tiers === null && own !== null ? shownLimits(own) : shownInTiers,
    api: { level: apiLevel, total: jetStream.counts.requests, errors: jetStream.counts.errors },
    ...(tiers === null ? {} : { tiers: tiersOf(tiers, inUse) }),
  }
}

/** All streams stand once. */
function tiersOf(tiers: Readonly<Record<string, Limits>>, inUse: object): object {
  const unused = { memory: 0, storage: 0, reserved_memory: 0, reserved_storage: 0, streams: 0, consumers: 0 }
  const shown = ([name, limits]: [string, Limits]): [string, object] => {
    return [name, { ...(name === singleTier ? inUse : unused), limits: shownLimits(limits) }]
  }
  return Object.fromEntries(Object.entries(tiers).map(shown))
}
