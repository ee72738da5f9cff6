/** A stream's configuration: its fields, what nats-server makes of them, and what the broker's topic is told to do. */
import type { TopicConfig } from '../../../broker/face.ts'
import { apiLevel, serverVersion } from '../info.ts'
import { encodeEnvelope, messageFormatId } from '../mapping.ts'
import { collide, hasForeignWildcard, isLiteral, isSubset, isValidSubject, patternOf } from '../subjects.ts'
import { refusal } from './errors.ts'
import { always, any, type Fields, flag, int, oneOf, read, shown, strings, text, texts, time } from './fields.ts'
import { durationText, msOf, nanosOf } from './times.ts'
import { compileTransform, renamingOf, type SubjectTransform } from './transforms.ts'

/** The names are those of the API; durations are in nanoseconds, -1 and 0 are no limit. */
export interface StreamConfig {
  readonly name: string
  readonly description: string
  readonly subjects: readonly string[]
  readonly retention: 'limits' | 'interest' | 'workqueue'
  readonly max_consumers: number
  readonly max_msgs: number
  readonly max_bytes: number
  readonly max_age: number
  readonly max_msgs_per_subject: number
  readonly max_msg_size: number
  readonly discard: 'old' | 'new'
  readonly storage: 'file' | 'memory'
  readonly num_replicas: number
  readonly no_ack: boolean
  readonly duplicate_window: number
  readonly first_seq: number
  readonly subject_transform: SubjectTransform | null
  readonly republish: Republish | null
  readonly mirror: SourceConfig | null
  readonly sources: readonly SourceConfig[]
  readonly allow_direct: boolean
  /** It answers direct gets of the stream that it mirrors where that one does not. */
  readonly mirror_direct: boolean
  readonly discard_new_per_subject: boolean
  readonly sealed: boolean
  readonly deny_delete: boolean
  readonly deny_purge: boolean
  readonly allow_rollup_hdrs: boolean
  readonly consumer_limits: ConsumerLimits
  readonly allow_msg_ttl: boolean
  /** How long a marker stays for a subject whose last message was too old. */
  readonly subject_delete_marker_ttl: number
  readonly allow_msg_counter: boolean
  readonly allow_atomic: boolean
  readonly allow_batched: boolean
  readonly allow_msg_schedules: boolean
  readonly persist_mode: 'default' | 'async'
  readonly metadata: Readonly<Record<string, string>>
}

export interface SourceConfig {
  readonly name: string
  readonly opt_start_seq: number
  readonly opt_start_time: string
  readonly filter_subject: string
  readonly subject_transforms: readonly SubjectTransform[]
}

export interface Republish {
  readonly src: string
  readonly dest: string
  readonly headers_only: boolean
}

interface ConsumerLimits {
  readonly inactive_threshold: number
  readonly max_ack_pending: number
}

const fields = {
  name: always(text),
  description: text,
  subjects: strings,
  retention: oneOf('limits', 'interest', 'workqueue'),
  max_consumers: always(int),
  max_msgs: always(int),
  max_bytes: always(int),
  max_age: always(int),
  max_msgs_per_subject: always(int),
  max_msg_size: int,
  discard: oneOf('old', 'new'),
  storage: oneOf('file', 'memory'),
  num_replicas: always(int),
  no_ack: flag,
  duplicate_window: int,
  placement: any,
  mirror: any,
  sources: any,
  compression: oneOf('none', 's2'),
  first_seq: int,
  subject_transform: any,
  republish: any,
  allow_direct: always(flag),
  mirror_direct: always(flag),
  discard_new_per_subject: flag,
  sealed: always(flag),
  deny_delete: always(flag),
  deny_purge: always(flag),
  allow_rollup_hdrs: always(flag),
  consumer_limits: always(any),
  allow_msg_ttl: always(flag),
  subject_delete_marker_ttl: int,
  allow_msg_counter: flag,
  allow_atomic: flag,
  allow_msg_schedules: flag,
  persist_mode: { ...oneOf('default', 'async'), always: false },
  allow_batched: flag,
  metadata: texts,
  /** Of the request alone. */
  pedantic: flag,
} as const satisfies Fields

const sourceFields = {
  name: text,
  opt_start_seq: int,
  opt_start_time: time,
  filter_subject: text,
  subject_transforms: any,
  external: any,
  consumer: any,
} as const satisfies Fields
const transformFields = { src: text, dest: text } as const satisfies Fields
const republishFields = { src: text, dest: text, headers_only: flag } as const satisfies Fields
const limitFields = { inactive_threshold: int, max_ack_pending: int } as const satisfies Fields

