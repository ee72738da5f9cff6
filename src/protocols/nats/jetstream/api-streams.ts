/** Requests about streams. */
import { isDeepStrictEqual } from 'node:util'
import { serverName } from '../info.ts'
import { collide, isLiteral, patternOf } from '../subjects.ts'
import { checkStreamLimits, checkUpdateLimits } from './account-limits.ts'
import { receiveBackup } from './backup/receive.ts'
import { sendBackup } from './backup/send.ts'
import { allow, type Call, type Handler } from './call.ts'
import { refusal } from './errors.ts'
import { any, flag, int, parseObject, read, text } from './fields.ts'
import { withOrigins } from './origins.ts'
import { noPage, pageFields, pageOf } from './paging.ts'
import type { StateDetails, Stream } from './stream.ts'
import { checkUpdate, type StreamConfig, shownStreamConfig, streamConfig } from './stream-config.ts'
import { timeText } from './times.ts'

const namesMax = 1024
const listMax = 256

/** The stream that a request names; whoever asks must be allowed to read it. */
export function streamNamed(call: Call, name = call.words[0] ?? ''): Stream {
  const stream = call.jetStream.stream(name)
  if (stream === undefined) throw refusal('streamNotFound')
  allow(call, 'consume', name)
  return stream
}

export async function streamInfo(call: Call, stream: Stream, details: StateDetails = {}): Promise<object> {
  return {
    config: shownStreamConfig(stream.config),
    created: timeText(stream.createdAt),
    state: await stream.state(details),
    ...call.jetStream.copiesOf(stream),
    ts: timeText(call.jetStream.clock.now()),
  }
}

function configOf(call: Call): StreamConfig {
  const asked = parseObject(call.body)
  const config = named(call, streamConfig(asked))
  return withOrigins(config, (name) => call.jetStream.stream(name)?.config, asked['pedantic'] === true)
}

function named(call: Call, config: StreamConfig): StreamConfig {
  const [name = ''] = call.words
  if (config.name !== name) throw refusal('streamMismatch')
  return config
}

/** A stream reads what it captures and copies, and publishes again, in nobody's name but that of who made it. */
function allowAll(call: Call, { subjects, mirror, sources, republish }: StreamConfig): void {
  for (const subject of subjects) allow(call, 'consume', patternOf(subject))
  for (const { name } of mirror === null ? sources : [mirror]) allow(call, 'consume', name)
  if (republish !== null) allow(call, 'publish', republish.dest)
}

function checkOverlap(call: Call, config: StreamConfig): void {
  for (const other of call.jetStream.streams())
    if (other.name !== config.name && other.config.subjects.some((theirs) => config.subjects.some((own) => collide(theirs, own))))
      throw refusal('streamSubjectOverlap')
}

/** Throws {@link ApiError} where such a stream may not be made. */
function checkNew(call: Call, config: StreamConfig): void {
  allowAll(call, config)
  checkOverlap(call, config)
}

const othersThan = (call: Call, name: string): Stream[] => call.jetStream.streams().filter((each) => each.name !== name)

async function create(call: Call): Promise<object> {
  const config = configOf(call)
  if (config.sealed) throw refusal('streamInvalidConfig', 'stream configuration for create can not be sealed')
  checkStreamLimits(call.jetStream.limits, othersThan(call, config.name), config)
  const present = call.jetStream.stream(config.name)
  if (present !== undefined) {
    allow(call, 'manage', config.name)
    if (!isDeepStrictEqual(present.config, config)) throw refusal('streamNameExists')
    return { ...(await streamInfo(call, present)), did_create: true }
  }
  checkNew(call, config)
  const stream = await call.jetStream.createStream(config, call.space)
  return { ...(await streamInfo(call, stream)), did_create: true }
}

/** Nothing goes into a sealed stream, and nothing comes out. */
function sealed(config: StreamConfig): StreamConfig {
  if (!config.sealed) return config
  return { ...config, discard: 'new', max_age: 0, deny_delete: true, deny_purge: true, allow_rollup_hdrs: false }
}

async function update(call: Call): Promise<object> {
  const stream = streamNamed(call)
  // Where it began does not change, whatever is asked.
  const next = sealed({ ...configOf(call), first_seq: stream.config.first_seq })
  allowAll(call, next)
  checkUpdate(stream.config, next)
  checkUpdateLimits(call.jetStream.limits, othersThan(call, next.name), next)
  checkOverlap(call, next)
  const { max_ack_pending: pendingMax } = next.consumer_limits
  for (const { config: consumer } of stream.consumers.values())
    if (pendingMax > 0 && consumer.max_ack_pending > pendingMax)
      throw refusal('streamInvalidConfig', 'change to limits violates consumers')
  await call.jetStream.updateStream(stream, next, call.space)
  return await streamInfo(call, stream)
}

const infoFields = { ...pageFields, deleted_details: flag, subjects_filter: text }

async function describe(call: Call): Promise<object> {
  const stream = streamNamed(call)
  // What was published before without being answered counts.
  await call.jetStream.durable()
  interface Asked {
    readonly offset: number
    readonly deleted_details: boolean
    readonly subjects_filter: string
  }
  const asked = read<Asked>(infoFields, parseObject(call.body))
  const filter = asked.subjects_filter
  const details = { subjectsFilter: filter, deleted: asked.deleted_details, offset: asked.offset }
  const paged = filter === '' ? { total: 0 } : { total: stream.subjects(filter).length }
  return {
    total: paged.total,
    offset: paged.total === 0 ? 0 : asked.offset,
    limit: paged.total === 0 ? 0 : 100_000,
    ...(await streamInfo(call, stream, details)),
    // One server leads all of its streams.
    cluster: { leader: serverName },
  }
}

