/** A consumer's configuration: its fields, what nats-server makes of them, and what contradicts itself. */
import { collide, hasForeignWildcard, isLiteral, isSubset, isValidSubject } from '../subjects.ts'
import { type ApiErrorName, refusal } from './errors.ts'
import { always, type Fields, flag, int, oneOf, read, shown, strings, text, texts, time } from './fields.ts'
import { isAssetName, type StreamConfig, serverMetadata, withoutServerMetadata } from './stream-config.ts'
import { nanosOf } from './times.ts'

/** The names are those of the API; durations are in nanoseconds. */
export interface ConsumerConfig {
  readonly durable_name: string
  readonly name: string
  readonly description: string
  readonly deliver_policy: 'all' | 'last' | 'new' | 'by_start_sequence' | 'by_start_time' | 'last_per_subject'
  readonly opt_start_seq: number
  readonly opt_start_time: string
  readonly ack_policy: 'none' | 'all' | 'explicit'
  readonly ack_wait: number
  readonly max_deliver: number
  readonly backoff: readonly number[]
  readonly filter_subject: string
  readonly filter_subjects: readonly string[]
  readonly replay_policy: 'instant' | 'original'
  readonly rate_limit_bps: number
  readonly sample_freq: string
  readonly max_waiting: number
  readonly max_ack_pending: number
  readonly flow_control: boolean
  readonly headers_only: boolean
  readonly max_batch: number
  readonly max_expires: number
  readonly max_bytes: number
  readonly deliver_subject: string
  readonly deliver_group: string
  readonly idle_heartbeat: number
  readonly inactive_threshold: number
  readonly num_replicas: number
  readonly mem_storage: boolean
  readonly metadata: Readonly<Record<string, string>>
  readonly pause_until: string
  readonly priority_groups: readonly string[]
  readonly priority_policy: 'none' | 'overflow' | 'pinned_client' | 'prioritized'
  readonly priority_timeout: number
}

const fields = {
  durable_name: text,
  name: text,
  description: text,
  deliver_policy: oneOf('all', 'last', 'new', 'by_start_sequence', 'by_start_time', 'last_per_subject'),
  opt_start_seq: int,
  opt_start_time: time,
  ack_policy: oneOf('none', 'all', 'explicit'),
  ack_wait: int,
  max_deliver: int,
  backoff: { kind: 'any' },
  filter_subject: text,
  filter_subjects: strings,
  replay_policy: oneOf('instant', 'original'),
  rate_limit_bps: int,
  sample_freq: text,
  max_waiting: int,
  max_ack_pending: int,
  flow_control: flag,
  headers_only: flag,
  max_batch: int,
  max_expires: int,
  max_bytes: int,
  deliver_subject: text,
  deliver_group: text,
  idle_heartbeat: int,
  inactive_threshold: int,
  num_replicas: always(int),
  mem_storage: flag,
  direct: flag,
  sourcing: flag,
  metadata: texts,
  pause_until: time,
  priority_groups: strings,
  priority_policy: { ...oneOf('none', 'overflow', 'pinned_client', 'prioritized'), always: false },
  priority_timeout: int,
} as const satisfies Fields

export const maxWaitingDefault = 512
const ackWaitDefault = nanosOf(30_000)
const maxAckPendingDefault = 1000
const pinnedDefault = nanosOf(2 * 60_000)
const descriptionBytesMax = 4096
const metadataBytesMax = 128 * 1024
const nameBytesMax = 255

type Given = ConsumerConfig & { readonly direct: boolean; readonly sourcing: boolean }

/** Reads and completes what a client asks for. `ackPendingMax`: of its account, -1 no limit. Throws {@link ApiError}. */
export function consumerConfig(json: Record<string, unknown>, stream: StreamConfig, ackPendingMax = -1): ConsumerConfig {
  const { direct, sourcing, ...given } = read<Given>(fields, json)
  if (direct || sourcing) throw refusal('consumerCreate', 'direct consumers of other servers are not supported here')
  const backoff = (given.backoff as unknown) === null ? [] : given.backoff
  if (!Array.isArray(backoff) || !backoff.every(Number.isInteger))
    throw refusal('invalidJson', 'json: cannot unmarshal this value into field backoff')
  const positive = (value: number): number => Math.max(0, value)
  const pull = given.deliver_subject === ''
  const needsAck = given.ack_policy !== 'none'
  const limits = stream.consumer_limits
  const config: ConsumerConfig = {
    ...given,
    backoff,
    max_deliver: given.max_deliver === 0 || given.max_deliver < -1 ? -1 : given.max_deliver,
    max_waiting: pull && given.max_waiting <= 0 ? maxWaitingDefault : positive(given.max_waiting),
    ack_wait: backoff[0] ?? (given.ack_wait === 0 && needsAck ? ackWaitDefault : given.ack_wait),
    max_ack_pending: maxAckPending(given, limits.max_ack_pending, ackPendingMax),
    inactive_threshold: positive(given.inactive_threshold) || limits.inactive_threshold,
    idle_heartbeat: positive(given.idle_heartbeat),
    max_batch: positive(given.max_batch),
    max_expires: positive(given.max_expires),
    max_bytes: positive(given.max_bytes),
    priority_timeout:
      given.priority_policy === 'pinned_client' && given.priority_timeout <= 0 ? pinnedDefault : positive(given.priority_timeout),
    metadata: withoutServerMetadata(given.metadata),
  }
  check(config, stream, ackPendingMax)
  return config
}

