/** Policies in RabbitMQ's words ⇄ the broker's: keys, values and whom they apply to, refused in RabbitMQ's texts. */
import type { Policy, PolicySettings } from '../../broker/face.ts'
import { badRequest } from './errors.ts'
import { isObject, type Json } from './json.ts'
import { namespaceOf, vhostOf } from './names.ts'
import { javaScriptOf } from './pattern.ts'

interface Retry {
  on?: 'all' | 'failed' | 'returned' | null
  minMs?: number
  maxMs?: number
}
/** While keys are read: the three about retries make one setting together. */
type Settings = { -readonly [K in keyof PolicySettings]: PolicySettings[K] } & { retry?: Retry }
const setRetry = (settings: Settings, part: Retry): void => void (settings.retry = { ...settings.retry, ...part })
interface Key {
  /** What is wrong with a value, after the value; null when nothing is. */
  wrong(value: unknown): string | null
  /** Absent for what chooses between forms of RabbitMQ's own storage: there is one storage here, and no client sees a difference. */
  set?(settings: Settings, value: never): void
  /** Operators may set it. */
  readonly cap?: true
}

const whole =
  (text: string, least = 0) =>
  (value: unknown): string | null =>
    Number.isSafeInteger(value) && (value as number) >= least ? null : text // a number, when the first half holds
const textual =
  (text: string) =>
  (value: unknown): string | null =>
    typeof value === 'string' ? null : text
const oneOf =
  (text: string, values: readonly unknown[]) =>
  (value: unknown): string | null =>
    values.includes(value) ? null : text

const overflows = { 'drop-head': 'dropOldest', 'reject-publish': 'refuse', 'reject-publish-dlx': 'refuseDeadLetter' } as const
const unitSeconds: Readonly<Record<string, number>> = { Y: 31_536_000, M: 2_592_000, D: 86_400, h: 3600, m: 60, s: 1 }

const keys: Readonly<Record<string, Key>> = {
  'message-ttl': {
    wrong: whole('a valid message TTL'),
    set: (settings, value) => (settings.recordTtlMs = value),
    cap: true,
  },
  expires: { wrong: whole('a valid queue expiry', 1), set: (settings, value) => (settings.expiresMs = value), cap: true },
  'consumer-timeout': {
    wrong: whole('a valid consumer timeout'),
    set: (settings, value) => (settings.settleTimeoutMs = value),
  },
  'max-length': {
    wrong: whole('a valid maximum length'),
    set: (settings, value) => (settings.recordsMax = value),
    cap: true,
  },
  'max-length-bytes': {
    wrong: whole('a valid maximum length in bytes'),
    set: (settings, value) => {
      settings.bytesMax = value
      settings.retentionBytes = value
    },
    cap: true,
  },
  'delivery-limit': {
    wrong: whole('a valid delivery limit'),
    set: (settings, value) => (settings.deliveryLimit = value),
    cap: true,
  },
  'max-age': {
    wrong: (value) => (maxAgeMs(value) === null ? 'a valid max age' : null),
    set: (settings, value) => (settings.retentionMs = maxAgeMs(value) ?? -1),
  },
  overflow: {
    wrong: oneOf('a valid overflow value', Object.keys(overflows)),
    set: (settings, value) => (settings.overflow = overflows[value as keyof typeof overflows]), // checked by `wrong`
  },
  'dead-letter-exchange': {
    wrong: textual('a valid dead letter exchange name'),
    set: (settings, value) => (settings.deadLetterExchange = value),
  },
  'dead-letter-routing-key': {
    wrong: textual('a valid dead letter routing key'),
    set: (settings, value) => (settings.deadLetterRoutingKey = value),
  },
  'alternate-exchange': {
    wrong: textual('a valid alternate exchange name'),
    set: (settings, value) => (settings.alternate = value),
  },
  'dead-letter-strategy': {
    wrong: oneOf('a valid dead letter strategy', ['at-most-once', 'at-least-once']),
    set: (settings, value) => (settings.deadLetterUntilStored = value === 'at-least-once'),
  },
  'delayed-retry-type': {
    wrong: oneOf('a valid delayed retry type', ['all', 'failed', 'returned', 'disabled']),
    set: (settings, value) => setRetry(settings, { on: value === 'disabled' ? null : value }),
  },
  'delayed-retry-min': {
    wrong: whole('a valid delayed retry minimum', 1),
    set: (settings, value) => setRetry(settings, { minMs: value }),
  },
  'delayed-retry-max': {
    wrong: whole('a valid delayed retry maximum', 1),
    set: (settings, value) => setRetry(settings, { maxMs: value }),
  },
  'queue-mode': { wrong: oneOf('a valid queue-mode value', ['default', 'lazy']) },
  'queue-version': { wrong: oneOf('a valid queue-version value', [1, 2]) },
  'queue-master-locator': { wrong: oneOf('a valid master locator', ['min-masters', 'client-local', 'random']) },
  'queue-leader-locator': {
    wrong: oneOf('a valid queue leader locator value', ['client-local', 'balanced', 'random', 'least-leaders']),
  },
  'initial-cluster-size': { wrong: whole('a valid cluster size') },
  'target-group-size': { wrong: whole('a valid target group size', 1) },
  'max-in-memory-length': { wrong: whole('a valid maximum memory in bytes'), cap: true },
  'max-in-memory-bytes': { wrong: whole('a valid maximum memory in bytes'), cap: true },
  'max-segment-size': { wrong: whole('a valid segment size') },
  'stream-max-segment-size-bytes': { wrong: whole('a valid segment size') },
  'stream-filter-size-bytes': { wrong: whole('a valid filter size', 16) },
}