/** Those that the user may read and that, where a subject is said, have to do with it. */
function listed(call: Call): { readonly streams: Stream[]; readonly offset: number } {
  const { offset, subject } = read<{ offset: number; subject: string }>({ ...pageFields, subject: text }, parseObject(call.body))
  const { principal, namespace } = call.space
  const streams = call.jetStream
    .streams()
    .filter(({ name }) => principal.may('consume', namespace, name))
    .filter(({ config }) => subject === '' || config.subjects.some((own) => collide(own, subject)))
  return { streams, offset }
}

async function purge(call: Call): Promise<object> {
  interface Asked {
    readonly seq: number
    readonly filter: string
    readonly keep: number
  }
  const asked = read<Asked>({ seq: int, filter: text, keep: int }, parseObject(call.body))
  if (asked.seq > 0 && asked.keep > 0) throw refusal('badRequest')
  const stream = streamNamed(call)
  allow(call, 'manage', stream.name)
  if (stream.config.sealed) throw refusal('streamSealed')
  if (stream.config.deny_purge) throw refusal('streamPurge', 'stream purge not permitted')
  return { success: true, purged: await stream.purge(asked.filter, asked.seq, asked.keep) }
}

const snapshotFields = { deliver_subject: text, no_consumers: flag, chunk_size: int, window_size: int, jsck: flag }

/** Every message is read with its checksum, whether `jsck` asks for that or not. */
async function snapshot(call: Call): Promise<object> {
  if (call.body === '') throw refusal('badRequest')
  const stream = streamNamed(call)
  interface Asked {
    readonly deliver_subject: string
    readonly no_consumers: boolean
    readonly chunk_size: number
    readonly window_size: number
  }
  const asked = read<Asked>(snapshotFields, parseObject(call.body))
  const { deliver_subject: to, chunk_size: chunkBytes, window_size: windowBytes } = asked
  if (!isLiteral(to)) throw refusal('snapshotDeliverSubject')
  await call.jetStream.durable()
  const state = await stream.state()
  const config = shownStreamConfig(stream.config)
  // The answer is first.
  setImmediate(() => sendBackup(call.jetStream, stream, state, { to, chunkBytes, windowBytes, consumers: !asked.no_consumers }))
  return { config, state }
}

async function restore(call: Call): Promise<object> {
  if (call.body === '') throw refusal('badRequest')
  const asked = read<{ config: Record<string, unknown> | null }>({ config: any, state: any }, parseObject(call.body))
  const [name = ''] = call.words
  const config = named(call, streamConfig({ ...asked.config, name: asked.config?.['name'] || name }))
  if (call.jetStream.stream(name) !== undefined) throw refusal('streamNameExistsRestore')
  if (config.mirror !== null || config.sources.length > 0)
    throw refusal('streamRestore', 'mirrors and streams with sources copy again what they had')
  checkStreamLimits(call.jetStream.limits, othersThan(call, name), config)
  checkNew(call, config)
  return { deliver_subject: receiveBackup(call.jetStream, config, call.space, (stream) => streamInfo(call, stream)) }
}

/** What only a cluster does. */
const clusterOnly = (type: string, words: number): Handler => ({
  type,
  words,
  run: async () => {
    throw refusal('clusterRequired')
  },
})

export const streamHandlers: Readonly<Record<string, Handler>> = {
  'STREAM.CREATE': { type: 'stream_create', words: 1, run: create },
  'STREAM.UPDATE': { type: 'stream_update', words: 1, run: update },
  'STREAM.INFO': { type: 'stream_info', words: 1, empty: noPage, run: describe },
  'STREAM.DELETE': {
    type: 'stream_delete',
    words: 1,
    run: async (call) => {
      await call.jetStream.deleteStream(streamNamed(call), call.space)
      return { success: true }
    },
  },
  'STREAM.PURGE': { type: 'stream_purge', words: 1, empty: { purged: 0 }, run: purge },
  'STREAM.NAMES': {
    type: 'stream_names',
    words: 0,
    run: async (call) => {
      const { streams, offset } = listed(call)
      const { page, items } = pageOf(streams, offset, namesMax)
      return { ...page, streams: items.length === 0 ? null : items.map(({ name }) => name) }
    },
  },
  'STREAM.LIST': {
    type: 'stream_list',
    words: 0,
    run: async (call) => {
      const { streams, offset } = listed(call)
      const { page, items } = pageOf(streams, offset, listMax)
      return { ...page, streams: await Promise.all(items.map((stream) => streamInfo(call, stream))) }
    },
  },
  'STREAM.PEER.REMOVE': clusterOnly('stream_remove_peer', 1),
  'STREAM.LEADER.STEPDOWN': clusterOnly('stream_leader_stepdown', 1),
  'STREAM.SNAPSHOT': { type: 'stream_snapshot', words: 1, run: snapshot },
  'STREAM.RESTORE': { type: 'stream_restore', words: 1, run: restore },
}
