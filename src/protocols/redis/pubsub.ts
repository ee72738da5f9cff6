/**
 * Who listens to which channel. What Redis clients publish reaches Redis clients at once, in the order of commands; other protocols get it from the broker,
 * as a record published to the address of the channel's name, and what they publish comes from there. The broker does not hand this hub what it published itself.
 */
import type { Broker, Listener, LiveBatch, LiveSink, Principal, Space } from '../../broker/face.ts'
import { PublishItem } from '../../broker/face.ts'
import { CoreError } from '../../core/errors.ts'
import { formats } from '../../core/record.ts'
import { isAscii } from '../../lib/byte-names.ts'
import { AccessRefused } from './access.ts'
import { Glob } from './arguments.ts'
import type { Client } from './client.ts'
import { RedisError } from './errors.ts'
import { payloadFormatId } from './mapping.ts'
import { operationsOf } from './operations.ts'

/** Under this number Redis clients publish, also to lists and streams: who subscribes to a channel does not hear those. Connections count from 1. */
export const ownConnection = -1
/** Of one client. */
const subscriptionsMax = 100_000
const everything = '#'
/** What captures the address and who listens, without the topic of that name. */
const subjectSpace = 'amq.topic'

interface Pattern {
  readonly glob: Glob
  readonly clients: Set<Client>
}

export interface PubSubHost {
  readonly broker: Broker
  /** A client was written to. */
  wrote(client: Client): void
  settle(): void
}

export class PubSub implements LiveSink {
  readonly #host: PubSubHost
  readonly #channels = new Map<string, Set<Client>>()
  readonly #shardChannels = new Map<string, Set<Client>>()
  readonly #patterns = new Map<string, Pattern>()
  readonly #listeners = new Map<string, Listener>()
  #space: Space | null = null

  constructor(host: PubSubHost) {
    this.#host = host
  }

  // -------------------------------------------------------------------------------------------------------------- subscribing

  subscribe(client: Client, channel: string, shard: boolean): void {
    const own = shard ? client.shardChannels : client.channels
    if (own.has(channel)) return
    this.#check(client, channel)
    own.add(channel)
    const channels = shard ? this.#shardChannels : this.#channels
    const clients = channels.get(channel)
    if (clients !== undefined) clients.add(client)
    else {
      channels.set(channel, new Set([client]))
      if (!shard) this.#listen(channel, addressOf(channel))
    }
  }

  unsubscribe(client: Client, channel: string, shard: boolean): void {
    if (!(shard ? client.shardChannels : client.channels).delete(channel)) return
    const channels = shard ? this.#shardChannels : this.#channels
    const clients = channels.get(channel)
    clients?.delete(client)
    if (clients?.size !== 0) return
    channels.delete(channel)
    if (!shard) this.#stopListening(channel)
  }

