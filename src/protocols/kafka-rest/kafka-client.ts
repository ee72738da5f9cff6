/**
 * The proxy's own Kafka conversation, inside the process: what administrators ask of it goes the way of every Kafka client, so that checks, errors and
 * effects are those of Kafka itself. One for each request that needs one.
 */
import type { Broker, HttpRequest, Principal } from '../../broker/face.ts'
import { InnerConnection } from '../../lib/inner-connection.ts'
import { apis, encodeRequest, FrameDecoder, skipTags } from '../kafka/codec.ts'
import { KafkaError } from '../kafka/errors.ts'
import type { Message } from '../kafka/schema.ts'
import { KafkaSession } from '../kafka/session.ts'
import { Reader } from '../kafka/wire.ts'
import { denied, RestError, topicNotFound } from './errors.ts'
import type { Call } from './route.ts'

const frameBytesMax = 1 << 28

/** Runs `use` with a conversation in the caller's name and ends it afterwards. */
export async function withKafka<T>(call: Call, use: (kafka: KafkaConversation) => Promise<T>): Promise<T> {
  const kafka = new KafkaConversation(call.broker, call.principal, call.request)
  try {
    return await use(kafka)
  } finally {
    kafka.close()
  }
}

export class KafkaConversation {
  readonly #session: KafkaSession
  readonly #waiting: { key: number; version: number; resolve: (answer: Message) => void; reject: (cause: Error) => void }[] = []

  constructor(broker: Broker, principal: Principal, request: HttpRequest) {
    const decoder = new FrameDecoder(frameBytesMax, (frame) => this.#onFrame(frame))
    const connection = new InnerConnection(request.connection, {
      bytes: (bytes) => decoder.push(bytes),
      ended: (reason) => this.#onEnd(reason),
    })
    this.#session = new KafkaSession(connection, broker, 'inner')
    this.#session.logIn(principal)
  }

  /** One request; its errors are in the answer. Rejects when the conversation is refused as a whole. */
  ask(key: number, version: number, body: Message): Promise<Message> {
    const api = apis.get(key)
    if (api === undefined) throw new Error(`no such request: ${key}`)
    return new Promise((resolve, reject) => {
      this.#waiting.push({ key, version, resolve, reject })
      this.#session.onBytes(encodeRequest(api, version, this.#waiting.length, 'kafka-rest', body))
    })
  }

  #onFrame(frame: Buffer): void {
    const asked = this.#waiting.shift()
    const api = asked && apis.get(asked.key)
    if (asked === undefined || api === undefined) return
    const reader = new Reader(frame)
    reader.int32() // Answers come in the order of the requests.
    if (asked.version >= api.flexible) skipTags(reader)
    asked.resolve(api.response.decode(reader, asked.version))
  }

  #onEnd(reason: string): void {
    for (const { reject } of this.#waiting.splice(0)) reject(new RestError(50003, reason))
  }

  close(): void {
    this.#session.onClose('server')
  }
}

/** Throws what an answer, or a part of one, says that went wrong. */
export function check(answer: Message): void {
  const code: number = answer['errorCode'] ?? 0
  const message: string = answer['errorMessage'] ?? `Kafka error ${code}`
  switch (code) {
    case KafkaError.None:
      return
    case KafkaError.TopicAuthorizationFailed:
    case KafkaError.GroupAuthorizationFailed:
    case KafkaError.ClusterAuthorizationFailed:
      throw denied(message)
    case KafkaError.UnknownTopicOrPartition:
      throw topicNotFound()
    case KafkaError.GroupIdNotFound:
      throw new RestError(404, message)
    default:
      throw new RestError(40002, message)
  }
}
