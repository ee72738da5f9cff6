/** What one operation of the API is, and what it is given. */
import type { Broker, HttpAnswer, HttpRequest, ServerFacts } from '../../broker/face.ts'
import type { SchemaLanguage } from '../../lib/schemas/schema.ts'
import type { Caller } from './caller.ts'
import { invalidSchema, unprocessable } from './errors.ts'
import { isObject, type Json } from './json.ts'
import type { Registry, Submission } from './registry.ts'

export interface Route {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE'
  readonly path: string
  /** What it resolves to is sent as JSON with 200; a {@link RawText} as it is. */
  handle(call: Call): unknown
}

/** Sent as it is. */
export class RawText {
  readonly answer: HttpAnswer

  constructor(body: string) {
    this.answer = { status: 200, headers: { 'content-type': 'application/vnd.schemaregistry.v1+json' }, body }
  }
}

export class Call {
  readonly broker: Broker
  readonly facts: ServerFacts
  readonly registry: Registry
  readonly caller: Caller
  readonly query: URLSearchParams
  readonly #request: HttpRequest
  readonly #parameters: ReadonlyMap<string, string>

  constructor(
    surroundings: { readonly broker: Broker; readonly facts: ServerFacts; readonly registry: Registry },
    caller: Caller,
    request: HttpRequest,
    parameters: ReadonlyMap<string, string>,
  ) {
    this.broker = surroundings.broker
    this.facts = surroundings.facts
    this.registry = surroundings.registry
    this.caller = caller
    this.query = new URLSearchParams(request.query)
    this.#request = request
    this.#parameters = parameters
  }

  parameter(name: string): string {
    return this.#parameters.get(name) ?? ''
  }

  /** The subject in the path; '' where none is. */
  get subject(): string {
    return unqualified(this.parameter('subject'))
  }

  flag(name: string): boolean {
    return this.query.get(name)?.toLowerCase() === 'true'
  }

  /** What `offset` and `limit` leave of a list. */
  page<T>(list: readonly T[]): T[] {
    const whole = (name: string, absent: number): number => {
      const written = this.query.get(name)
      if (written === null) return absent
      if (!/^-?\d{1,9}$/.test(written)) throw unprocessable(`${name} must be a whole number`)
      return Number(written)
    }
    const [offset, limit] = [Math.max(0, whole('offset', 0)), whole('limit', -1)]
    return list.slice(offset, limit < 0 ? undefined : offset + limit)
  }

  async body(): Promise<Json> {
    let parsed: unknown
    try {
      parsed = JSON.parse((await this.#request.body(bodyBytesMax)).toString())
    } catch (cause) {
      if (cause instanceof SyntaxError) throw unprocessable(`Unrecognized JSON: ${cause.message}`)
      throw cause
    }
    if (!isObject(parsed)) throw unprocessable('the body must be a JSON object')
    return parsed
  }

  /** The schema in the body. */
  async submission(): Promise<Submission> {
    const body = await this.body()
    refuseUnknown(body, [
      'schema',
      'schemaType',
      'references',
      'metadata',
      'ruleSet',
      'id',
      'version',
      'subject',
      'schemaTags',
      'guid',
    ])
    for (const name of ['ruleSet', 'schemaTags'])
      if (body[name] !== undefined && body[name] !== null) throw unprocessable(`${name} is not supported by this registry`)
    const { schema, schemaType, metadata } = body
    if (typeof schema !== 'string' || schema.trim() === '') throw invalidSchema('Empty schema')
    if (metadata !== undefined && metadata !== null && !isObject(metadata)) throw unprocessable('metadata must be an object')
    return {
      language: languageOf(schemaType),
      text: schema,
      references: referencesOf(body['references']),
      metadata: metadata ?? null,
      id: wholeOf(body, 'id'),
      version: wholeOf(body, 'version'),
    }
  }
}

/** A subject may be named within its context (`:.name:subject`); there is one, whose name is empty. */
export const unqualified = (subject: string): string => subject.replace(/^:\.:/, '')

const bodyBytesMax = 4 * 1024 * 1024

/** Refuses keys that nobody reads: a misspelt one would otherwise do nothing, silently. */
export function refuseUnknown(body: Json, known: readonly string[]): void {
  const unknown = Object.keys(body).find((key) => !known.includes(key))
  if (unknown !== undefined) throw unprocessable(`Unrecognized field: ${unknown}`)
}

function languageOf(schemaType: unknown): SchemaLanguage {
  const name = typeof schemaType === 'string' ? schemaType.toUpperCase() : (schemaType ?? 'AVRO')
  if (name === 'AVRO' || name === 'JSON' || name === 'PROTOBUF') return name
  throw invalidSchema(`unknown schema type ${JSON.stringify(schemaType)}`)
}

function referencesOf(value: unknown): Submission['references'] {
  if (value === undefined || value === null) return []
  if (!Array.isArray(value)) throw unprocessable('references must be a list')
  return value.map((each) => {
    if (
      !isObject(each) ||
      typeof each['name'] !== 'string' ||
      typeof each['subject'] !== 'string' ||
      !Number.isInteger(each['version'])
    )
      throw unprocessable('a reference has a name, a subject and a version')
    return { name: each['name'], subject: unqualified(each['subject']), version: Number(each['version']) }
  })
}

/** Clients that have none send null, or a number below 1. */
function wholeOf(body: Json, name: string): number | null {
  const value = body[name] ?? null
  if (value === null || (typeof value === 'number' && value < 1)) return null
  if (!Number.isInteger(value) || Number(value) > 0x7fffffff) throw unprocessable(`${name} must be a whole number`)
  return Number(value)
}
