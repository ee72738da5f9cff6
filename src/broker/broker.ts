/** The broker: namespaces, users and connections over one shard. Made once for each data directory; protocols see it through face.ts. */
import crypto from 'node:crypto'
import { CoreError } from '../core/errors.ts'
import { recover } from '../core/recovery.ts'
import { Shard } from '../core/shard.ts'
import type { Clock } from '../lib/timers.ts'
import type { Storage } from '../storage/interfaces.ts'
import { everyone, type StoredUser, Users } from './access.ts'
import { Asker } from './asker.ts'
import { DrainingProtocols } from './draining.ts'
import { Engine } from './engine.ts'
import type {
  Address,
  Broker,
  BrokerStats,
  Connection,
  ConnectionListing,
  Copies,
  Credential,
  Journal,
  Limits,
  Logger,
  PolicyAdmin,
  Pressure,
  Principal,
  QuotaAdmin,
  RecordCheck,
  Rows,
  RuleAdmin,
  ScramVerifier,
  Space,
  SpaceOptions,
} from './face.ts'
import { Forwarding } from './forwarding.ts'
import { holdBack } from './hold-back.ts'
import { StoredRules } from './rule-admin.ts'
import { AccessRules, readRule } from './rules.ts'
import { BrokerSpace } from './space.ts'
import { type TokenSettings, Tokens } from './tokens.ts'
import { StoredUsers } from './user-admin.ts'

export const defaultLimits: Limits = {
  recordBytesMax: 16 * 1024 * 1024,
  frameBytesMax: 100 * 1024 * 1024,
  connectionsMax: 10_000,
  channelsMax: 2047,
  outboundBytesMax: 4 * 1024 * 1024,
  topicsMax: 100_000,
  inFlightMax: 100_000,
  memoryBytesMax: 256 * 1024 * 1024,
}

const cacheBytesDefault = 64 * 1024 * 1024
const maintenanceMs = 1000
/** Room that is made in a frame for an atomic change; it may take more. */
const atomicBytes = 1024 * 1024

/** What lists and closes connections; the socket loop keeps it. */
export interface ConnectionRegistry {
  readonly size: number
  list(): ConnectionListing[]
  close(id: number, reason: string): boolean
}

export interface BrokerOptions {
  readonly storage: Storage
  readonly clock: Clock
  readonly log: Logger
  readonly limits?: Partial<Limits>
  readonly connections: ConnectionRegistry
  /** By the name of the listener. */
  readonly advertise?: ReadonlyMap<string, Address>
  readonly tokens?: TokenSettings | null
  /** By the name of the protocol. */
  readonly protocolSettings?: ReadonlyMap<string, Readonly<Record<string, unknown>>>
  /** Newest entries kept in memory. */
  readonly cacheBytes?: number
  /** How much the write-ahead log grows between checkpoints, and how big its frames become: a simulation makes both small. */
  readonly checkpointBytes?: number
  readonly frameBytes?: number
  /** Where ids come from; the system's own unless a simulation repeats itself. */
  readonly randomBytes?: (size: number) => Buffer
  /** What retention by key may take to remember keys; with less, it takes more passes. */
  readonly compactionBytes?: number
}

/** A broker that can be stopped by who made it. */
export interface OwnedBroker extends Broker {
  /** Ends all consumers, writes a checkpoint, releases the storage. */
  close(): Promise<void>
}

/** Recovers what the storage holds and resolves to a broker that is ready for sessions. */
export async function createBroker(options: BrokerOptions): Promise<OwnedBroker> {
  const { storage, clock, log } = options
  const limits = { ...defaultLimits, ...options.limits }
  const { memoryBytesMax } = limits
  const {
    cacheBytes = cacheBytesDefault,
    checkpointBytes,
    frameBytes,
    compactionBytes,
    randomBytes = crypto.randomBytes,
  } = options
  const shard = new Shard({ storage, clock, log, cacheBytes, memoryBytesMax, checkpointBytes, frameBytes, compactionBytes })
  const engine = new Engine(shard, limits, randomBytes)
  const rules = new AccessRules()
  const users = new Users(rules)
  let clusterId = ''
  await recover(shard, (table, key, value) => {
    if (table === 'user') users.apply(key, value === null ? null : (JSON.parse(String(value)) as StoredUser))
    else if (table === 'rule') rules.apply(key, value === null ? null : readRule(String(value)))
    else if (table === 'counter' && key === 'cluster') clusterId = String(value)
    else engine.apply(table, key, value)
  })
  if (clusterId === '') {
    clusterId = randomBytes(16).toString('base64url')
    shard.putMetadata('counter', 'cluster', clusterId)
  }
  for (const namespace of engine.namespaces.values()) engine.governAll(namespace)
  // Who may hear a subject is remembered.
  users.onChanged = rules.onChanged = () => {
    for (const { subjects } of engine.namespaces.values()) subjects.forget()
  }
  await engine.scheduler.start()
  for (const topic of shard.topics.values()) await holdBack(topic, clock.now())
  const spaceOf = (name: string): Space => new BrokerSpace(engine, engine.namespace(name), everyone, engine.traffic.of(name, ''))
  const forwarding = new Forwarding(spaceOf, clock, log)
  for (const topic of shard.topics.values()) forwarding.govern(topic)
  engine.onGoverned = (topic) => forwarding.govern(topic)
  return new RunningBroker(options, engine, users, rules, clusterId)
}