type Given = StreamConfig & Readonly<Record<keyof typeof fields, unknown>>

const defaultWindow = nanosOf(2 * 60_000)
const shortest = nanosOf(100)
const descriptionBytesMax = 4096
const nameBytesMax = 255
const metadataBytesMax = 128 * 1024

/** Reads and completes what a client asks for. Throws {@link ApiError}. */
export function streamConfig(json: Record<string, unknown>): StreamConfig {
  const given = read<Given>(fields, json)
  checkName(given)
  refuseUnsupported(given)
  const noLimit = (limit: number): number => (limit === 0 || limit < -1 ? -1 : limit)
  const republish = given.republish === null ? null : read<Republish>(republishFields, { ...given.republish })
  const mirror = given.mirror === null ? null : sourceConfig(given.mirror, true)
  const sources = ((given.sources as unknown[] | null) ?? []).map((source) => sourceConfig(source, false))
  const schedules = given.allow_msg_schedules
  const marks = given.subject_delete_marker_ttl > 0
  const config: StreamConfig = {
    name: given.name,
    description: given.description,
    subjects: given.subjects.length === 0 && mirror === null && sources.length === 0 ? [given.name] : given.subjects,
    retention: given.retention,
    max_consumers: noLimit(given.max_consumers),
    max_msgs: noLimit(given.max_msgs),
    max_bytes: noLimit(given.max_bytes),
    max_age: given.max_age,
    max_msgs_per_subject: noLimit(given.max_msgs_per_subject),
    max_msg_size: noLimit(given.max_msg_size),
    discard: given.discard,
    storage: given.storage,
    num_replicas: given.num_replicas === 0 ? 1 : given.num_replicas,
    no_ack: given.no_ack,
    // Copies have no window of their own: 0 is none.
    duplicate_window:
      given.duplicate_window !== 0 || mirror !== null || sources.length > 0 ? given.duplicate_window : windowFor(given.max_age),
    first_seq: given.first_seq,
    subject_transform: subjectTransform(given.subject_transform),
    republish: republish === null || republish.src !== '' ? republish : { ...republish, src: '>' },
    mirror,
    sources,
    allow_direct: given.allow_direct,
    mirror_direct: given.mirror_direct as boolean,
    discard_new_per_subject: given.discard_new_per_subject,
    sealed: given.sealed,
    deny_delete: given.deny_delete,
    // Schedules and markers take the place of what was there before.
    deny_purge: given.deny_purge && !schedules && !marks,
    allow_rollup_hdrs: given.allow_rollup_hdrs || schedules || marks,
    consumer_limits: read<ConsumerLimits>(limitFields, { ...(given.consumer_limits as object | null) }),
    allow_msg_ttl: given.allow_msg_ttl || marks,
    subject_delete_marker_ttl: given.subject_delete_marker_ttl,
    allow_msg_counter: given.allow_msg_counter,
    allow_atomic: given.allow_atomic,
    allow_batched: given.allow_batched,
    allow_msg_schedules: schedules,
    persist_mode: given.persist_mode,
    metadata: withoutServerMetadata(given.metadata),
  }
  checkCopies(config)
  checkLimits(config)
  if (given.pedantic && marks && !given.allow_msg_ttl)
    throw invalid('subject delete marker cannot be set if message TTLs are disabled')
  if (given.pedantic && marks && !given.allow_rollup_hdrs)
    throw invalid('subject delete marker cannot be set if roll-ups are disabled')
  if (given.pedantic && schedules && !given.allow_rollup_hdrs)
    throw invalid('message scheduling cannot be set if roll-ups are disabled')
  checkSubjects(config)
  return config
}

const windowFor = (maxAge: number): number => (maxAge > 0 && maxAge < defaultWindow ? maxAge : defaultWindow)
const invalid = (reason: string): Error => refusal('streamInvalidConfig', reason)

function checkName({ name, description, metadata }: Given): void {
  if (!isAssetName(name)) throw invalid(`stream name is required and can not contain '.', '*', '>', '\\', '/'`)
  if (Buffer.byteLength(name) > nameBytesMax) throw invalid(`stream name is too long, maximum allowed is ${nameBytesMax}`)
  if (Buffer.byteLength(description) > descriptionBytesMax)
    throw invalid(`stream description is too long, maximum allowed is ${descriptionBytesMax}`)
  const bytes = Object.entries(metadata).reduce((sum, [key, value]) => sum + Buffer.byteLength(key + value), 0)
  if (bytes > metadataBytesMax) throw invalid(`stream metadata exceeds maximum size of ${metadataBytesMax} bytes`)
}

