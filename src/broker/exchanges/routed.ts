/** What routing may look at beside the key. A record's own bytes are decoded only when an exchange on its way asks, and then once. */
import type { Attributes, HeaderValue } from '../../core/record.ts'
import { formats } from '../../core/record.ts'

export type PlainHeaders = Readonly<Record<string, unknown>>

/** The attributes that a hash exchange may choose by. */
export type HashAttribute = 'messageId' | 'correlationId' | 'timestamp'

/** What the router needs of a record on its way. */
export interface RouteSource {
  readonly format: number
  readonly payload: Buffer
}

export class Routed {
  readonly #source: RouteSource | null
  #attributes: Attributes | null = null
  #headers: PlainHeaders | null = null

  constructor(source: RouteSource | null) {
    this.#source = source
  }

  get #decoded(): Attributes {
    if (this.#attributes === null) {
      const empty: Attributes = { key: null, value: null, headers: [] }
      this.#attributes = this.#source === null ? empty : formats.get(this.#source.format).toAttributes(this.#source.payload)
    }
    return this.#attributes
  }

  get headers(): PlainHeaders {
    this.#headers ??= Object.fromEntries(this.#decoded.headers.map(({ name, value }) => [name, plainValue(value)]))
    return this.#headers
  }

  /** '' when the record does not say. */
  attribute(name: HashAttribute): string {
    return String(this.#decoded[name] ?? '')
  }
}

/** A header's value as the arguments of bindings are kept: comparable by JSON. */
function plainValue(header: HeaderValue): unknown {
  switch (header.type) {
    case 'i64':
      return Number.isSafeInteger(Number(header.value)) ? Number(header.value) : header.value.toString()
    case 'decimal':
      return header.value.unscaled / 10 ** header.value.scale
    case 'timestamp':
      return header.value / 1000
    case 'bytes':
      return header.value.toString()
    case 'array':
      return header.value.map(plainValue)
    case 'table':
      return Object.fromEntries(header.value.map(({ name, value }) => [name, plainValue(value)]))
    default:
      return header.value
  }
}