function maxAckPending({ max_ack_pending: asked, ack_policy: policy }: ConsumerConfig, limit: number, most: number): number {
  if (asked < -1) return -1
  if (asked !== 0) return asked
  if (limit !== 0) return limit
  if (policy === 'none') return 0
  return most > 0 ? Math.min(most, maxAckPendingDefault) : maxAckPendingDefault
}

/** A condition under which it is refused. */
type Rule = readonly [wrong: boolean, error: ApiErrorName, value?: string | number]

function enforce(rules: readonly Rule[]): void {
  for (const [wrong, error, value] of rules) if (wrong) throw refusal(error, value)
}

function check(config: ConsumerConfig, stream: StreamConfig, ackPendingMax: number): void {
  const { name, durable_name: durable, num_replicas: replicas, backoff, max_deliver: maxDeliver, description } = config
  const names = (kind: string): string => `consumer ${kind} can not contain '.', '*', '>', '\\', '/'`
  enforce([
    [name !== '' && !isAssetName(name), 'streamInvalidConfig', names('name')],
    [durable !== '' && !isAssetName(durable), 'streamInvalidConfig', names('durable name')],
    [Buffer.byteLength(durable || name) > nameBytesMax, 'consumerNameTooLong', nameBytesMax],
    [replicas > stream.num_replicas, 'consumerReplicas'],
    [replicas < 0, 'replicasNegative'],
    [backoff.some((each) => each < 0), 'consumerBackoffNegative'],
    [config.ack_wait < 0, 'consumerAckWait'],
    [backoff.length > 0 && maxDeliver !== -1 && backoff.length > maxDeliver, 'consumerMaxDeliverBackoff'],
    [Buffer.byteLength(description) > descriptionBytesMax, 'consumerDescription', descriptionBytesMax],
  ])
  if (config.deliver_subject === '') checkPull(config, stream)
  else checkPush(config, stream)
  const { max_ack_pending: pendingMax, inactive_threshold: thresholdMax } = stream.consumer_limits
  enforce([
    [ackPendingMax > 0 && config.max_ack_pending > ackPendingMax, 'consumerMaxPendingExcess', ackPendingMax],
    [pendingMax > 0 && config.max_ack_pending > pendingMax, 'consumerMaxPendingExcess', pendingMax],
    [thresholdMax > 0 && config.inactive_threshold > thresholdMax, 'consumerInactiveExcess', thresholdMax],
  ])
  checkFilters(config)
  checkStart(config)
  const sample = config.sample_freq.replace(/%$/, '')
  const metadataBytes = Object.entries(config.metadata).reduce((sum, [key, value]) => sum + Buffer.byteLength(key + value), 0)
  enforce([
    [config.sample_freq !== '' && !/^\d+$/.test(sample), 'consumerSampling', `"${sample}" is no number`],
    [config.flow_control && config.idle_heartbeat === 0, 'consumerFlowNeedsHeartbeat'],
    [durable !== '' && name !== '' && durable !== name, 'consumerDurableAndName'],
    [metadataBytes > metadataBytesMax, 'consumerMetadata', `${metadataBytesMax / 1024}KB`],
  ])
  checkGroups(config)
}

function checkPush(config: ConsumerConfig, stream: StreamConfig): void {
  const { deliver_subject: subject, idle_heartbeat: heartbeat } = config
  enforce([
    [/(^|\.)[*>](\.|$)/.test(subject), 'consumerDeliverWildcards'],
    [!isLiteral(subject) || hasForeignWildcard(subject), 'consumerDeliverSubject'],
    [stream.subjects.some((captured) => collide(captured, subject)), 'consumerDeliverCycle'],
    [config.max_waiting !== 0, 'consumerPushMaxWaiting'],
    [config.max_ack_pending > 0 && config.ack_policy === 'none', 'consumerPendingNeedsAck'],
    [heartbeat > 0 && heartbeat < nanosOf(100), 'consumerSmallHeartbeat'],
  ])
}