/** Names of streams and consumers. */
export function isAssetName(name: string): boolean {
  return name !== '' && !/[\s.*>\\/]/.test(name)
}

/** What this server does not do is refused, so that nothing is kept and not honoured. */
function refuseUnsupported(given: Given): void {
  if (given.num_replicas < 0) throw refusal('replicasNegative')
  if (given.num_replicas > 1) throw refusal('streamReplicas')
  if (asksForPlace(given.placement)) throw refusal('clusterRequired')
  if (given.mirror_direct && given.mirror === null) throw invalid('stream has no mirror but does have mirror direct')
  const asked: readonly [unknown, string][] = [
    [given.compression === 's2' ? 's2' : null, 'compression is'],
    [(given.allow_batched && given.allow_msg_counter) || null, 'batch publishing of what is counted is'],
    [(given.allow_batched && given.allow_msg_schedules) || null, 'batch publishing of schedules is'],
  ]
  for (const [value, what] of asked) if (value !== null) throw invalid(`${what} not supported here`)
}

/** Tools name places without saying which. */
function asksForPlace(placement: unknown): boolean {
  const said = Object.values((placement ?? {}) as Record<string, unknown>)
  return said.some((each) => (Array.isArray(each) ? each.length > 0 : each !== '' && each !== null))
}

function sourceConfig(given: unknown, mirrors: boolean): SourceConfig {
  if (typeof given !== 'object' || given === null) throw refusal('invalidJson', 'json: cannot unmarshal this value into a source')
  const { external, consumer, ...source } = read<SourceConfig & { external: unknown; consumer: unknown }>(sourceFields, {
    ...given,
  })
  if (external !== null || consumer !== null) throw invalid('streams of other servers and accounts are not supported here')
  if (!isAssetName(source.name)) throw refusal(mirrors ? 'mirrorName' : 'sourceName')
  const asked = (source.subject_transforms as unknown) === null ? [] : source.subject_transforms
  if (!Array.isArray(asked)) throw refusal('invalidJson', 'json: cannot unmarshal this value into field subject_transforms')
  const transforms = asked.map((each) => read<SubjectTransform>(transformFields, { ...(each as object | null) }))
  if (transforms.length > 0 && source.filter_subject !== '') throw refusal(mirrors ? 'mirrorFilters' : 'sourceFilters')
  for (const { src, dest } of transforms) {
    if (src !== '' && !isValidSubject(src))
      throw refusal(mirrors ? 'mirrorTransformSource' : 'sourceTransformSource', `invalid subject ${src}`)
    if (compileTransform({ src, dest }) === null)
      throw refusal(mirrors ? 'mirrorTransform' : 'sourceTransform', `invalid mapping destination: ${dest}`)
  }
  const overlap = mirrors ? collide : isSubset
  if (transforms.some((one) => transforms.some((other) => other !== one && overlap(one.src, other.src))))
    throw refusal(mirrors ? 'mirrorOverlap' : 'sourceOverlap')
  return { ...source, subject_transforms: transforms }
}

function subjectTransform(given: unknown): SubjectTransform | null {
  if (given === null) return null
  if (typeof given !== 'object') throw refusal('invalidJson', 'json: cannot unmarshal this value into a transform')
  const transform = read<SubjectTransform>(transformFields, { ...given })
  if (transform.src !== '' && !isValidSubject(transform.src)) throw refusal('transformSource', `invalid subject ${transform.src}`)
  if (renamingOf(transform) === null) throw refusal('transformDestination', `invalid mapping destination: ${transform.dest}`)
  return transform
}

function checkCopies({ mirror, sources, subjects, first_seq: first, ...config }: StreamConfig): void {
  const names = sources.map(
    ({ name, filter_subject: filter, subject_transforms: transforms }) => `${name} ${filter} ${JSON.stringify(transforms)}`,
  )
  if (new Set(names).size < names.length) throw refusal('sourceDuplicate')
  if (sources.length > 0 && config.allow_msg_schedules) throw refusal('sourceWithSchedules')
  if (mirror === null) return
  if (first > 0) throw refusal('mirrorWithFirstSequence')
  if (subjects.length > 0) throw refusal('mirrorWithSubjects')
  if (sources.length > 0) throw refusal('mirrorWithSources')
  if (config.allow_msg_counter) throw refusal('mirrorWithCounters')
  if (config.allow_atomic) throw refusal('mirrorWithAtomic')
  if (config.allow_batched) throw refusal('mirrorWithBatches')
  if (config.allow_msg_schedules) throw refusal('mirrorWithSchedules')
  if (config.subject_delete_marker_ttl > 0) throw invalid('subject delete markers forbidden on mirrors')
  if (mirror.opt_start_seq > 0 && mirror.opt_start_time !== '') throw refusal('mirrorStart')
}

