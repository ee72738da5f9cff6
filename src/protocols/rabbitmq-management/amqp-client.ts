/**
 * The API's own AMQP conversation, inside the process: what it declares, binds, publishes and gets goes the way of every client, so that checks, error
 * texts and effects are those of AMQP itself. One connection for each request that needs one, with one channel; the first refusal ends it.
 */
import { Buffer } from 'node:buffer'
import type { Broker, ConnectionInfo, HttpRequest } from '../../broker/face.ts'
import { InnerConnection } from '../../lib/inner-connection.ts'
import { ByteReader, ByteWriter } from '../amqp/bytes.ts'
import {
  decodeProperties,
  encodeProperties,
  FrameDecoder,
  FrameResult,
  FrameType,
  frameEnd,
  frameOverhead,
  methodFrame,
  type Properties,
  protocolHeader,
} from '../amqp/codec.ts'
import { decodeMethod, type Method, type MethodFields, type MethodName } from '../amqp/methods.ts'
import { Session } from '../amqp/session.ts'
import type { Caller } from './caller.ts'
import { ApiError, badRequest, notAuthorised, vhostNotFound } from './errors.ts'

const frameBytesMax = 131_072

export interface Message {
  readonly properties: Properties
  readonly body: Buffer
}

type Answer = Method & { readonly content?: Message }

/** What AMQP refused, with its reply code and text. */
export class Refused extends Error {
  readonly code: number

  constructor(code: number, text: string) {
    super(text)
    this.code = code
  }

  /** The text without its leading word, as in `NOT_FOUND - no queue …`. */
  get explanation(): string {
    return this.message.replace(/^[A-Z_]+ - /, '')
  }
}

/** Runs `use` with a channel in the caller's name and closes it afterwards. A refusal becomes the API's error. */
export async function withChannel<T>(
  broker: Broker,
  caller: Caller,
  request: HttpRequest,
  vhost: string,
  use: (channel: AmqpChannel) => Promise<T>,
): Promise<T> {
  const channel = new AmqpChannel(broker, request)
  try {
    await channel.open(caller.login, vhost)
    return await use(channel)
  } catch (cause) {
    throw cause instanceof Refused ? apiErrorOf(cause) : cause
  } finally {
    channel.close()
  }
}

function apiErrorOf(refused: Refused): ApiError {
  switch (refused.code) {
    case 403:
      return notAuthorised('Access refused.')
    case 404:
      return new ApiError(404, 'not_found', refused.message)
    case 530:
      return /^NOT_ALLOWED - vhost .* not found/.test(refused.message)
        ? vhostNotFound()
        : notAuthorised('User not authorised to access virtual host')
    default:
      return badRequest(refused.explanation)
  }
}

export class AmqpChannel {
  readonly #connection: InnerConnection<ConnectionInfo>
  readonly #session: Session
  readonly #decoder = new FrameDecoder()
  /** Methods that came and that nobody waited for yet. */
  readonly #arrived: Answer[] = []
  #waiting: { resolve: (answer: Answer) => void; reject: (cause: Error) => void } | null = null
  #ended: Error | null = null
  /** A method whose content is still coming. */
  #content: { method: Method; properties: Properties; bodyBytes: number; parts: Buffer[] } | null = null

