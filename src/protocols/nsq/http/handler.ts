/** nsqd's HTTP: publishing, topics and channels, statistics (stats.ts), and where this broker announces itself. */
import { hostname } from 'node:os'
import {
  type Broker,
  type HttpAnswer,
  type HttpHandler,
  type HttpRequest,
  PublishStatus,
  type ServerFacts,
  type Space,
} from '../../../broker/face.ts'
import { Routes } from '../../../lib/http-routes.ts'
import { limits, serverVersion } from '../limits.ts'
import { Announcing, parseAddresses } from '../lookup/announcing.ts'
import { messageItem } from '../mapping.ts'
import { isName } from '../names.ts'
import { namespace, Topics } from '../topics.ts'
import { answerBy, argument, type Call, errorOfCore, HttpError, ownAddress, type Route, topicAndChannel } from './answers.ts'
import { statistics } from './stats.ts'
import { statisticsText } from './stats-text.ts'

const flags: ReadonlyMap<string, boolean> = new Map([
  ['true', true],
  ['1', true],
  ['false', false],
  ['0', false],
])

const nanoseconds = 1_000_000

/** Options that are as they are: times in ns, as Go writes them. How much is logged is a setting of the whole broker: 2 is Go's info. */
const fixedOptions: ReadonlyMap<string, number | boolean> = new Map<string, number | boolean>([
  ['log_level', 2],
  ['msg_timeout', limits.messageTimeoutMs * nanoseconds],
  ['max_msg_timeout', limits.messageTimeoutMaxMs * nanoseconds],
  ['max_msg_size', limits.messageBytesMax],
  ['max_body_size', limits.bodyBytesMax],
  ['max_req_timeout', limits.requeueDelayMaxMs * nanoseconds],
  ['max_heartbeat_interval', limits.heartbeatMaxMs * nanoseconds],
  ['max_rdy_count', limits.rdyMax],
  ['max_output_buffer_size', limits.outputBufferBytesMax],
  ['max_output_buffer_timeout', limits.outputBufferTimeoutMaxMs * nanoseconds],
  ['min_output_buffer_timeout', limits.outputBufferTimeoutMinMs * nanoseconds],
  ['output_buffer_timeout', limits.outputBufferTimeoutMs * nanoseconds],
  ['deflate', true],
  ['max_deflate_level', limits.deflateLevelMax],
  ['snappy', true],
])

export class NsqdHandler implements HttpHandler {
  readonly #broker: Broker
  readonly #server: ServerFacts
  readonly #topics: Topics
  readonly #routes: Routes<Route>

