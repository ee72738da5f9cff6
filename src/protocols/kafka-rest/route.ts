/** What one operation of the API is, and what it is given. */
import {
  type Broker,
  CoreError,
  type HttpAnswer,
  type HttpRequest,
  type Principal,
  type Space,
  type TopicInfo,
} from '../../broker/face.ts'
import { isObject, type JsonObject, parseJson } from '../../lib/schemas/json-text.ts'
import type { Registry } from '../schema-registry/registry.ts'
import type { Consumers } from './consumers.ts'
import { denied, partitionNotFound, topicNotFound, unprocessable } from './errors.ts'

export interface Route {
  readonly method: 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE'
  readonly path: string
  /** What it resolves to is sent as JSON with 200; undefined is 204, an {@link Answer} is sent as it is. */
  handle(call: Call): unknown
}

/** Sent as it is. */
export class Answer {
  readonly answer: HttpAnswer

  constructor(answer: HttpAnswer) {
    this.answer = answer
  }
}

export interface Surroundings {
  readonly broker: Broker
  readonly registry: Registry
  readonly consumers: Consumers
}

const bodyBytesMax = 32 * 1024 * 1024

export class Call {
  readonly broker: Broker
  readonly registry: Registry
  readonly consumers: Consumers
  readonly principal: Principal
  readonly space: Space
  readonly request: HttpRequest
  readonly query: URLSearchParams
  readonly #parameters: ReadonlyMap<string, string>

  constructor(
    { broker, registry, consumers }: Surroundings,
    principal: Principal,
    request: HttpRequest,
    parameters: ReadonlyMap<string, string>,
  ) {
    this.broker = broker
    this.registry = registry
    this.consumers = consumers
    this.principal = principal
    this.space = broker.space(principal, 'default', { protocol: 'kafka-rest', anyone: true })
    this.request = request
    this.query = new URLSearchParams(request.query)
    this.#parameters = parameters
  }

  parameter(name: string): string {
    return this.#parameters.get(name) ?? ''
  }

  /** A number of the query; undefined when it is not there. */
  number(name: string): number | undefined {
    const written = this.query.get(name)
    if (written === null) return undefined
    if (!/^-?\d{1,12}$/.test(written)) throw unprocessable(`${name} must be a whole number`)
    return Number(written)
  }

  async text(): Promise<string> {
    try {
      return (await this.request.body(bodyBytesMax)).toString()
    } catch (cause) {
      if (cause instanceof CoreError && cause.code === 'TooLarge') throw new CoreError('TooLarge', cause.message)
      throw cause
    }
  }

  /** The body, which must be an object; {} when there is none. */
  async body(known: readonly string[]): Promise<JsonObject> {
    const text = await this.text()
    if (text === '') return {}
    let parsed: unknown
    try {
      parsed = parseJson(text)
    } catch (cause) {
      throw unprocessable(`the body is no JSON: ${cause instanceof Error ? cause.message : String(cause)}`)
    }
    return onlyKnown(parsed, known, 'the body')
  }

  /** The number of the partition in the path, of the topic there. */
  partition(): number {
    const { config } = this.topic(this.parameter('topic'))
    const written = this.parameter('partition')
    if (!/^\d{1,9}$/.test(written) || Number(written) >= config.partitions) throw partitionNotFound()
    return Number(written)
  }

  may(action: 'describe' | 'create' | 'delete', topic: string): boolean {
    return this.principal.may(action, this.space.namespace, topic)
  }

  /** The topic of this name, when it is there and the caller may know of it. */
  topic(name: string): TopicInfo {
    const info = this.space.topic(name)
    if (info === undefined) throw topicNotFound()
    if (!this.may('describe', name)) throw denied(`${this.principal.user} may not describe "${name}"`)
    return info
  }
}

/** An object without keys that nobody reads. */
export function onlyKnown(value: unknown, known: readonly string[], what: string): JsonObject {
  if (!isObject(value)) throw unprocessable(`${what} must be an object`)
  const unknown = Object.keys(value).find((key) => !known.includes(key))
  if (unknown !== undefined) throw unprocessable(`Unrecognized field: ${unknown}`)
  return value
}

export function listOf(body: JsonObject, name: string): readonly unknown[] {
  const list = body[name]
  if (!Array.isArray(list)) throw unprocessable(`${name} must be a list`)
  return list
}
