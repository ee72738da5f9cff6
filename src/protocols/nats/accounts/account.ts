/** One account: a namespace of the broker, what it may have, and who may say that somebody is its user. */
import { CoreError } from '../../../broker/face.ts'
import type { AccountLimits as StreamLimits } from '../jetstream/account-limits.ts'
import { isKey } from '../nkeys.ts'
import { type Claims, commonClaims, number, record, strings, unknownClaim } from './claims.ts'
import { type Export, exportsOf, type Import } from './exports.ts'
import { type Mapping, mappingOf } from './mappings.ts'
import { streamLimitClaims, streamLimits } from './stream-limits.ts'

export interface AccountLimits {
  /** -1: no limit, for each. */
  readonly connections: number
  readonly subscriptions: number
  readonly payloadBytes: number
}

export class Account {
  readonly claims: Claims
  readonly namespace: string
  readonly limits: AccountLimits
  readonly bearersRefused: boolean
  /** Of the subjects that its users publish to; null: they stay. */
  readonly mapping: Mapping | null
  /** Of its streams; null: its users may not use any. */
  readonly streamLimits: StreamLimits | null
  /** Of users whose tokens say none. */
  readonly defaultPermissions: Readonly<Record<string, unknown>>
  /** What users signed by a key of the account may: the scope of the key, null for any. */
  readonly #signers = new Map<string, Readonly<Record<string, unknown>> | null>()
  readonly #revoked: Readonly<Record<string, unknown>>
  readonly exports: readonly Export[]
  /** Found when all accounts are known. */
  imports: readonly Import[] = []
  /** Connections of its users. */
  readonly connected = new Set<object>()

  /** Throws Invalid for what cannot be held here. */
  constructor(claims: Claims, namespace: string) {
    const { own, subject } = claims
    this.claims = claims
    this.namespace = namespace
    const limits = record(own['limits'])
    refuseUnsupported(claims, limits)
    // Tools leave out what is 0, and that is none at all.
    const limit = (name: string): number => number(limits[name])
    this.limits = {
      connections: limit('conn'),
      subscriptions: limit('subs'),
      payloadBytes: limit('payload'),
    }
    this.bearersRefused = limits['disallow_bearer'] === true
    this.streamLimits = streamLimits(limits)
    this.mapping = mappingOf(own['mappings'], subject)
    this.defaultPermissions = record(own['default_permissions'])
    this.#revoked = record(own['revocations'])
    this.exports = exportsOf(own, subject)
    this.#checkCounts(limits)
    this.#signers.set(subject, null)
    for (const signer of Array.isArray(own['signing_keys']) ? own['signing_keys'] : []) this.#addSigner(signer)
  }

  /** What the operator allows it to have. */
  #checkCounts(limits: Readonly<Record<string, unknown>>): void {
    const { imports } = this.claims.own
    const counts = { imports: Array.isArray(imports) ? imports.length : 0, exports: this.exports.length }
    const { subject } = this.claims
    for (const [name, count] of Object.entries(counts)) {
      const most = number(limits[name])
      if (most >= 0 && count > most)
        throw new CoreError('Invalid', `NATS account ${subject}: it has ${count} ${name}, and its limit is ${most}`)
    }
    const hasWildcards = this.exports.some((each) => /(^|\.)[*>](\.|$)/.test(each.subject))
    if (hasWildcards && number(limits['exports']) >= 0 && limits['wildcards'] !== true)
      throw new CoreError('Invalid', `NATS account ${subject}: it may not export subjects with wildcards`)
  }

  #addSigner(signer: unknown): void {
    if (typeof signer === 'string') {
      this.#signers.set(signer, null)
      return
    }
    const { key, kind, template } = record(signer)
    if (!isKey(key, 'account') || kind !== 'user_scope') throw this.#unsupported('a signing key that is none of a user scope')
    if (JSON.stringify(template).includes('{{')) throw this.#unsupported('functions in the template of a signing key')
    const unknown = unknownClaim(record(template), rightsClaims)
    if (unknown !== undefined) throw this.#unsupported(`"${unknown}" in the template of a signing key`)
    this.#signers.set(key, record(template))
  }

  #unsupported(what: string): CoreError {
    return new CoreError('Invalid', `NATS account ${this.claims.subject}: ${what} cannot be held here`)
  }

  /** What users that this key signed may, null for what their tokens say; undefined: it signs none. */
  scopeOf(signer: string): Readonly<Record<string, unknown>> | null | undefined {
    return this.#signers.get(signer)
  }

  hasRevoked({ subject, issuedAt }: Claims): boolean {
    return [subject, '*'].some((key) => this.#revoked[key] !== undefined && number(this.#revoked[key]) >= issuedAt)
  }
}

/** Those that are neither held nor refused describe the account, or are about servers that stand together. */
const accountClaims = new Set([
  ...commonClaims,
  ...['imports', 'exports', 'limits', 'signing_keys', 'revocations', 'default_permissions'],
  ...['mappings', 'authorization', 'trace'],
  ...['description', 'info_url', 'cluster_traffic'],
])
const limitClaims = new Set([
  ...['conn', 'subs', 'payload', 'data', 'imports', 'exports', 'wildcards', 'disallow_bearer', 'leaf', 'tiered_limits'],
  ...streamLimitClaims,
])
/** What users may, as their tokens or the scope of a signing key say it (account-user.ts). */
export const rightsClaims: ReadonlySet<string> = new Set([
  ...['pub', 'sub', 'resp', 'subs', 'payload', 'data', 'src', 'times', 'times_location'],
  ...['bearer_token', 'proxy_required', 'allowed_connection_types'],
])

function refuseUnsupported({ own, subject }: Claims, limits: Record<string, unknown>): void {
  const refuse = (what: string): never => {
    throw new CoreError('Invalid', `NATS account ${subject}: ${what} cannot be held here`)
  }
  const unknown = unknownClaim(own, accountClaims) ?? unknownClaim(limits, limitClaims)
  if (unknown !== undefined) refuse(`"${unknown}"`)
  for (const name of ['authorization', 'trace']) if (entriesOf(own[name]) > 0) refuse(`"${name}"`)
  // nats-server reads it and holds nobody to it.
  if (number(limits['data']) > 0) refuse('the limit "data"')
  for (const [name, tier] of Object.entries(record(limits['tiered_limits']))) {
    const inTier = unknownClaim(record(tier), streamLimitClaims)
    if (inTier !== undefined) refuse(`"${inTier}" of the limits ${name}`)
  }
}

const entriesOf = (value: unknown): number =>
  Array.isArray(value)
    ? value.length
    : strings(Object.keys(record(value)).filter((key) => entryCounts(record(value)[key]))).length

const entryCounts = (value: unknown): boolean =>
  !(value === '' || value === null || value === 0 || (Array.isArray(value) && value.length === 0))