class RunningBroker implements OwnedBroker {
  readonly clock: Clock
  readonly log: Logger
  readonly limits: Limits
  readonly clusterId: string
  readonly anonymous = everyone
  readonly users: StoredUsers
  readonly rules: RuleAdmin
  readonly policies: PolicyAdmin
  readonly draining = new DrainingProtocols()
  readonly quotas: QuotaAdmin
  readonly #engine: Engine
  readonly #users: Users
  readonly #rules: AccessRules
  readonly #connections: ConnectionRegistry
  readonly #tokens: Tokens | null
  readonly #advertise: ReadonlyMap<string, Address>
  readonly #protocolSettings: ReadonlyMap<string, Readonly<Record<string, unknown>>>
  readonly #shared = new Map<string, unknown>()
  #closing: Promise<void> | null = null

  constructor(options: BrokerOptions, engine: Engine, users: Users, rules: AccessRules, clusterId: string) {
    this.clock = options.clock
    this.log = options.log
    this.limits = engine.limits
    this.clusterId = clusterId
    this.#engine = engine
    this.#users = users
    this.#rules = rules
    this.rules = new StoredRules(rules, engine.shard)
    this.#connections = options.connections
    this.#advertise = options.advertise ?? new Map()
    this.#protocolSettings = options.protocolSettings ?? new Map()
    this.#tokens = options.tokens === undefined || options.tokens === null ? null : new Tokens(options.tokens)
    this.users = new StoredUsers(users, engine.shard, (name) => engine.quotas.drop('user', name))
    this.quotas = engine.quotas
    this.policies = policyAdmin(engine)
    this.#maintain()
  }

  #maintain(): void {
    this.clock.after(maintenanceMs, () => {
      if (this.#closing !== null) return
      this.#maintain()
      this.#engine.expireTopics()
      this.#engine.shard.maintain()
    })
  }

  advertised(listener: string): Address | undefined {
    return this.#advertise.get(listener)
  }

  settingsOf(protocol: string): Readonly<Record<string, unknown>> | undefined {
    return this.#protocolSettings.get(protocol)
  }

  get authenticationRequired(): boolean {
    return this.#users.any
  }

