/**
 * A record's attributes as one flat list of named bytes, and back: for protocols whose headers are text or bytes.
 * Headers stand there under their names; well-known attributes that the protocol has no place for under names that begin with `anymq.`. Text
 * needs nothing more. As soon as a header is something else, `anymq.types` says what each one is, so that all of them come back as they were.
 */
import type { Attributes, Header, HeaderType, HeaderValue } from './record.ts'

export interface FlatHeader {
  readonly name: string
  readonly bytes: Buffer | null
}

const typesHeader = 'anymq.types'
const extraPrefix = 'anymq.extra.'
const keyHeader = 'anymq.key'
const keyBase64Header = 'anymq.key-base64'
const tombstoneHeader = 'anymq.tombstone'

interface WellKnown {
  readonly header: string
  readonly attribute: keyof Attributes
  /** Adds the header when the attribute is there. */
  readonly text: (attributes: Attributes) => string | undefined
  /** Sets the attribute; false when the text is not one, and the header stays an ordinary header. */
  readonly set: (attributes: Attributes, text: string) => boolean
}

type TextAttribute =
  | 'messageId'
  | 'correlationId'
  | 'replyTo'
  | 'contentType'
  | 'contentEncoding'
  | 'type'
  | 'subject'
  | 'groupKey'
  | 'dedupId'
  | 'userId'
  | 'appId'
type NumberAttribute = 'timestamp' | 'expirationMs' | 'priority' | 'deliverAt'

const textual = (header: string, name: TextAttribute): WellKnown => ({
  header,
  attribute: name,
  text: (attributes) => attributes[name],
  set: (attributes, text) => {
    if (attributes[name] !== undefined) return false
    attributes[name] = text
    return true
  },
})
const numeric = (header: string, name: NumberAttribute): WellKnown => ({
  header,
  attribute: name,
  text: (attributes) => attributes[name]?.toString(),
  set: (attributes, text) => {
    const value = Number(text)
    if (attributes[name] !== undefined || !Number.isSafeInteger(value) || String(value) !== text) return false
    attributes[name] = value
    return true
  },
})

const wellKnown: readonly WellKnown[] = [
  textual('anymq.message-id', 'messageId'),
  textual('anymq.correlation-id', 'correlationId'),
  textual('anymq.reply-to', 'replyTo'),
  textual('anymq.content-type', 'contentType'),
  textual('anymq.content-encoding', 'contentEncoding'),
  textual('anymq.type', 'type'),
  textual('anymq.subject', 'subject'),
  numeric('anymq.timestamp', 'timestamp'),
  numeric('anymq.expiration', 'expirationMs'),
  numeric('anymq.priority', 'priority'),
  numeric('anymq.deliver-at', 'deliverAt'),
  textual('anymq.group-key', 'groupKey'),
  textual('anymq.dedup-id', 'dedupId'),
  textual('anymq.user-id', 'userId'),
  textual('anymq.app-id', 'appId'),
  {
    header: 'anymq.persistent',
    attribute: 'persistent',
    text: (attributes) => attributes.persistent?.toString(),
    set: (attributes, text) => {
      if (attributes.persistent !== undefined || (text !== 'true' && text !== 'false')) return false
      attributes.persistent = text === 'true'
      return true
    },
  },
]
const wellKnownByHeader = new Map(wellKnown.map((known) => [known.header, known]))

/** How one kind of flat list writes what is in it. */
interface Form<Flat> {
  readonly header: (name: string, value: HeaderValue) => Flat
  readonly text: (name: string, text: string) => Flat
  readonly key: (bytes: Buffer) => Flat
  /** Headers of these types say themselves what they are. As soon as one is of another, all types are listed in order. */
  readonly untyped: ReadonlySet<HeaderType>
}

const bytesForm: Form<FlatHeader> = {
  header: (name, value) => ({ name, bytes: bytesOf(value) }),
  text: (name, text) => ({ name, bytes: Buffer.from(text) }),
  key: (bytes) => ({ name: keyHeader, bytes }),
  untyped: new Set<HeaderType>(['string', 'null']),
}

const textForm: Form<FlatText> = {
  header: (name, value) => ({
    name,
    text: value.type === 'bytes' ? value.value.toString('base64') : (bytesOf(value)?.toString() ?? ''),
  }),
  text: (name, text) => ({ name, text }),
  key: (bytes) => {
    const text = textOf(bytes)
    return text === null ? { name: keyBase64Header, text: bytes.toString('base64') } : { name: keyHeader, text }
  },
  untyped: new Set<HeaderType>(['string']),
}

function flatten<Flat>(attributes: Attributes, own: ReadonlySet<keyof Attributes>, form: Form<Flat>): Flat[] {
  const headers: Header[] = [
    ...attributes.headers,
    ...(attributes.extra ?? []).map((header) => ({ ...header, name: extraPrefix + header.name })),
  ]
  const flat = headers.map(({ name, value }) => form.header(name, value))
  for (const { header, attribute, text } of wellKnown) {
    const value = own.has(attribute) ? undefined : text(attributes)
    if (value !== undefined) flat.push(form.text(header, value))
  }
  if (!own.has('key') && attributes.key !== null) flat.push(form.key(attributes.key))
  if (!own.has('key') && attributes.value === null) flat.push(form.text(tombstoneHeader, 'true'))
  if (headers.some(({ value }) => !form.untyped.has(value.type))) {
    const types = headers.map(({ name, value }) => `${encodeURIComponent(name.toWellFormed())}=${value.type}`)
    flat.push(form.text(typesHeader, types.join('&')))
  }
  return flat
}