function checkPull(config: ConsumerConfig, stream: StreamConfig): void {
  enforce([
    [config.ack_policy === 'none' && stream.retention === 'workqueue', 'consumerPullNeedsAck'],
    [config.rate_limit_bps > 0, 'consumerPullRateLimit'],
    [config.idle_heartbeat > 0, 'consumerHeartbeatNeedsPush'],
    [config.flow_control, 'consumerFlowNeedsPush'],
    [config.max_expires !== 0 && config.max_expires < nanosOf(1), 'consumerSmallExpires'],
  ])
}

export function filtersOf({ filter_subject: one, filter_subjects: many }: ConsumerConfig): readonly string[] {
  return one === '' ? many : [one]
}

function checkFilters(config: ConsumerConfig): void {
  const filters = filtersOf(config)
  enforce([
    [config.filter_subject !== '' && config.filter_subjects.length > 0, 'consumerDuplicateFilters'],
    [config.filter_subjects.includes(''), 'consumerEmptyFilter'],
    [filters.some((filter) => !isValidSubject(filter) || hasForeignWildcard(filter)), 'streamInvalidConfig', 'bad subject'],
    [
      filters.some((outer, at) => filters.some((inner, other) => at !== other && isSubset(inner, outer))),
      'consumerOverlappingFilters',
    ],
  ])
}

const policyWords = {
  all: 'all',
  last: 'last',
  new: 'new',
  last_per_subject: 'last per subject',
  by_start_sequence: 'by start sequence',
  by_start_time: 'by start time',
} as const

function checkStart(config: ConsumerConfig): void {
  const { deliver_policy: policy, opt_start_seq: sequence, opt_start_time: at } = config
  const word = policyWords[policy]
  const also = (start: string): string => `consumer delivery policy is deliver ${word}, but optional start ${start} is also set`
  const missing = (what: string): string => `consumer delivery policy is deliver ${word}, but optional ${what} is not set`
  const bySequence = policy === 'by_start_sequence'
  const byTime = policy === 'by_start_time'
  enforce([
    [bySequence && sequence === 0, 'consumerInvalidPolicy', missing('start sequence')],
    [byTime && at === '', 'consumerInvalidPolicy', missing('start time')],
    [!bySequence && sequence !== 0, 'consumerInvalidPolicy', byTime ? also('start sequence') : also('sequence')],
    [!byTime && at !== '', 'consumerInvalidPolicy', also('time')],
    [policy === 'last_per_subject' && filtersOf(config).length === 0, 'consumerInvalidPolicy', missing('filter subject')],
  ])
}

function checkGroups(config: ConsumerConfig): void {
  const { priority_policy: policy, priority_groups: groups, priority_timeout: timeout } = config
  if (policy === 'none')
    return enforce([
      [groups.length > 0, 'groupWithoutPolicy'],
      [timeout > 0, 'pinnedWithoutPolicy'],
    ])
  enforce([
    [config.deliver_subject !== '', 'groupPush'],
    [groups.length === 0, 'groupPolicy'],
    [groups.includes(''), 'groupEmpty'],
    [groups.some((group) => !/^[a-zA-Z0-9/_=-]{1,16}$/.test(group)), 'groupName'],
  ])
}

/** What an update may not change. Throws {@link ApiError}. */
export function checkUpdate(old: ConsumerConfig, next: ConsumerConfig, isHeard: (subject: string) => boolean): void {
  const fixed: readonly [keyof ConsumerConfig, string][] = [
    ['deliver_policy', 'deliver policy'],
    ['mem_storage', 'storage type'],
    ['opt_start_seq', 'start sequence'],
    ['opt_start_time', 'start time'],
    ['ack_policy', 'ack policy'],
    ['replay_policy', 'replay policy'],
    ['idle_heartbeat', 'heart beats'],
    ['flow_control', 'flow control'],
  ]
  for (const [field, words] of fixed)
    if (old[field] !== next[field]) throw refusal('consumerCreate', `${words} can not be updated`)
  if (old.deliver_subject !== next.deliver_subject) {
    if (old.deliver_subject === '') throw refusal('consumerCreate', 'can not update pull consumer to push based')
    if (next.deliver_subject === '') throw refusal('consumerCreate', 'can not update push consumer to pull based')
    if (isHeard(old.deliver_subject)) throw refusal('consumerNameExists')
  }
  if (old.max_waiting !== next.max_waiting) throw refusal('consumerCreate', 'max waiting can not be updated')
}

export function shownConsumerConfig(config: ConsumerConfig): Record<string, unknown> {
  const { priority_policy: policy, pause_until: pause, metadata } = config
  const needed = policy !== 'none' || pause !== '' ? 1 : 0
  return {
    ...shown(fields, config),
    ...(policy === 'none' ? { priority_policy: undefined } : {}),
    metadata: { ...metadata, ...serverMetadata(needed) },
  }
}