function maxAgeMs(value: unknown): number | null {
  const match = typeof value === 'string' ? /^(\d{1,9})([YMDhms])$/.exec(value) : null
  return match === null ? null : Number(match[1]) * (unitSeconds[match[2] ?? ''] ?? 0) * 1000
}

const queueKinds = ['classic', 'quorum', 'stream'] as const
const targets: Readonly<Record<string, { topicKinds: readonly string[]; exchanges: boolean }>> = {
  queues: { topicKinds: queueKinds, exchanges: false },
  classic_queues: { topicKinds: ['classic'], exchanges: false },
  quorum_queues: { topicKinds: ['quorum'], exchanges: false },
  streams: { topicKinds: ['stream'], exchanges: false },
  exchanges: { topicKinds: [], exchanges: true },
  all: { topicKinds: queueKinds, exchanges: true },
}

const invalid = (why: string) => badRequest(`Validation failed\n\n${why}\n`)

/** A value as RabbitMQ's texts show it. */
export const shown = (value: unknown): string => (typeof value === 'string' ? `<<"${value}">>` : JSON.stringify(value))

/** A policy from its JSON; throws an ApiError. `cap`: it is an operator's. */
export function policyOf(vhost: string, name: string, cap: boolean, body: Json): Policy {
  for (const key of ['pattern', 'definition']) if (body[key] === undefined) throw badRequest(`[{key_missing,${key}}]`)
  const { pattern, definition, priority = 0, 'apply-to': applyTo = 'all' } = body
  if (!Number.isSafeInteger(priority)) throw invalid(`priority should be a number, actually was ${shown(priority)}`)
  if (typeof pattern !== 'string') throw invalid(`pattern should be a binary, actually was ${shown(pattern)}`)
  const target = typeof applyTo === 'string' && Object.hasOwn(targets, applyTo) ? targets[applyTo] : undefined
  if (target === undefined) {
    const words = Object.keys(targets).map((each) => `'${each}'`)
    throw invalid(`apply-to '${String(applyTo)}' unrecognised; should be one of: ${words.join(', ')}`)
  }
  if (!isObject(definition)) throw invalid(`definition should be an object, actually was ${shown(definition)}`)
  return {
    namespace: namespaceOf(vhost),
    name,
    pattern: regularExpression(pattern),
    cap,
    ...target,
    priority: priority as number, // checked above
    settings: settingsOf(definition, cap),
    declaration: { pattern, 'apply-to': applyTo, definition },
  }
}

function regularExpression(pattern: string): string {
  try {
    return javaScriptOf(pattern)
  } catch (cause) {
    throw invalid(cause instanceof Error ? cause.message : String(cause))
  }
}

/** Keys of a definition that mean nothing here, with their values. */
export function unknownKeys(definition: Json, cap: boolean): [string, unknown][] {
  return Object.entries(definition).filter(([name]) => !Object.hasOwn(keys, name) || (cap && keys[name]?.cap !== true))
}

function settingsOf(definition: Json, cap: boolean): PolicySettings {
  const entries = Object.entries(definition)
  if (entries.length === 0) throw invalid('no policy provided')
  const unknown = unknownKeys(definition, cap)
  if (unknown.length > 0) {
    const printed = unknown.map(([name, value]) => `{${shown(name)},${shown(value)}}`).join(',')
    throw invalid(`[${printed}] are not recognised policy settings`)
  }
  const settings: Settings = {}
  for (const [name, value] of entries) {
    const key = keys[name]
    const wrong = key?.wrong(value) ?? null
    if (wrong !== null) throw invalid(`${shown(value)} is not ${wrong}`)
    key?.set?.(settings, value as never) // of the type that `wrong` let through
  }
  const { retry, ...plain } = settings
  const { on, minMs, maxMs } = retry ?? {}
  if (on === undefined || on === null || minMs === undefined) return plain
  return { ...plain, retryDelay: { on, minMs, maxMs: maxMs ?? minMs } }
}

/** As listed and exported. */
export function policyJson(policy: Policy): Record<string, unknown> {
  const { pattern, 'apply-to': applyTo, definition } = wordsOf(policy)
  const { name, priority } = policy
  return { vhost: vhostOf(policy.namespace), name, pattern, 'apply-to': applyTo, definition, priority }
}

/** A policy that another protocol made has no words of RabbitMQ: it is shown by what can be said in them. */
function wordsOf(policy: Policy): { pattern: unknown; 'apply-to': unknown; definition: Json } {
  const {
    pattern = policy.pattern,
    'apply-to': applyTo = policy.exchanges ? 'exchanges' : 'queues',
    definition,
  } = policy.declaration
  return { pattern, 'apply-to': applyTo, definition: isObject(definition) ? definition : {} }
}

/** What policy and operator policy say together, as RabbitMQ shows it. */
export function effectiveDefinition(policy: Policy | undefined, cap: Policy | undefined): Json {
  const own = policy === undefined ? {} : wordsOf(policy).definition
  const capped: Record<string, unknown> = { ...own }
  for (const [name, value] of Object.entries(cap === undefined ? {} : wordsOf(cap).definition)) {
    const present = capped[name]
    capped[name] = typeof present === 'number' && typeof value === 'number' ? Math.min(present, value) : value
  }
  return capped
}