  subscribePattern(client: Client, pattern: string): void {
    if (client.patterns.has(pattern)) return
    this.#check(client, null)
    client.patterns.add(pattern)
    const present = this.#patterns.get(pattern)
    if (present !== undefined) present.clients.add(client)
    else this.#patterns.set(pattern, { glob: new Glob(pattern), clients: new Set([client]) })
    if (this.#patterns.size === 1) this.#listen(everything, everything)
  }

  unsubscribePattern(client: Client, pattern: string): void {
    if (!client.patterns.delete(pattern)) return
    const present = this.#patterns.get(pattern)
    present?.clients.delete(client)
    if (present?.clients.size === 0) this.#patterns.delete(pattern)
    if (this.#patterns.size === 0) this.#stopListening(everything)
  }

  unsubscribeAll(client: Client): void {
    for (const channel of [...client.channels]) this.unsubscribe(client, channel, false)
    for (const channel of [...client.shardChannels]) this.unsubscribe(client, channel, true)
    for (const pattern of [...client.patterns]) this.unsubscribePattern(client, pattern)
  }

  #check(client: Client, channel: string | null): void {
    if (client.subscriptions >= subscriptionsMax)
      throw new RedisError(`ERR a client can subscribe to at most ${subscriptionsMax} channels and patterns`)
    if (channel !== null && client.principal !== null && !mayHear(client.principal, addressOf(channel)))
      throw new AccessRefused(client.principal, 'channel', channel)
  }

  /** `name` is the channel, or `#` for all of them: a channel of that very name is heard through that, too. */
  #listen(name: string, pattern: string): void {
    if (this.#listeners.has(name) || pattern === '') return
    const { broker } = this.#host
    this.#space ??= broker.space({ user: '', may: () => true }, 'default', { protocol: 'redis', anyone: true })
    this.#listeners.set(name, this.#space.listen({ pattern, exceptConnection: ownConnection }, this))
  }

  #stopListening(name: string): void {
    if (name === everything && (this.#channels.has(everything) || this.#patterns.size > 0)) return
    this.#listeners.get(name)?.close()
    this.#listeners.delete(name)
  }

  // --------------------------------------------------------------------------------------------------------------- publishing

  /** Returns how many it reached. Throws where the client may not, or a topic of that name is full. */
  publish(space: Space, channel: string, message: Buffer): number {
    const address = addressOf(channel)
    checkSays(space.principal, channel)
    const heard = this.#tell(channel, message)
    if (address === '') return heard
    const told = space.tell(address, payloadFormatId, message, ownConnection)
    if (told >= 0) return heard + told
    // A channel is no list or stream of its name: only where others declared the topic does it get the message.
    const exchange = space.topic(address)?.declaredBy === 'redis' ? subjectSpace : null
    const item = new PublishItem(exchange, address, payloadFormatId, Buffer.from(message))
    item.transient = true
    item.connection = ownConnection
    space.publish([item], null)
    if (item.errorCode !== null && item.errorCode !== 'NotFound') throw new CoreError(item.errorCode, item.errorMessage)
    return heard + item.heardBy
  }

  publishToShard(principal: Principal, channel: string, message: Buffer): number {
    checkSays(principal, channel)
    const clients = this.#shardChannels.get(channel)
    if (clients === undefined) return 0
    for (const client of clients) this.#push(client, ['smessage', channel], message)
    return clients.size
  }

  /** To Redis clients alone: what concerns keys. */
  tellLocally(channel: string, message: Buffer): void {
    this.#tell(channel, message)
  }

  #tell(channel: string, message: Buffer): number {
    return this.#tellChannel(channel, message) + this.#tellPatterns(channel, message)
  }

  #tellChannel(channel: string, message: Buffer): number {
    const clients = this.#channels.get(channel)
    if (clients === undefined) return 0
    for (const client of clients) this.#push(client, ['message', channel], message)
    return clients.size
  }

  #tellPatterns(channel: string, message: Buffer): number {
    let heard = 0
    for (const [pattern, { glob, clients }] of this.#patterns) {
      if (!glob.matches(channel)) continue
      for (const client of clients) {
        if (client.principal !== null && !mayHear(client.principal, addressOf(channel))) continue
        this.#push(client, ['pmessage', pattern, channel], message)
        heard++
      }
    }
    return heard
  }

  #push(client: Client, words: readonly string[], message: Buffer): void {
    const { reply } = client
    reply.push(words.length + 1)
    for (const word of words) reply.bulk(word)
    reply.bulk(message)
    this.#host.wrote(client)
    client.checkBacklog()
  }

  // ------------------------------------------------------------------------------------------------ published by other protocols

  onRecords(listener: Listener, batch: LiveBatch): void {
    for (let i = 0; i < batch.length; i++) {
      const channel = channelOf(batch.subject[i] as string) // i < length, as in all columns
      const format = batch.format[i] as number
      const bytes = batch.bytes[i] as Buffer
      const message = format === payloadFormatId ? bytes : (formats.get(format).toAttributes(bytes).value ?? nothing)
      if (this.#listeners.get(everything) === listener) {
        this.#tellPatterns(channel, message)
        if (channel === everything) this.#tellChannel(channel, message)
      } else if (listener.pattern === batch.subject[i]) this.#tellChannel(channel, message)
    }
    this.#host.settle()
  }

  // ------------------------------------------------------------------------------------------------------------------- PUBSUB

  channels(glob: Glob | null, shard: boolean): string[] {
    const names = [...(shard ? this.#shardChannels : this.#channels).keys()]
    return glob === null ? names : names.filter((name) => glob.matches(name))
  }

  subscribers(channel: string, shard: boolean): number {
    return (shard ? this.#shardChannels : this.#channels).get(channel)?.size ?? 0
  }

  get patterns(): number {
    return this.#patterns.size
  }
}

const nothing = Buffer.alloc(0)

/** Addresses are text; channels are bytes, here as latin1. */
const addressOf = (channel: string): string => (isAscii(channel) ? channel : Buffer.from(channel, 'latin1').toString())
const channelOf = (address: string): string => Buffer.from(address).toString('latin1')

/** Throws NOPERM. */
function checkSays(principal: Principal, channel: string): void {
  const address = addressOf(channel)
  if (!principal.may('publish', 'default', address) || operationsOf(principal)?.mayUseChannel(address) === false)
    throw new AccessRefused(principal, 'channel', channel)
}

const mayHear = (principal: Principal, address: string): boolean =>
  principal.may('consume', 'default', address) && operationsOf(principal)?.mayUseChannel(address) !== false
