/** Messages from a client: aliases, publishing, what is retained, and the answers once they are stored. */
import { isUtf8 } from 'node:buffer'
import { type Connection, type PublishItem, PublishStatus, type Space, type TopicConfig } from '../../broker/face.ts'
import { Acknowledgements } from './acknowledgements.ts'
import type { Clients } from './clients.ts'
import { Packet, type PublishPacket, Version } from './codec.ts'
import { MqttError, Reason, reasonOfCode } from './errors.ts'
import { isRetained, itemOf, keep, type Message } from './message.ts'
import { isTopicName } from './names.ts'
import type { SessionState } from './state.ts'

export const receiveMaximum = 1024
export const topicAliasMaximum = 64
/** Bytes of PUBLISH that may wait to be stored; then the socket is not read. */
const publishingBytesMax = 4 * 1024 * 1024

export interface InboxHost {
  readonly connection: Connection
  readonly clients: Clients
  readonly version: Version
  readonly space: Space
  /** A publish was refused that its version cannot be told of otherwise. */
  refused(reason: Reason, message: string): void
}

export class Inbox {
  readonly #host: InboxHost
  readonly #state: SessionState
  readonly #acknowledgements: Acknowledgements
  #aliases: Map<number, string> | null = null
  /** Published together at the end of a batch of packets. */
  #batch: { readonly item: PublishItem; readonly done: () => void }[] = []
  #publishingBytes = 0
  #paused = false

  constructor(host: InboxHost, state: SessionState) {
    this.#host = host
    this.#state = state
    this.#acknowledgements = new Acknowledgements(host.connection, host.version)
  }

  onPublish(packet: PublishPacket): void {
    const { clients, version } = this.#host
    const state = this.#state
    clients.figures.received++
    const { qos, packetId } = packet
    const message = { ...packet, topic: this.#topicOf(packet) }
    check(message)
    if (qos === 0) return this.#publish(message, null, () => undefined)
    const received = clients.ids(state.key).in
    const isNew = qos === 1 || !received.has(packetId)
    if (version === Version.V5 && isNew && this.#acknowledgements.waiting + received.size >= receiveMaximum)
      throw new MqttError(Reason.ReceiveMaximumExceeded, `more than ${receiveMaximum} messages are not acknowledged`)
    if (qos === 1) return this.#publish(message, null, this.#acknowledgements.expect(Packet.Puback, packetId))
    const answer = this.#acknowledgements.expect(Packet.Pubrec, packetId)
    // 4.3.3: what has this identifier before its PUBREL is the same message.
    if (!isNew) return answer(Reason.Success)
    this.#publish(message, packetId, answer)
  }

  /** The sender has heard that we have it, so that the identifier may mean another message. */
  onPubrel(packetId: number): void {
    const { clients } = this.#host
    const state = this.#state
    const answer = this.#acknowledgements.expect(Packet.Pubcomp, packetId)
    if (!clients.ids(state.key).in.has(packetId)) return answer(Reason.PacketIdNotFound)
    clients.drop(state.key, 'in', packetId)
    if (!state.durable) return answer(Reason.Success)
    clients.durable().then(
      () => answer(Reason.Success),
      () => this.#host.connection.destroy('nothing can be stored'),
    )
  }

  /** Publishes what has come. */
  flush(): void {
    const batch = this.#batch
    if (batch.length === 0) return
    this.#batch = []
    this.#host.space.publish(
      batch.map(({ item }) => item),
      () => {
        for (const { done } of batch) done()
      },
    )
  }

  #topicOf({ topic, properties }: PublishPacket): string {
    const alias = properties?.topicAlias
    if (alias === undefined) {
      if (topic === '') throw new MqttError(Reason.ProtocolError, 'PUBLISH without a topic')
      return topic
    }
    if (alias === 0 || alias > topicAliasMaximum) throw new MqttError(Reason.TopicAliasInvalid, `topic alias ${alias}`)
    if (topic !== '') {
      this.#aliases ??= new Map()
      this.#aliases.set(alias, topic)
      return topic
    }
    const known = this.#aliases?.get(alias)
    if (known === undefined) throw new MqttError(Reason.ProtocolError, `topic alias ${alias} was not set`)
    return known
  }

