/**
 * What one operation of the API is: its path, what it takes, what it answers, and the function behind it. The list of all of them (routes.ts)
 * is what requests are matched against and what the OpenAPI document is made of, so that the two cannot differ.
 */
import type { Broker, HttpAnswer, Principal, ServerFacts, Space } from '../broker/face.ts'

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

/** A JSON schema, as OpenAPI 3.1 uses it. */
export type Schema = { readonly [key: string]: unknown }

export interface QueryParameter {
  readonly name: string
  readonly schema: Schema
  readonly description: string
}

export interface Route {
  readonly method: Method
  /** Segments in braces are parameters: `/v1/topics/{topic}`. */
  readonly path: string
  readonly tag: string
  readonly summary: string
  /** Longer, where the summary cannot say all. */
  readonly description?: string
  readonly query?: readonly QueryParameter[]
  /** Of the JSON body; absent when there is none. */
  readonly body?: Schema
  /** Status of success; default 200. */
  readonly status?: number
  readonly response?: Schema
  /** Only for administrators once users exist. */
  readonly admin?: boolean
  /** Answers to anybody, also without a login. */
  readonly open?: boolean
  /** Resolves to what is sent as JSON, a {@link Raw} answer, or undefined when there is nothing to say (204). */
  handle(call: Call): unknown
}

/** One request on its way through a handler. */
export interface Call {
  readonly broker: Broker
  readonly principal: Principal
  /** The namespace of `?namespace=`, as the caller may use it. */
  readonly space: Space
  /** Path parameter; always present when the path has it. */
  parameter(name: string): string
  readonly query: URLSearchParams
  /** The parsed JSON body, {} without one. */
  readonly body: Record<string, unknown>
  /** Aborted when the caller has gone. */
  readonly signal: AbortSignal
  readonly server: ServerFacts
}

/** An answer that is not one JSON value. */
export class Raw {
  readonly contentType: string
  readonly body: NonNullable<HttpAnswer['body']>

  constructor(contentType: string, body: Raw['body']) {
    this.contentType = contentType
    this.body = body
  }
}