/** All but the value. `own`: attributes that the protocol writes elsewhere itself. */
export function flatHeaders(attributes: Attributes, own: ReadonlySet<keyof Attributes>): FlatHeader[] {
  return flatten(attributes, own, bytesForm)
}

/** The reverse: sets what the list says. An attribute that is set already stays, and what would have set it is a header. */
export function addFlatHeaders(attributes: Attributes, flat: readonly FlatHeader[]): void {
  const list = flat.find(({ name, bytes }) => name === typesHeader && bytes !== null)
  const types = list?.bytes ? parseTypes(list.bytes.toString()) : undefined
  for (const each of flat) {
    if (each === list) continue
    const { name, bytes } = each
    const known = wellKnownByHeader.get(name)
    const text = bytes === null ? null : textOf(bytes)
    if (known !== undefined && text !== null && known.set(attributes, text)) continue
    if (name === keyHeader && bytes !== null && attributes.key === null) attributes.key = bytes
    else if (name === tombstoneHeader && text === 'true' && attributes.value?.length === 0) attributes.value = null
    else {
      const header: Header = { name, value: headerValueOf(bytes, types?.get(name)?.shift()) }
      if (name.startsWith(extraPrefix)) (attributes.extra ??= []).push({ ...header, name: name.slice(extraPrefix.length) })
      else attributes.headers.push(header)
    }
  }
}

export interface FlatText {
  readonly name: string
  readonly text: string
}

/** As {@link flatHeaders}, where a value can only be text: bytes and null are text as well, and `anymq.types` says so. */
export function flatTexts(attributes: Attributes, own: ReadonlySet<keyof Attributes>): FlatText[] {
  return flatten(attributes, own, textForm)
}

/** The reverse of {@link flatTexts}. */
export function addFlatTexts(attributes: Attributes, flat: readonly FlatText[]): void {
  const list = flat.find(({ name }) => name === typesHeader)
  const types = list === undefined ? new Map<string, HeaderType[]>() : parseTypes(list.text)
  const headers: FlatHeader[] = []
  for (const { name, text } of flat) {
    if (name === keyBase64Header && attributes.key === null) {
      attributes.key = Buffer.from(text, 'base64')
      continue
    }
    const type = types.get(name)?.shift()
    headers.push({ name, bytes: type === 'null' ? null : Buffer.from(text, type === 'bytes' ? 'base64' : 'utf8') })
  }
  addFlatHeaders(attributes, headers)
}

function bytesOf(value: HeaderValue): Buffer | null {
  switch (value.type) {
    case 'null':
      return null
    case 'bytes':
      return value.value
    case 'string':
      return Buffer.from(value.value)
    case 'decimal':
      return Buffer.from(`${value.value.unscaled}e-${value.value.scale}`)
    case 'array':
    case 'table':
      return Buffer.from(JSON.stringify(value.value, toJson))
    default:
      return Buffer.from(Object.is(value.value, -0) ? '-0' : String(value.value))
  }
}

// Buffers and numbers beyond JSON, inside arrays and tables.
function toJson(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return { $i64: value.toString() }
  if (typeof value === 'number' && (!Number.isFinite(value) || Object.is(value, -0)))
    return { $number: Object.is(value, -0) ? '-0' : String(value) }
  if (typeof value === 'object' && value !== null && (value as { type?: unknown }).type === 'Buffer') {
    return { $bytes: Buffer.from((value as { data: number[] }).data).toString('base64') }
  }
  return value
}

function fromJson(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if ('$i64' in value) return BigInt(String(value.$i64))
  if ('$number' in value) return Number(value.$number)
  if ('$bytes' in value) return Buffer.from(String(value.$bytes), 'base64')
  return value
}

function parseTypes(text: string): Map<string, HeaderType[]> {
  const types = new Map<string, HeaderType[]>()
  for (const part of text.split('&')) {
    const sign = part.lastIndexOf('=')
    if (sign < 0) continue
    const name = decodeName(part.slice(0, sign))
    const list = types.get(name)
    const type = part.slice(sign + 1) as HeaderType // An unknown word falls to the default of valueOf.
    if (list) list.push(type)
    else types.set(name, [type])
  }
  return types
}

function decodeName(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** null when the bytes are not UTF-8. */
function textOf(bytes: Buffer): string | null {
  const text = bytes.toString('utf8')
  return text.includes('\ufffd') && !Buffer.from(text).equals(bytes) ? null : text
}

const integerTypes: ReadonlySet<string> = new Set(['i8', 'u8', 'i16', 'u16', 'i32', 'u32', 'timestamp'])

function headerValueOf(bytes: Buffer | null, type: HeaderType | undefined): HeaderValue {
  if (bytes === null) return { type: 'null', value: null }
  const text = type === 'bytes' ? null : textOf(bytes)
  if (text === null) return { type: 'bytes', value: bytes }
  const plain: HeaderValue = { type: 'string', value: text }
  try {
    if (type === undefined || type === 'string') return plain
    if (type === 'bool') return text === 'true' || text === 'false' ? { type, value: text === 'true' } : plain
    if (type === 'i64') return { type, value: BigInt(text) }
    if (type === 'f32' || type === 'f64') return { type, value: Number(text) }
    if (integerTypes.has(type)) return Number.isInteger(Number(text)) ? { type: type as 'i32', value: Number(text) } : plain
    if (type === 'decimal') {
      const [unscaled, scale] = text.split('e-')
      return { type, value: { unscaled: Number(unscaled), scale: Number(scale) } }
    }
    if (type === 'array' || type === 'table') return { type, value: JSON.parse(text, fromJson) } as HeaderValue
    return plain
  } catch {
    return plain // Someone else wrote the list of types; the text is what there is.
  }
}