function checkLimits(config: StreamConfig): void {
  if (config.max_age < 0) throw invalid('max age can not be negative')
  if (config.max_age !== 0 && config.max_age < shortest) throw invalid('max age needs to be >= 100ms')
  if (config.duplicate_window < 0) throw invalid('duplicates window can not be negative')
  if (config.max_age !== 0 && config.duplicate_window > config.max_age)
    throw invalid('duplicates window can not be larger then max age')
  if (config.duplicate_window > 0 && config.duplicate_window < shortest) throw invalid('duplicates window needs to be >= 100ms')
  if (config.deny_purge && config.allow_rollup_hdrs) throw invalid('roll-ups require the purge permission')
  if (config.first_seq < 0) throw invalid('first sequence can not be negative')
  if (config.discard_new_per_subject && config.discard !== 'new')
    throw invalid('discard new per subject requires discard new policy to be set')
  if (config.discard_new_per_subject && config.max_msgs_per_subject <= 0)
    throw invalid('discard new per subject requires max msgs per subject > 0')
  if (config.allow_msg_counter) {
    if (config.discard === 'new') throw invalid('counter stream cannot use discard new')
    if (config.allow_msg_ttl) throw invalid('counter stream cannot use message TTLs')
    if (config.allow_msg_schedules) throw invalid('counter stream cannot use message schedules')
    if (config.retention !== 'limits') throw invalid('counter stream can only use limits retention')
  }
  const { subject_delete_marker_ttl: markerTtl } = config
  if (markerTtl < 0) throw invalid('subject delete marker TTL must not be negative')
  if (markerTtl > 0 && markerTtl < nanosOf(1000)) throw invalid('subject delete marker TTL must be at least 1 second')
  if (config.allow_msg_schedules && config.discard === 'new') throw invalid('message scheduling cannot use discard new')
  if (config.persist_mode === 'async') {
    if (config.storage !== 'file') throw invalid('async persist mode is only supported on file storage')
    if (config.allow_atomic) throw invalid('async persist mode is not supported with atomic batch publish')
  }
}

function checkSubjects({ subjects, no_ack: noAck, republish }: StreamConfig): void {
  for (const [index, subject] of subjects.entries()) {
    if (!isValidSubject(subject) || hasForeignWildcard(subject)) throw invalid('invalid subject')
    if (subjects.indexOf(subject) !== index) throw invalid('duplicate subjects detected')
    if (!noAck) {
      if (subject === '>') throw invalid('capturing all subjects requires no-ack to be true')
      if (collide(subject, '$JS.>') && !isSubset(subject, '$JS.EVENT.>'))
        throw invalid('subjects that overlap with jetstream api require no-ack to be true')
      if (collide(subject, '$SYS.>') && !isSubset(subject, '$SYS.ACCOUNT.>'))
        throw invalid('subjects that overlap with system api require no-ack to be true')
    }
    for (const other of subjects.slice(index + 1))
      if (collide(subject, other)) throw invalid(`subject "${subject}" overlaps with "${other}"`)
  }
  if (republish === null) return
  if (subjects.some((subject) => collide(republish.dest, subject)))
    throw invalid('stream configuration for republish destination forms a cycle')
  const { src, dest } = republish
  if (
    !isValidSubject(src) ||
    (dest !== '>' && !dest.endsWith('.>') && !isLiteral(dest)) ||
    (dest.endsWith('>') && !src.endsWith('>'))
  )
    throw invalid(`stream configuration for republish with transform from '${src}' to '${dest}' not valid`)
}