  constructor(broker: Broker, request: HttpRequest) {
    this.#decoder.frameMax = frameBytesMax
    this.#connection = new InnerConnection(request.connection, {
      bytes: (bytes) => this.#onBytes(bytes),
      ended: (reason) => this.#end(new Refused(541, reason)),
    })
    this.#session = new Session(this.#connection, broker)
  }

  async open({ user, password }: Caller['login'], vhost: string): Promise<void> {
    this.#session.onBytes(protocolHeader)
    await this.next('connection.start')
    const response = Buffer.from(`\0${user}\0${password}`)
    const capabilities = new Map([['authentication_failure_close', { type: 't', value: true } as const]])
    const clientProperties = new Map([['capabilities', { type: 'F', value: capabilities } as const]])
    this.#send(0, 'connection.start-ok', { clientProperties, mechanism: 'PLAIN', response, locale: 'en_US' })
    await this.next('connection.tune')
    this.#send(0, 'connection.tune-ok', { channelMax: 1, frameMax: frameBytesMax, heartbeat: 0 })
    this.#send(0, 'connection.open', { virtualHost: vhost, capabilities: '', insist: false })
    await this.next('connection.open-ok')
    this.#send(1, 'channel.open', { outOfBand: '' })
    await this.next('channel.open-ok')
  }

  /** Sends a method and resolves to its answer, whichever of `expected` comes. */
  async call<N extends MethodName, A extends MethodName>(
    name: N,
    fields: MethodFields<N>,
    ...expected: readonly A[]
  ): Promise<Extract<Method, { name: A }> & { readonly content?: Message }> {
    this.#send(1, name, fields)
    return await this.next(...expected)
  }

  /** Sends a method that has no answer. */
  tell<N extends MethodName>(name: N, fields: MethodFields<N>): void {
    this.#send(1, name, fields)
  }

  publish(fields: MethodFields<'basic.publish'>, { properties, body }: Message): void {
    const writer = new ByteWriter()
    writer.u16(60)
    writer.u16(0)
    writer.u64(body.length)
    encodeProperties(writer, properties)
    const header = frame(FrameType.Header, writer.view())
    this.#session.onBytes(Buffer.concat([methodFrame(1, 'basic.publish', fields), header]))
    const most = frameBytesMax - frameOverhead
    for (let at = 0; at < body.length; at += most) this.#session.onBytes(frame(FrameType.Body, body.subarray(at, at + most)))
  }

  /** Resolves when what was published can be read: a confirm of a message that is not persistent comes before that, a later method of its connection after. */
  async seePublished(): Promise<void> {
    const passive = { passive: true, durable: false, autoDelete: false, internal: false, nowait: false }
    await this.call(
      'exchange.declare',
      { ticket: 0, exchange: 'amq.direct', type: 'direct', ...passive, arguments: new Map() },
      'exchange.declare-ok',
    )
  }

  /** The next method of these names; a refusal rejects. */
  async next<A extends MethodName>(
    ...expected: readonly A[]
  ): Promise<Extract<Method, { name: A }> & { readonly content?: Message }> {
    const answer = await this.#take()
    if (answer.name === 'channel.close' || answer.name === 'connection.close')
      throw new Refused(answer.fields.replyCode, answer.fields.replyText)
    if (!(expected as readonly string[]).includes(answer.name)) throw new Error(`${answer.name} came for ${expected.join(', ')}`)
    return answer as Extract<Method, { name: A }> & { readonly content?: Message } // its name was checked
  }

  #take(): Promise<Answer> {
    const first = this.#arrived.shift()
    if (first !== undefined) return Promise.resolve(first)
    if (this.#ended !== null) return Promise.reject(this.#ended)
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject }
    })
  }

  close(): void {
    this.#ended = new Error('closed')
    this.#connection.destroy()
    this.#session.onClose('peer')
  }

  #send<N extends MethodName>(channel: number, name: N, fields: MethodFields<N>): void {
    this.#session.onBytes(methodFrame(channel, name, fields))
  }

  #onBytes(bytes: Buffer): void {
    this.#decoder.push(bytes)
    while (this.#decoder.next() === FrameResult.Frame) this.#onFrame()
  }

  #onFrame(): void {
    const { type, buffer, start, end } = this.#decoder
    if (type === FrameType.Method) {
      const method = decodeMethod(buffer, start, end)
      if (method === undefined) throw new Error('an unknown method came')
      if (method.name === 'basic.get-ok' || method.name === 'basic.return')
        this.#content = { method, properties: {}, bodyBytes: -1, parts: [] }
      else this.#arrive(method)
      return
    }
    const content = this.#content
    if (content === null) return
    if (type === FrameType.Header) {
      const reader = new ByteReader(buffer, start + 4, end)
      content.bodyBytes = reader.u64()
      content.properties = decodeProperties(buffer, start + 12, end)
    } else content.parts.push(Buffer.from(buffer.subarray(start, end)))
    const bytes = content.parts.reduce((sum, part) => sum + part.length, 0)
    if (bytes < content.bodyBytes) return
    this.#content = null
    this.#arrive({ ...content.method, content: { properties: content.properties, body: Buffer.concat(content.parts) } })
  }

  #arrive(answer: Answer): void {
    const waiting = this.#waiting
    this.#waiting = null
    if (waiting === null) this.#arrived.push(answer)
    else waiting.resolve(answer)
  }

  #end(cause: Error): void {
    this.#ended ??= cause
    this.#waiting?.reject(this.#ended)
    this.#waiting = null
  }
}

function frame(type: number, payload: Buffer): Buffer {
  const whole = Buffer.alloc(payload.length + frameOverhead)
  whole[0] = type
  whole.writeUInt16BE(1, 1)
  whole.writeUInt32BE(payload.length, 3)
  payload.copy(whole, 7)
  whole[whole.length - 1] = frameEnd
  return whole
}
