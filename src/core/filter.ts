/**
 * Which records a subscription takes: a definition that can be stored, compiled once. A record is decoded only for filters that look into it.
 * Names are of headers; `record.` and an attribute's name is that attribute. Evaluation is total: it never throws.
 */
import type { FilterSpec } from '../broker/face.ts'
import { PatternTrie } from '../lib/trie.ts'
import { CoreError } from './errors.ts'
import { type Annotations, type Attributes, formats, type HeaderValue } from './record.ts'
import { compileSelector } from './selector.ts'
import { opaque, type SelectorValue } from './selector-values.ts'

const depthMax = 4
const partsMax = 256
const attributePrefix = 'record.'

/** A record as a filter sees it. */
export interface Filterable {
  readonly format: number
  readonly buffer: Buffer
  readonly start: number
  readonly end: number
  readonly timestamp: number
  readonly subject: string | null
  readonly annotations: Annotations | null
}

export type Filter = (record: Filterable) => boolean

/** Throws Invalid. `topic` is the subject of records that say none. */
export function compileFilter(spec: FilterSpec, topic: string): Filter {
  const test = compile(spec, 0)
  return (record) => test(new Opened(record, topic))
}

type Test = (record: Opened) => boolean

/** Decoded when it is first asked for. */
class Opened {
  readonly record: Filterable
  readonly #topic: string
  #attributes: Attributes | null = null

  constructor(record: Filterable, topic: string) {
    this.record = record
    this.#topic = topic
  }

  get attributes(): Attributes {
    const { format, buffer, start, end } = this.record
    this.#attributes ??= formats.get(format).toAttributes(buffer.subarray(start, end))
    return this.#attributes
  }

  /** What it was published to. */
  get subject(): string {
    const { subject, annotations } = this.record
    return subject ?? annotations?.routingKey ?? this.attributes.subject ?? this.#topic
  }
}

function compile(spec: FilterSpec, depth: number): Test {
  if (depth > depthMax) throw new CoreError('Invalid', `filters are nested deeper than ${depthMax}`)
  switch (spec.kind) {
    case 'subject':
      return subjectTest(spec.patterns)
    case 'headers':
      return headersTest(spec.match, spec.headers)
    case 'selector': {
      const names = spec.names ?? {}
      return compileSelector<Opened>(spec.expression, (name) =>
        resolve(Object.hasOwn(names, name) ? (names[name] as string) : name),
      ) // has it
    }
    case 'any':
    case 'all': {
      const tests = some(spec.of).map((each) => compile(each, depth + 1))
      if (spec.kind === 'any') return (record) => tests.some((test) => test(record))
      return (record) => tests.every((test) => test(record))
    }
    default:
      return unknownKind(spec)
  }
}

/** Filters come as JSON too. */
function unknownKind(spec: never): never {
  throw new CoreError('Invalid', `a filter of the kind "${String((spec as { kind?: unknown }).kind)}" is not known`)
}

function some<T>(parts: readonly T[]): readonly T[] {
  if (parts.length === 0 || parts.length > partsMax) throw new CoreError('Invalid', `a filter has 1 to ${partsMax} parts`)
  return parts
}

function subjectTest(patterns: readonly string[]): Test {
  const trie = new PatternTrie<true>()
  for (const pattern of some(patterns)) trie.add(pattern, true)
  return ({ subject }) => {
    let found = false
    trie.match(subject, () => {
      found = true
    })
    return found
  }
}

function headersTest(match: 'all' | 'any', headers: Readonly<Record<string, string | number | boolean | null>>): Test {
  const tests = some(Object.entries(headers)).map(([name, wanted]): Test => {
    const get = resolve(name)
    if (typeof get === 'string') throw new CoreError('Invalid', `filter: ${get}`)
    if (wanted === null) return (record) => get(record) !== null
    return (record) => {
      const found = get(record)
      // Exact numbers are bigints here, and equal the number.
      return typeof found === 'bigint' ? typeof wanted === 'number' && found >= wanted && found <= wanted : found === wanted
    }
  })
  return match === 'all' ? (record) => tests.every((test) => test(record)) : (record) => tests.some((test) => test(record))
}

// ------------------------------------------------------------------------------------------------------------------------ names

type Get = (record: Opened) => SelectorValue | typeof opaque

/** How to get the value of a name, or why there is none such. */
function resolve(name: string): Get | string {
  if (!name.startsWith(attributePrefix)) return ({ attributes }) => headerNamed(attributes, name)
  const attribute = name.slice(attributePrefix.length)
  const get = Object.hasOwn(attributeValues, attribute) ? attributeValues[attribute] : undefined
  return get ?? `no attribute "${attribute}"; there are ${Object.keys(attributeValues).join(', ')}`
}

function headerNamed({ headers }: Attributes, name: string): SelectorValue | typeof opaque {
  for (const header of headers) if (header.name === name) return headerValue(header.value)
  return null
}

function headerValue({ type, value }: HeaderValue): SelectorValue | typeof opaque {
  switch (type) {
    case 'null':
      return null
    case 'bool':
    case 'string':
    case 'i64':
    case 'f32':
    case 'f64':
      return value
    case 'i8':
    case 'u8':
    case 'i16':
    case 'u16':
    case 'i32':
    case 'u32':
    case 'timestamp':
      return exact(value)
    case 'decimal':
      return value.unscaled / 10 ** value.scale
    default:
      return opaque
  }
}

const exact = (value: number): bigint | number => (Number.isSafeInteger(value) ? BigInt(value) : value)
const orNull = (value: string | boolean | undefined): SelectorValue => value ?? null
const exactOrNull = (value: number | undefined): SelectorValue => (value === undefined ? null : exact(value))

const attributeValues: Readonly<Record<string, Get>> = {
  subject: (record) => record.subject,
  key: ({ attributes: { key } }) => key?.toString('utf8') ?? null,
  timestamp: ({ attributes, record }) => exact(attributes.timestamp ?? record.timestamp),
  messageId: ({ attributes }) => orNull(attributes.messageId),
  correlationId: ({ attributes }) => orNull(attributes.correlationId),
  replyTo: ({ attributes }) => orNull(attributes.replyTo),
  contentType: ({ attributes }) => orNull(attributes.contentType),
  contentEncoding: ({ attributes }) => orNull(attributes.contentEncoding),
  type: ({ attributes }) => orNull(attributes.type),
  expirationMs: ({ attributes }) => exactOrNull(attributes.expirationMs),
  priority: ({ attributes }) => exactOrNull(attributes.priority),
  deliverAt: ({ attributes }) => exactOrNull(attributes.deliverAt),
  groupKey: ({ attributes }) => orNull(attributes.groupKey),
  userId: ({ attributes }) => orNull(attributes.userId),
  appId: ({ attributes }) => orNull(attributes.appId),
  persistent: ({ attributes }) => orNull(attributes.persistent),
}
