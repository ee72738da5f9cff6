/** One account: a namespace of the broker, what it may have, and who may say that somebody is its user. */
import { CoreError } from '../../../broker/face.ts'
import { isKey } from '../nkeys.ts'
import { type Claims, number, record, strings } from './claims.ts'
import { type Export, exportsOf, type Import } from './exports.ts'

export interface AccountLimits {
  /** -1: no limit, for each. */
  readonly connections: number
  readonly subscriptions: number
  readonly payloadBytes: number
  readonly streams: number
  readonly consumers: number
}

export class Account {
  readonly claims: Claims
  readonly namespace: string
  readonly limits: AccountLimits
  readonly bearersRefused: boolean
  /** Whether its users may use streams. */
  readonly hasStreams: boolean
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
    const limit = (name: string): number => (limits[name] === undefined ? -1 : number(limits[name]))
    this.limits = {
      connections: limit('conn'),
      subscriptions: limit('subs'),
      payloadBytes: limit('payload'),
      streams: number(limits['streams']) || -1,
      consumers: number(limits['consumer']) || -1,
    }
    this.bearersRefused = limits['disallow_bearer'] === true
    this.hasStreams = number(limits['disk_storage']) !== 0 || number(limits['mem_storage']) !== 0
    this.defaultPermissions = record(own['default_permissions'])
    this.#revoked = record(own['revocations'])
    this.exports = exportsOf(own, subject)
    this.#signers.set(subject, null)
    for (const signer of Array.isArray(own['signing_keys']) ? own['signing_keys'] : []) this.#addSigner(signer)
  }

  #addSigner(signer: unknown): void {
    if (typeof signer === 'string') {
      this.#signers.set(signer, null)
      return
    }
    const { key, kind, template } = record(signer)
    if (!isKey(key, 'account') || kind !== 'user_scope') throw this.#unsupported('a signing key that is none of a user scope')
    if (JSON.stringify(template).includes('{{')) throw this.#unsupported('functions in the template of a signing key')
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

/** Storage in bytes and what crosses between accounts is not counted, so that a limit on it would say what is not so. */
const unlimited = ['data', 'mem_storage', 'disk_storage', 'max_ack_pending', 'mem_max_stream_bytes', 'disk_max_stream_bytes']

function refuseUnsupported({ own, subject }: Claims, limits: Record<string, unknown>): void {
  const refuse = (what: string): never => {
    throw new CoreError('Invalid', `NATS account ${subject}: ${what} cannot be held here`)
  }
  for (const name of ['mappings', 'authorization', 'trace']) if (entriesOf(own[name]) > 0) refuse(`"${name}"`)
  for (const name of unlimited) if (number(limits[name]) > 0) refuse(`the limit "${name}"`)
  if (limits['max_bytes_required'] === true) refuse('the limit "max_bytes_required"')
  if (entriesOf(limits['tiered_limits']) > 0) refuse('"tiered_limits"')
  const stored = [number(limits['mem_storage']), number(limits['disk_storage'])]
  if (stored.includes(0) && stored.some((each) => each !== 0)) refuse('storage of one kind alone')
}

const entriesOf = (value: unknown): number =>
  Array.isArray(value)
    ? value.length
    : strings(Object.keys(record(value)).filter((key) => entryCounts(record(value)[key]))).length

const entryCounts = (value: unknown): boolean =>
  !(value === '' || value === null || value === 0 || (Array.isArray(value) && value.length === 0))
