/** A session's subscriptions, and the topic of its own where they survive the connection: its captures are their filters, its declaration is they. */
import { CoreError, type Space, type TopicConfig } from '../../broker/face.ts'
import { type Clients, sessionKey, sessionTopic, tolerate } from './clients.ts'
import type { Qos } from './codec.ts'
import { MqttError, Reason } from './errors.ts'
import { type Filter, parseFilter } from './names.ts'

export const forever = 0xffff_ffff
/** Sessions that end with their connection go by themselves should the broker stop before. */
const leftoverMs = 60_000

export interface Subscription {
  readonly filter: Filter
  readonly qos: Qos
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  /** 0: none. */
  readonly id: number
}

type Stored = Omit<Subscription, 'filter'> & { readonly filter: string }

export class SessionState {
  readonly clientId: string
  readonly key: string
  readonly topic: string
  readonly subscriptions = new Map<string, Subscription>()
  /** Seconds; 0: it ends with the connection. */
  expirySeconds: number
  #closed = false
  readonly #clients: Clients
  readonly #namespace: string

  constructor(clients: Clients, namespace: string, clientId: string, expirySeconds: number) {
    this.#clients = clients
    this.#namespace = namespace
    this.clientId = clientId
    this.key = sessionKey(namespace, clientId)
    this.topic = sessionTopic(clientId)
    this.expirySeconds = expirySeconds
  }

  /** Made when it is needed: most sessions do nothing for most of their time. */
  get #space(): Space {
    return this.#clients.space(this.#namespace)
  }

  /** Whether it has its topic. */
  get stored(): boolean {
    return this.#space.topic(this.topic) !== undefined
  }

  get durable(): boolean {
    return this.#space.topic(this.topic)?.config.storage === 'disk'
  }

  /** Goes on with what is stored, or begins anew; resolves to whether there was a session. */
  async open(clean: boolean): Promise<boolean> {
    const found = this.#space.topic(this.topic)
    if (found !== undefined && found.declaredBy !== 'mqtt')
      throw new MqttError(Reason.ClientIdNotValid, `the topic "${this.topic}" is something else`)
    const goesOn = found !== undefined && !clean && found.config.storage === 'disk'
    if (!goesOn) {
      if (found !== undefined) await tolerate(this.#space.deleteTopic(this.topic), 'NotFound')
      this.#clients.forget(this.key)
      if (this.expirySeconds > 0) await this.#create()
      return false
    }
    for (const each of (found.declaration['subscriptions'] ?? []) as Stored[]) {
      const filter = parseFilter(each.filter)
      if (filter !== undefined) this.subscriptions.set(each.filter, { ...each, filter })
    }
    await this.save()
    return true
  }

  /** Writes subscriptions and expiry to the topic, which is made when messages are to wait in it. */
  async save(): Promise<void> {
    // What a SUBSCRIBE that was under way adds now comes too late.
    if (this.#closed) return
    if (!this.stored) {
      if (this.#captures().length > 0) await this.#create()
      return
    }
    await this.#space.alterTopic(this.topic, { captures: this.#captures(), expiresMs: this.#expiresMs() }, this.#declaration())
  }

  /** The connection ends: the session ends with it, or waits for the next. */
  close(): void {
    if (this.expirySeconds === 0) {
      this.#closed = true
      this.#clients.forget(this.key)
      if (this.stored) this.#space.deleteTopic(this.topic).catch(() => undefined)
      return
    }
    const config = this.#space.topic(this.topic)?.config
    if (config !== undefined && config.expiresMs !== this.#expiresMs()) this.save().catch(() => undefined)
    if (config !== undefined) this.#space.touch(this.topic)
    this.#closed = true
  }

  async #create(): Promise<void> {
    const config: Partial<TopicConfig> = {
      retention: 'acknowledged',
      retentionMs: -1,
      storage: this.expirySeconds > 0 ? 'disk' : 'memory',
      captures: this.#captures(),
      expiresMs: this.#expiresMs(),
    }
    await this.#space.createTopic(this.topic, config, 'mqtt', this.#declaration())
  }

  #captures(): string[] {
    const patterns = new Set<string>()
    for (const { filter, qos } of this.subscriptions.values()) if (qos > 0 && filter.group === null) patterns.add(filter.pattern)
    return [...patterns]
  }

  #expiresMs(): number {
    if (this.expirySeconds === forever) return -1
    return this.expirySeconds === 0 ? leftoverMs : this.expirySeconds * 1000
  }

  #declaration(): Record<string, unknown> {
    const subscriptions = [...this.subscriptions.values()].map(
      ({ filter, ...rest }): Stored => ({ ...rest, filter: filter.text }),
    )
    return { clientId: this.clientId, subscriptions }
  }
}

/** The topic that the members of a group with one filter take turns at. */
export const shareTopic = (filter: Filter): string => `mqtt.share.${filter.group}.${filter.pattern}`

/** Makes it, or lets it live as long as its longest member. */
export async function joinShare(space: Space, filter: Filter, expirySeconds: number): Promise<string> {
  const name = shareTopic(filter)
  const expiresMs = expirySeconds === forever ? -1 : Math.max(leftoverMs, expirySeconds * 1000)
  const present = space.topic(name)
  if (present === undefined) {
    const config: Partial<TopicConfig> = { retention: 'acknowledged', retentionMs: -1, captures: [filter.pattern], expiresMs }
    await tolerate(space.createTopic(name, config, 'mqtt'), 'AlreadyExists')
  } else if (present.declaredBy !== 'mqtt') throw new CoreError('Mismatch', `the topic "${name}" is something else`)
  else if (present.config.expiresMs >= 0 && (expiresMs < 0 || expiresMs > present.config.expiresMs))
    await space.alterTopic(name, { expiresMs })
  return name
}

/** Whether a session that waits for its client, or another connection, is a member still. */
export function shareHasMembers(space: Space, filter: Filter): boolean {
  const consumers = space.status(shareTopic(filter))?.subscriptions.reduce((sum, each) => sum + each.consumers, 0) ?? 0
  if (consumers > 0) return true
  return space
    .topics()
    .some(
      ({ declaredBy, declaration }) =>
        declaredBy === 'mqtt' &&
        ((declaration['subscriptions'] ?? []) as Stored[]).some(({ filter: text, qos }) => text === filter.text && qos > 0),
    )
}