/** What an update may not change. Throws {@link ApiError}. */
export function checkUpdate(old: StreamConfig, next: StreamConfig): void {
  const no = (reason: string): Error => refusal('streamInvalidConfig', `stream configuration update ${reason}`)
  if (old.storage !== next.storage) throw no('can not change storage type')
  if (old.max_consumers !== next.max_consumers) throw no('can not change MaxConsumers')
  if (old.retention !== next.retention && (old.retention === 'workqueue' || next.retention === 'workqueue'))
    throw no('can not change retention policy to/from workqueue')
  if (old.sealed && !next.sealed) throw no('can not unseal a sealed stream')
  if (old.deny_delete && !next.deny_delete) throw no('can not cancel deny message deletes')
  if (old.deny_purge && !next.deny_purge) throw no('can not cancel deny purge')
  if (old.allow_msg_ttl && !next.allow_msg_ttl) throw no('can not disable per-message TTLs')
  if (JSON.stringify(old.mirror) !== JSON.stringify(next.mirror)) throw refusal('mirrorNotUpdatable')
  if (old.allow_msg_counter !== next.allow_msg_counter) throw no('can not change counter setting')
  if (old.allow_msg_schedules && !next.allow_msg_schedules)
    throw refusal('streamInvalidConfig', 'message schedules can not be disabled')
  if (old.persist_mode !== next.persist_mode) throw no('can not change persist mode')
}

/** The topic that is the stream. It keeps by itself whatever the retention: single messages are taken away as they are acknowledged. */
export function topicConfig(config: StreamConfig, recordBytesMax: number): Partial<TopicConfig> {
  const { max_msg_size: size, max_age: age } = config
  return {
    retention: 'time',
    retentionMs: age === 0 ? -1 : msOf(age),
    retentionBytes: -1,
    storage: config.storage === 'memory' ? 'memory' : 'disk',
    // Headers and payload count here; an envelope has its head and reply subject besides.
    recordBytesMax: size < 0 ? recordBytesMax : Math.min(recordBytesMax, size + 4096 + 64),
    recordsMax: config.max_msgs,
    bytesMax: config.max_bytes,
    overflow: config.discard === 'new' ? 'refuse' : 'dropOldest',
    captures: config.subjects.map(patternOf),
    renames: config.subject_transform === null ? null : renamingOf(config.subject_transform),
    indexed: true,
    expiryMarker: expiryMarker(config),
    subjectRecordsMax: config.max_msgs_per_subject,
    subjectOverflow: config.discard_new_per_subject ? 'refuse' : 'dropOldest',
    dedupWindowMs: msOf(config.duplicate_window),
    timestampType: 'create',
  }
}

/** What stands for a subject of which nothing is left, until its own time is over. */
function expiryMarker({ subject_delete_marker_ttl: ttl }: StreamConfig): TopicConfig['expiryMarker'] {
  if (ttl <= 0) return null
  const ttlMs = Math.floor(msOf(ttl) / 1000) * 1000
  const headers = Buffer.from(
    `NATS/1.0\r\nNats-Marker-Reason: MaxAge\r\nNats-TTL: ${durationText(ttlMs)}\r\nNats-Rollup: sub\r\n\r\n`,
  )
  const payload = encodeEnvelope('', headers.length, headers).toString('base64')
  return { format: messageFormatId, payload, ttlMs }
}

const serverKeys = ['_nats.ver', '_nats.level', '_nats.req.level']

export function withoutServerMetadata(metadata: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(metadata).filter(([key]) => !serverKeys.includes(key)))
}

/** What nats-server adds in answers: which level of the API is needed, and which one there is. */
export function serverMetadata(needed: number): Record<string, string> {
  return { '_nats.level': String(apiLevel), '_nats.req.level': String(needed), '_nats.ver': serverVersion }
}

const neededLevel = (config: StreamConfig): number => (config.allow_batched ? 4 : neededBefore(config))

const neededBefore = (config: StreamConfig): number =>
  config.allow_msg_counter || config.allow_atomic || config.allow_msg_schedules || config.persist_mode === 'async'
    ? 2
    : config.allow_msg_ttl
      ? 1
      : 0

export function shownStreamConfig(config: StreamConfig): Record<string, unknown> {
  const complete = { ...config, compression: 'none' }
  const { republish, subject_transform, persist_mode: mode, consumer_limits: limits } = config
  return {
    ...shown(fields, complete),
    ...(subject_transform === null ? {} : { subject_transform }),
    ...(republish === null ? {} : { republish: shown({}, republish) }),
    ...(config.mirror === null ? {} : { mirror: shown({}, config.mirror) }),
    ...(config.sources.length === 0 ? {} : { sources: config.sources.map((source) => shown({}, source)) }),
    ...(mode === 'default' ? { persist_mode: undefined } : {}),
    consumer_limits: shown({}, limits),
    metadata: { ...config.metadata, ...serverMetadata(neededLevel(config)) },
  }
}