  constructor(broker: Broker, server: ServerFacts) {
    this.#broker = broker
    this.#server = server
    this.#topics = Topics.of(broker)
    Announcing.of(broker).begin(server)
    this.#routes = new Routes<Route>([
      { method: 'GET', path: '/ping', open: true, run: () => 'OK' },
      { method: 'GET', path: '/info', run: ({ request }) => this.#info(request) },
      { method: 'POST', path: '/pub', run: (call) => this.#pub(call) },
      { method: 'POST', path: '/mpub', run: (call) => this.#mpub(call) },
      { method: 'GET', path: '/stats', run: (call) => this.#stats(call) },
      { method: 'POST', path: '/topic/create', run: (call) => this.#createTopic(call) },
      { method: 'POST', path: '/topic/delete', run: (call) => this.#deleteTopic(call) },
      { method: 'POST', path: '/topic/empty', run: (call) => this.#emptyTopic(call) },
      { method: 'POST', path: '/topic/pause', run: (call) => this.#pauseTopic(call, true) },
      { method: 'POST', path: '/topic/unpause', run: (call) => this.#pauseTopic(call, false) },
      { method: 'POST', path: '/channel/create', run: (call) => this.#createChannel(call) },
      { method: 'POST', path: '/channel/delete', run: (call) => this.#deleteChannel(call) },
      { method: 'POST', path: '/channel/empty', run: (call) => this.#emptyChannel(call) },
      { method: 'POST', path: '/channel/pause', run: (call) => this.#pauseChannel(call, true) },
      { method: 'POST', path: '/channel/unpause', run: (call) => this.#pauseChannel(call, false) },
      { method: 'GET', path: '/config/:option', run: (call) => this.#option(call.option) },
      { method: 'PUT', path: '/config/:option', run: (call) => this.#configure(call) },
    ])
  }

  answer(request: HttpRequest): Promise<HttpAnswer> {
    return answerBy(this.#broker, this.#routes, request)
  }

  drain(): void {
    Announcing.of(this.#broker).stop()
  }

  #space({ principal }: Call): Space {
    return this.#broker.space(principal, namespace, { protocol: 'nsq', anyone: true })
  }

  #info(request: HttpRequest): object {
    const { broadcastAddress, tcpPort, httpPort } = ownAddress(this.#broker, this.#server, request)
    return {
      version: serverVersion,
      broadcast_address: broadcastAddress,
      hostname: hostname(),
      http_port: httpPort,
      tcp_port: tcpPort,
      start_time: Math.floor(this.#server.startedAt / 1000),
      max_heartbeat_interval: limits.heartbeatMaxMs * nanoseconds,
      max_output_buffer_size: limits.outputBufferBytesMax,
      max_output_buffer_timeout: limits.outputBufferTimeoutMaxMs * nanoseconds,
      max_deflate_level: limits.deflateLevelMax,
      anymq_version: this.#server.version,
    }
  }

  // --------------------------------------------------------------------------------------------------------------- producing

  /** Throws what the reference server says of a query, before anything is made. */
  #topicToPublish(query: URLSearchParams): string {
    const topic = argument(query, 'topic')
    if (!isName(topic)) throw new HttpError(400, 'INVALID_TOPIC')
    return topic
  }

  async #pub(call: Call): Promise<string> {
    const body = await bodyOf(call.request, limits.messageBytesMax, 'MSG_TOO_BIG')
    if (body.length === 0) throw new HttpError(400, 'MSG_EMPTY')
    const topic = this.#topicToPublish(call.query)
    const defer = call.query.get('defer')
    const delayMs = defer === null ? 0 : /^[+-]?\d+$/.test(defer) ? Number(defer) : -1
    if (delayMs < 0 || delayMs > limits.requeueDelayMaxMs) throw new HttpError(400, 'INVALID_DEFER')
    await this.#publish(call, topic, [body], delayMs)
    return 'OK'
  }

  async #mpub(call: Call): Promise<string> {
    if (Number(call.request.headers['content-length'] ?? 0) > limits.bodyBytesMax) throw new HttpError(413, 'BODY_TOO_BIG')
    const topic = this.#topicToPublish(call.query)
    const binary = call.query.get('binary')
    const body = await bodyOf(call.request, limits.bodyBytesMax, 'BODY_TOO_BIG')
    // What is no flag was once one for binary.
    const messages = binary !== null && (flags.get(binary) ?? true) ? binaryMessages(body) : lines(body)
    await this.#publish(call, topic, messages, 0)
    return 'OK'
  }

  async #publish(call: Call, topic: string, messages: readonly Buffer[], delayMs: number): Promise<void> {
    const space = this.#space(call)
    if (!this.#topics.has(topic)) await this.#topics.create(topic, space)
    if (messages.length === 0) return
    const now = this.#broker.clock.now()
    const items = messages.map((message) => messageItem(topic, message, delayMs, now))
    await new Promise<void>((resolve) => space.publish(items, resolve))
    const failed = items.find(({ status }) => status === PublishStatus.Failed)
    if (failed !== undefined) throw errorOfCore(failed.errorCode ?? 'Internal')
    this.#topics.countIn(
      topic,
      messages.reduce((sum, { length }) => sum + length, 0),
    )
  }

  // ------------------------------------------------------------------------------------------------------ topics and channels

  #existingTopic(call: Call, action: 'manage' | 'consume'): string {
    const topic = argument(call.query, 'topic')
    if (!isName(topic)) throw new HttpError(400, 'INVALID_TOPIC')
    if (!this.#topics.has(topic)) throw new HttpError(404, 'TOPIC_NOT_FOUND')
    this.#allow(call, action, topic)
    return topic
  }

  #allow({ principal }: Call, action: 'manage' | 'consume', topic: string): void {
    if (!principal.may(action, namespace, topic)) throw new HttpError(403, 'FORBIDDEN')
  }

  async #createTopic(call: Call): Promise<null> {
    const topic = this.#topicToPublish(call.query)
    if (!this.#topics.has(topic)) await this.#topics.create(topic, this.#space(call))
    return null
  }

  /** What is no name is no topic to the reference server here. */
  #topicToManage(call: Call): string {
    const topic = argument(call.query, 'topic')
    if (!isName(topic) || !this.#topics.has(topic)) throw new HttpError(404, 'TOPIC_NOT_FOUND')
    this.#allow(call, 'manage', topic)
    return topic
  }

  async #deleteTopic(call: Call): Promise<null> {
    await this.#topics.deleteTopic(this.#topicToManage(call))
    return null
  }

  async #emptyTopic(call: Call): Promise<null> {
    await this.#topics.emptyTopic(this.#existingTopic(call, 'consume'))
    return null
  }

  async #pauseTopic(call: Call, paused: boolean): Promise<null> {
    await this.#topics.pauseTopic(this.#topicToManage(call), paused)
    return null
  }

  /** The channel may not be there. */
  #ofTopic(call: Call, action: 'manage' | 'consume'): { topic: string; channel: string } {
    const { topic, channel } = topicAndChannel(call.query)
    if (!this.#topics.has(topic)) throw new HttpError(404, 'TOPIC_NOT_FOUND')
    this.#allow(call, action, topic)
    return { topic, channel }
  }

  #existingChannel(call: Call, action: 'manage' | 'consume'): { topic: string; channel: string } {
    const { topic, channel } = this.#ofTopic(call, action)
    if (!this.#topics.channels(topic).includes(channel)) throw new HttpError(404, 'CHANNEL_NOT_FOUND')
    return { topic, channel }
  }

  async #createChannel(call: Call): Promise<null> {
    const { topic, channel } = this.#ofTopic(call, 'consume')
    await this.#topics.createChannel(topic, channel)
    return null
  }

  async #deleteChannel(call: Call): Promise<null> {
    const { topic, channel } = this.#existingChannel(call, 'manage')
    await this.#topics.deleteChannel(topic, channel)
    return null
  }

  async #emptyChannel(call: Call): Promise<null> {
    const { topic, channel } = this.#existingChannel(call, 'consume')
    await this.#topics.emptyChannel(topic, channel)
    return null
  }

  async #pauseChannel(call: Call, paused: boolean): Promise<null> {
    const { topic, channel } = this.#existingChannel(call, 'manage')
    await this.#topics.pauseChannel(topic, channel, paused)
    return null
  }

  // ---------------------------------------------------------------------------------------------------------------- looking

  async #stats({ query, principal }: Call): Promise<object | string> {
    const flag = (name: string): boolean => flags.get(query.get(name) ?? '') ?? true
    const stats = await statistics(this.#topics, this.#server, {
      topic: query.get('topic') ?? '',
      channel: query.get('channel') ?? '',
      clients: flag('include_clients'),
      memory: flag('include_mem'),
      visible: (topic) => principal.may('describe', namespace, topic),
    })
    return query.get('format') === 'json' ? stats : statisticsText(stats, this.#broker.clock.now())
  }

  #option(option: string): object | string {
    if (option === 'nsqlookupd_tcp_addresses') return [...Announcing.of(this.#broker).addresses]
    const value = fixedOptions.get(option)
    if (value === undefined) throw new HttpError(400, 'INVALID_OPTION')
    return JSON.stringify(value)
  }

  async #configure({ request, principal, option }: Call): Promise<object | string> {
    const body = await bodyOf(request, limits.messageBytesMax, 'INVALID_VALUE')
    if (body.length === 0) throw new HttpError(413, 'INVALID_VALUE')
    if (option !== 'nsqlookupd_tcp_addresses') throw new HttpError(400, 'INVALID_OPTION')
    if (!principal.may('operate', '', '', 'cluster')) throw new HttpError(403, 'FORBIDDEN')
    const addresses = parseAddresses(body.toString())
    if (addresses === null) throw new HttpError(400, 'INVALID_VALUE')
    await Announcing.of(this.#broker).announceTo(addresses)
    return this.#option(option)
  }
}

async function bodyOf(request: HttpRequest, bytesMax: number, tooBig: string): Promise<Buffer> {
  try {
    return await request.body(bytesMax)
  } catch (cause) {
    if ((cause as { code?: unknown }).code === 'TooLarge') throw new HttpError(413, tooBig)
    throw cause
  }
}

/** As the body of MPUB: a count, then sizes and messages; what follows is not looked at. */
function binaryMessages(body: Buffer): Buffer[] {
  const messages: Buffer[] = []
  const count = body.length < 4 ? 0 : body.readInt32BE(0)
  if (count <= 0 || count > Math.floor((limits.bodyBytesMax - 4) / 5)) throw new HttpError(413, 'BAD_BODY')
  let at = 4
  for (let index = 0; index < count; index++) {
    const size = body.length < at + 4 ? -1 : body.readInt32BE(at)
    if (size <= 0 || size > limits.messageBytesMax || body.length < at + 4 + size) throw new HttpError(413, 'BAD_MESSAGE')
    messages.push(body.subarray(at + 4, at + 4 + size))
    at += 4 + size
  }
  return messages
}

/** One message a line; empty ones are passed over. */
function lines(body: Buffer): Buffer[] {
  const messages: Buffer[] = []
  for (let at = 0; at < body.length; ) {
    const found = body.indexOf(0x0a, at)
    const end = found < 0 ? body.length : found
    if (end - at > limits.messageBytesMax) throw new HttpError(413, 'MSG_TOO_BIG')
    if (end > at) messages.push(body.subarray(at, end))
    at = end + 1
  }
  return messages
}