  /** `exactlyOnce`: the packet identifier that is noted together with it. */
  #publish(message: Message, exactlyOnce: number | null, answer: (reason: number) => void): void {
    const { clients, connection, space } = this.#host
    const state = this.#state
    const item = itemOf(message, state.clientId, connection.id)
    const bytes = item.payload.length
    this.#hold(bytes)
    let waits = 1
    let reason: Reason = Reason.Success
    const done = (): void => {
      if (--waits > 0) return
      this.#hold(-bytes)
      const own = this.#reasonOf(item)
      if (own !== Reason.Success) reason = own
      if (exactlyOnce !== null && reason >= 0x80) clients.drop(state.key, 'in', exactlyOnce)
      if (reason >= 0x80 && (message.qos === 0 || this.#host.version !== Version.V5))
        return this.#host.refused(reason, item.errorMessage)
      answer(reason)
    }
    const retained = isRetained(message, item, space)
    // Where the topic judges what it gets, only what it took is retained.
    const judged = retained && asksForSchemas(space.topic(item.address)?.config)
    const keepRetained = (): void =>
      keep(clients.space(space.namespace), message, item, (ok) => {
        if (!ok) reason = Reason.QuotaExceeded
        done()
      })
    if (retained) waits++
    const published = (): void => {
      if (judged && item.status === PublishStatus.Failed) done()
      else if (judged) keepRetained()
      done()
    }
    if (exactlyOnce === null) this.#batch.push({ item, done: published })
    else {
      this.flush()
      if (state.durable) {
        waits++
        clients.broker.atomically(
          () => {
            clients.note(state.key, 'in', exactlyOnce)
            space.publish([item], published)
          },
          (error) => {
            if (error !== null) reason = Reason.Unspecified
            done()
          },
        )
      } else {
        clients.ids(state.key).in.add(exactlyOnce)
        space.publish([item], published)
      }
    }
    if (retained && !judged) keepRetained()
  }

  #reasonOf({ status, errorCode, refusedRecord }: PublishItem): Reason {
    if (status === PublishStatus.Unrouted) return Reason.NoMatchingSubscribers
    // The topic asks for payloads of a schema, and this is none.
    if (refusedRecord >= 0) return Reason.PayloadFormatInvalid
    return status === PublishStatus.Failed ? reasonOfCode(errorCode ?? 'Internal') : Reason.Success
  }

  #hold(bytes: number): void {
    this.#publishingBytes += bytes
    const { connection } = this.#host
    if (!this.#paused && this.#publishingBytes > publishingBytesMax) {
      this.#paused = true
      connection.pause()
    } else if (this.#paused && this.#publishingBytes < publishingBytesMax / 2) {
      this.#paused = false
      connection.resume()
    }
  }
}

function check({ topic, properties, payload }: Message): void {
  if (!isTopicName(topic)) throw new MqttError(Reason.TopicNameInvalid, 'a topic name has no wildcards')
  if (properties === null) return
  if (properties.subscriptionIds !== undefined)
    throw new MqttError(Reason.ProtocolError, 'a client sends no subscription identifier')
  const { responseTopic } = properties
  if (responseTopic !== undefined && !isTopicName(responseTopic))
    throw new MqttError(Reason.ProtocolError, 'a response topic has no wildcards')
  if (properties.payloadFormat === 1 && !isUtf8(payload))
    throw new MqttError(Reason.PayloadFormatInvalid, 'the payload is not UTF-8')
}

function asksForSchemas(config: TopicConfig | undefined): boolean {
  return config !== undefined && (config.keySchema !== 'none' || config.valueSchema !== 'none')
}
