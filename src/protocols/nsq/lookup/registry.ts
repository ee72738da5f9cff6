/**
 * What nsqlookupd knows: which nsqds of others have which topics and channels, and those that somebody has only named. Kept in memory, as there: nsqds
 * say it again when they connect again.
 */
import { type Broker, CoreError } from '../../../broker/face.ts'
import { isEphemeral } from '../names.ts'

/** An nsqd that is not seen for so long is left out. */
const inactiveMs = 300_000
/** How long a node that was told to be left out for a topic is. */
const tombstoneMs = 45_000
/** Topics and channels that are remembered, of all nsqds together. */
const registrationsMax = 100_000

export interface Peer {
  readonly remoteAddress: string
  readonly hostname: string
  readonly broadcastAddress: string
  readonly tcpPort: number
  readonly httpPort: number
  readonly version: string
  heardAt: number
}

interface Registered {
  /** Where it was told to be left out: when, else 0. */
  readonly peers: Map<Peer, number>
  readonly channels: Map<string, Set<Peer>>
}

export class Registry {
  readonly #broker: Broker
  readonly #peers = new Set<Peer>()
  readonly #topics = new Map<string, Registered>()
  #registrations = 0
  /** This broker's own topics that are left out, with when that was said. */
  readonly #ownTombstones = new Map<string, number>()

  constructor(broker: Broker) {
    this.#broker = broker
  }

  static of(broker: Broker): Registry {
    return broker.shared('nsq.registry', () => new Registry(broker))
  }

  get #now(): number {
    return this.#broker.clock.now()
  }

  // ------------------------------------------------------------------------------------------------------------------- nsqds

  add(peer: Peer): void {
    this.#peers.add(peer)
  }

  remove(peer: Peer): void {
    this.#peers.delete(peer)
    for (const { peers, channels } of this.#topics.values()) {
      peers.delete(peer)
      for (const having of channels.values()) having.delete(peer)
    }
  }

  register(peer: Peer, topic: string, channel: string): void {
    const registered = this.create(topic, channel)
    if (!registered.peers.has(peer)) registered.peers.set(peer, 0)
    registered.channels.get(channel)?.add(peer)
  }

  unregister(peer: Peer, topic: string, channel: string): void {
    const registered = this.#topics.get(topic)
    if (registered === undefined) return
    for (const [name, peers] of registered.channels) {
      if (channel !== '' && name !== channel) continue
      peers.delete(peer)
      if (peers.size === 0 && isEphemeral(name)) this.deleteChannel(topic, name)
    }
    if (channel !== '') return
    registered.peers.delete(peer)
    if (registered.peers.size === 0 && isEphemeral(topic)) this.deleteTopic(topic)
  }

  // ------------------------------------------------------------------------------------------------------ topics and channels

  /** Throws Full. */
  create(topic: string, channel = ''): Registered {
    let registered = this.#topics.get(topic)
    if (registered === undefined) {
      this.#count()
      registered = { peers: new Map(), channels: new Map() }
      this.#topics.set(topic, registered)
    }
    if (channel !== '' && !registered.channels.has(channel)) {
      this.#count()
      registered.channels.set(channel, new Set())
    }
    return registered
  }

  #count(): void {
    if (this.#registrations >= registrationsMax)
      throw new CoreError('Full', `there are ${registrationsMax} registrations already`)
    this.#registrations++
  }

  has(topic: string): boolean {
    return this.#topics.has(topic)
  }

  topics(): string[] {
    return [...this.#topics.keys()]
  }

  channels(topic: string): string[] {
    return [...(this.#topics.get(topic)?.channels.keys() ?? [])]
  }

  deleteTopic(topic: string): void {
    const registered = this.#topics.get(topic)
    if (registered === undefined) return
    this.#registrations -= 1 + registered.channels.size
    this.#topics.delete(topic)
  }

  /** False: there is none. */
  deleteChannel(topic: string, channel: string): boolean {
    const wasThere = this.#topics.get(topic)?.channels.delete(channel) === true
    if (wasThere) this.#registrations--
    return wasThere
  }

  // ----------------------------------------------------------------------------------------------------------------- looking

  /** Nsqds that have it, are heard of and not left out. */
  producers(topic: string): Peer[] {
    return [...(this.#topics.get(topic)?.peers ?? [])]
      .filter(([peer, tombstonedAt]) => this.#isActive(peer) && !this.#isTombstone(tombstonedAt))
      .map(([peer]) => peer)
  }

  peers(): Peer[] {
    return [...this.#peers].filter((peer) => this.#isActive(peer))
  }

  /** What an nsqd has, and whether it is left out for it. */
  topicsOf(peer: Peer): { topic: string; tombstone: boolean }[] {
    return [...this.#topics].flatMap(([topic, { peers }]) => {
      const tombstonedAt = peers.get(peer)
      return tombstonedAt === undefined ? [] : [{ topic, tombstone: this.#isTombstone(tombstonedAt) }]
    })
  }

  /** `node`: its address and HTTP port. */
  tombstone(topic: string, node: string): void {
    const peers = this.#topics.get(topic)?.peers
    for (const peer of peers?.keys() ?? []) if (`${peer.broadcastAddress}:${peer.httpPort}` === node) peers?.set(peer, this.#now)
  }

  tombstoneOwn(topic: string): void {
    for (const [name, at] of this.#ownTombstones) if (!this.#isTombstone(at)) this.#ownTombstones.delete(name)
    this.#ownTombstones.set(topic, this.#now)
  }

  isOwnTombstone(topic: string): boolean {
    return this.#isTombstone(this.#ownTombstones.get(topic) ?? 0)
  }

  #isTombstone(at: number): boolean {
    return at !== 0 && this.#now - at < tombstoneMs
  }

  #isActive({ heardAt }: Peer): boolean {
    return this.#now - heardAt <= inactiveMs
  }
}
