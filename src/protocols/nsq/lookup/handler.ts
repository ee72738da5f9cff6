/** nsqlookupd's HTTP: who has which topic. This broker is one of them, at the address at which the client has reached it; the others have registered. */
import { hostname } from 'node:os'
import type { Broker, HttpAnswer, HttpHandler, HttpRequest, ServerFacts } from '../../../broker/face.ts'
import { Routes } from '../../../lib/http-routes.ts'
import { answerBy, argument, type Call, HttpError, ownAddress, type Route, topicAndChannel } from '../http/answers.ts'
import { serverVersion } from '../limits.ts'
import { isName } from '../names.ts'
import { namespace, Topics } from '../topics.ts'
import { type Peer, Registry } from './registry.ts'

interface Node {
  readonly remote_address: string
  readonly hostname: string
  readonly broadcast_address: string
  readonly tcp_port: number
  readonly http_port: number
  readonly version: string
}

export class LookupHandler implements HttpHandler {
  readonly #broker: Broker
  readonly #server: ServerFacts
  readonly #topics: Topics
  readonly #registry: Registry
  readonly #routes: Routes<Route>

  constructor(broker: Broker, server: ServerFacts) {
    this.#broker = broker
    this.#server = server
    this.#topics = Topics.of(broker)
    this.#registry = Registry.of(broker)
    this.#routes = new Routes<Route>([
      { method: 'GET', path: '/ping', open: true, run: () => 'OK' },
      { method: 'GET', path: '/info', run: () => ({ version: serverVersion }) },
      { method: 'GET', path: '/lookup', run: (call) => this.#lookup(call) },
      { method: 'GET', path: '/topics', run: (call) => ({ topics: this.#names(call) }) },
      { method: 'GET', path: '/channels', run: (call) => ({ channels: this.#channels(call, argument(call.query, 'topic')) }) },
      { method: 'GET', path: '/nodes', run: (call) => this.#nodes(call) },
      { method: 'GET', path: '/debug', run: (call) => this.#debug(call) },
      { method: 'POST', path: '/topic/create', run: (call) => this.#createTopic(call) },
      { method: 'POST', path: '/topic/delete', run: (call) => this.#deleteTopic(call) },
      { method: 'POST', path: '/channel/create', run: (call) => this.#createChannel(call) },
      { method: 'POST', path: '/channel/delete', run: (call) => this.#deleteChannel(call) },
      { method: 'POST', path: '/topic/tombstone', run: (call) => this.#tombstone(call) },
    ])
  }

  answer(request: HttpRequest): Promise<HttpAnswer> {
    return answerBy(this.#broker, this.#routes, request)
  }

  // ----------------------------------------------------------------------------------------------------------------- looking

  #visible({ principal }: Call, topic: string): boolean {
    return principal.may('describe', namespace, topic)
  }

  #names(call: Call): string[] {
    const names = new Set([...this.#topics.names(), ...this.#registry.topics()])
    return [...names].filter((name) => this.#visible(call, name)).sort()
  }

  #channels(call: Call, topic: string): string[] {
    if (!this.#visible(call, topic)) return []
    const own = isName(topic) ? this.#topics.channels(topic) : []
    return [...new Set([...own, ...this.#registry.channels(topic)])].sort()
  }

  #lookup(call: Call): object {
    const topic = argument(call.query, 'topic')
    const isOwn = isName(topic) && this.#topics.has(topic)
    if (!this.#visible(call, topic) || (!isOwn && !this.#registry.has(topic))) throw new HttpError(404, 'TOPIC_NOT_FOUND')
    const own = isOwn && !this.#registry.isOwnTombstone(topic) ? [this.#ownNode(call.request)] : []
    return { channels: this.#channels(call, topic), producers: [...own, ...this.#registry.producers(topic).map(nodeOf)] }
  }

  #ownNode(request: HttpRequest): Node {
    const { broadcastAddress, tcpPort, httpPort } = ownAddress(this.#broker, this.#server, request)
    return {
      remote_address: `${broadcastAddress}:${tcpPort}`,
      hostname: hostname(),
      broadcast_address: broadcastAddress,
      tcp_port: tcpPort,
      http_port: httpPort,
      version: serverVersion,
    }
  }

  #nodes(call: Call): object {
    const names = this.#topics.names().filter((name) => this.#visible(call, name))
    const tombstones = names.map((name) => this.#registry.isOwnTombstone(name))
    const own = { ...this.#ownNode(call.request), tombstones, topics: names }
    const others = this.#registry.peers().map((peer) => {
      const topics = this.#registry.topicsOf(peer)
      return { ...nodeOf(peer), tombstones: topics.map(({ tombstone }) => tombstone), topics: topics.map(({ topic }) => topic) }
    })
    return { producers: [own, ...others] }
  }

  /** Registrations of other nsqds. */
  #debug(call: Call): object {
    this.#allow(call)
    const data: Record<string, object[]> = {}
    for (const peer of this.#registry.peers())
      for (const { topic, tombstone } of this.#registry.topicsOf(peer)) {
        const { hostname: host, ...node } = nodeOf(peer)
        const of = {
          id: peer.remoteAddress,
          hostname: host,
          ...node,
          last_update: peer.heardAt * 1_000_000,
          tombstoned: tombstone,
        }
        data[`topic:${topic}:`] = [...(data[`topic:${topic}:`] ?? []), of]
      }
    return data
  }

  // ---------------------------------------------------------------------------------------------------------------- changing

  #allow({ principal }: Call, topic = ''): void {
    const may = topic === '' ? principal.may('operate', '', '', 'cluster') : principal.may('manage', namespace, topic)
    if (!may) throw new HttpError(403, 'FORBIDDEN')
  }

  #createTopic(call: Call): null {
    const topic = argument(call.query, 'topic')
    if (!isName(topic)) throw new HttpError(400, 'INVALID_ARG_TOPIC')
    this.#allow(call, topic)
    this.#registry.create(topic)
    return null
  }

  /** Forgets what was registered: what an nsqd has is deleted there, this broker's own on its own port. */
  #deleteTopic(call: Call): null {
    const topic = argument(call.query, 'topic')
    this.#allow(call, topic)
    this.#registry.deleteTopic(topic)
    return null
  }

  #createChannel(call: Call): null {
    const { topic, channel } = topicAndChannel(call.query)
    this.#allow(call, topic)
    this.#registry.create(topic, channel)
    return null
  }

  #deleteChannel(call: Call): null {
    const { topic, channel } = topicAndChannel(call.query)
    this.#allow(call, topic)
    const isOwn = this.#topics.channels(topic).includes(channel)
    if (!this.#registry.deleteChannel(topic, channel) && !isOwn) throw new HttpError(404, 'CHANNEL_NOT_FOUND')
    return null
  }

  #tombstone(call: Call): null {
    const topic = argument(call.query, 'topic')
    const node = argument(call.query, 'node')
    this.#allow(call, topic)
    this.#registry.tombstone(topic, node)
    const { broadcastAddress, httpPort } = ownAddress(this.#broker, this.#server, call.request)
    if (node === `${broadcastAddress}:${httpPort}` && this.#topics.has(topic)) this.#registry.tombstoneOwn(topic)
    return null
  }
}

const nodeOf = (peer: Peer): Node => ({
  remote_address: peer.remoteAddress,
  hostname: peer.hostname,
  broadcast_address: peer.broadcastAddress,
  tcp_port: peer.tcpPort,
  http_port: peer.httpPort,
  version: peer.version,
})