  async authenticate(credential: Credential, from: string): Promise<Principal> {
    if (credential.kind === 'token') return await this.#authenticateToken(credential.token, from)
    if (!this.#users.any) return credential.user === '' ? everyone : { ...everyone, user: credential.user }
    const known =
      credential.kind === 'password'
        ? await this.#users.verify(credential.user, credential.password)
        : this.#users.get(credential.user) !== undefined
    if (!known || this.#users.get(credential.user)?.disabled === true)
      throw new CoreError('Unauthenticated', `login of "${credential.user}" failed`)
    if (credential.kind === 'password' && this.#users.lacksVerifiers(credential.user)) {
      this.users
        .renew(credential.user, credential.password)
        .catch((error: Error) => this.log.warn({ user: credential.user, error: error.message }, 'verifiers could not be stored'))
    }
    return this.#users.principal(credential.user, from)
  }

  async #authenticateToken(token: string, from: string): Promise<Principal> {
    if (this.#tokens === null) throw new CoreError('Unauthenticated', 'it is not configured whose tokens are good')
    const { user, expiresAt, scopes } = await this.#tokens.verify(token, this.clock.now())
    if (!this.#users.any) return { ...everyone, user, expiresAt }
    if (this.#users.get(user)?.disabled === true) throw new CoreError('Unauthenticated', `login of "${user}" failed`)
    return { ...this.#users.principal(user, from, { scopes }), expiresAt }
  }

  get tokensAccepted(): boolean {
    return this.#tokens !== null
  }

  copyOnPassage(namespace: string, exchange: string, copies: Copies | null): void {
    this.#engine.namespace(namespace).router.copyOnPassage(exchange, copies)
  }

  scramVerifier(user: string, mechanism: 'SCRAM-SHA-256' | 'SCRAM-SHA-512'): ScramVerifier | undefined {
    return this.#users.scram(user, mechanism)
  }

  space(principal: Principal, name: string, options: SpaceOptions = {}): Space {
    const namespace = this.#engine.namespace(name)
    const user = this.#users.get(principal.user)
    const permitted =
      principal.enters?.(name) ??
      (user === undefined || user.admin || user.permissions.some((permission) => permission.namespace === name))
    if (!permitted && options.anyone !== true && !this.#rules.admits(new Asker(principal.user, principal.from ?? ''), name)) {
      throw new CoreError('AccessDenied', `${principal.user} has no access to namespace "${name}"`)
    }
    return new BrokerSpace(this.#engine, namespace, principal, this.#engine.traffic.of(name, options.protocol ?? ''))
  }

  namespaces(): string[] {
    return [...this.#engine.namespaces.keys()]
  }

  async createNamespace(principal: Principal, name: string): Promise<void> {
    this.#mustBeAdmin(principal)
    if (this.#engine.namespaces.has(name)) throw new CoreError('AlreadyExists', `namespace "${name}" exists`)
    this.#engine.makeNamespace(name)
    this.#engine.shard.putMetadata('namespace', name, '{}')
    await this.#engine.shard.durable()
  }

  async deleteNamespace(principal: Principal, name: string): Promise<void> {
    this.#mustBeAdmin(principal)
    if (name === 'default') throw new CoreError('Invalid', 'the namespace "default" cannot be deleted')
    const namespace = this.#engine.namespace(name)
    for (const topic of [...namespace.topics.values()]) this.#engine.deleteTopic(namespace, topic)
    for (const exchange of namespace.router.exchanges()) this.#engine.exchanges.delete(namespace, exchange.name)
    this.#engine.policies.deleteNamespace(name)
    this.#engine.quotas.drop('namespace', name)
    this.#engine.namespaces.delete(name)
    this.#engine.traffic.namespaceGone(name)
    this.#engine.shard.putMetadata('namespace', name, null)
    await this.#engine.shard.durable()
  }

  #mustBeAdmin(principal: Principal): void {
    if (!principal.may('operate', '', '', 'cluster'))
      throw new CoreError('AccessDenied', `${principal.user} is not an administrator`)
  }

  get pressure(): Pressure {
    return this.#engine.shard.pressure.state
  }

  onPressure(changed: (pressure: Pressure) => void): () => void {
    return this.#engine.shard.pressure.watch(changed)
  }

  connections(): ConnectionListing[] {
    return this.#connections.list()
  }

  closeConnection(id: number, reason: string): boolean {
    return this.#connections.close(id, reason)
  }

  shared<T>(key: string, make: () => T): T {
    if (!this.#shared.has(key)) this.#shared.set(key, make())
    return this.#shared.get(key) as T // one kind of thing under each key, by its owner's choice
  }

  admit(connection: Pick<Connection, 'id' | 'info'>): void {
    this.#engine.quotas.admitConnection(connection, () => this.connections())
  }

  rows(name: string): Rows {
    return this.#engine.rows.table(name)
  }

  journal(name: string): Journal {
    return this.#engine.journal(name)
  }

  atomically(run: () => void, done: (error: Error | null) => void): void {
    const { committer } = this.#engine.shard
    committer.atomically(atomicBytes, run)
    committer.whenDurable(done)
  }

  checkRecords(check: RecordCheck): void {
    this.#engine.publisher.checks.use(check)
  }

  stats(): BrokerStats {
    const { shard, scheduler, traffic } = this.#engine
    let segmentBytes = 0
    for (const { log } of shard.logs.values()) for (const segment of log.segments) segmentBytes += segment.bytes
    return {
      topics: shard.topics.size,
      connections: this.#connections.size,
      walBytes: shard.storage.wal.bytes,
      walCommits: shard.committer.commits,
      walFailed: shard.committer.failure?.message ?? null,
      segmentBytes,
      cachedBytes: shard.cachedBytes,
      memoryBytes: shard.pressure.memoryBytes,
      recordsIn: shard.recordsIn,
      bytesIn: shard.bytesIn,
      recordsOut: shard.recordsOut,
      scheduled: scheduler.count,
      publishLatency: shard.publishLatency.stats(),
      deliverLatency: shard.deliverLatency.stats(),
      traffic: traffic.stats(),
      diskFreeBytes: shard.pressure.freeBytes,
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#engine.shard.close()
    return this.#closing
  }
}

function policyAdmin(engine: Engine): PolicyAdmin {
  const { policies, shard } = engine
  return {
    list: () => policies.list(),
    put: async (policy) => {
      const namespace = engine.namespace(policy.namespace)
      policies.put(policy)
      engine.governAll(namespace)
      await shard.durable()
    },
    delete: async (of) => {
      if (!policies.delete(of)) return false
      engine.governAll(engine.namespace(of.namespace))
      await shard.durable()
      return true
    },
    ofExchange: (namespace, exchange) => {
      const { policy, cap } = policies.ofExchange(namespace, exchange)
      return { policy: policy?.name ?? null, cap: cap?.name ?? null }
    },
  }
}
