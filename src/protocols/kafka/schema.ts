// Encodes and decodes any Kafka message in any version from the table in messages.ts.
//
// A row's text (grammar on top of scripts/kafka-schemas.ts) is parsed at its first use, and flattened for a version at that version's first
// use: a Plan is the list of the fields that version has, each with its encoding decided. Decoding gives a plain object in which
// every field of the schema is present (its default when the version lacks it); encoding takes an object in which any field may be absent.
import { MalformedFrame, Reader, Writer } from './wire.ts'

// biome-ignore lint/suspicious/noExplicitAny: the shape is known to the table only, at run time; handlers read fields by the schema's names.
export type Message = Record<string, any>

interface FieldDefinition {
  name: string
  array: boolean
  primitive: string
  fields: FieldDefinition[] | undefined
  versions: Range
  nullable: Range
  tag: number
  tagged: Range
  fallback: string | undefined
}
type Range = readonly [number, number]
const never: Range = [1, 0]
const always: Range = [0, 0x7fff]

interface PlannedField {
  readonly name: string
  readonly array: boolean
  readonly primitive: string
  readonly plan: Plan | undefined
  readonly nullable: boolean
  readonly flexible: boolean
  readonly tag: number
  readonly fallback: unknown
  readonly present: boolean
}

interface Plan {
  /** In the order of the wire. */
  readonly fields: readonly PlannedField[]
  /** By ascending tag. */
  readonly tagged: readonly PlannedField[]
  /** Not on the wire in this version; decoded as their default. */
  readonly absent: readonly PlannedField[]
  readonly flexible: boolean
}

export class Schema {
  readonly #text: string
  readonly #flexibleFrom: number
  #fields: FieldDefinition[] | undefined
  readonly #plans: (Plan | undefined)[] = []

  constructor(text: string, flexibleFrom: number) {
    this.#text = text
    this.#flexibleFrom = flexibleFrom
  }

  decode(reader: Reader, version: number): Message {
    return readStruct(reader, this.#plan(version))
  }

  encode(writer: Writer, message: Message, version: number): void {
    writeStruct(writer, message, this.#plan(version))
  }

  /** Whether the message has such a field at its top in this version. */
  has(name: string, version: number): boolean {
    return this.#plan(version).fields.some((field) => field.name === name)
  }

  #plan(version: number): Plan {
    let plan = this.#plans[version]
    if (plan === undefined) {
      this.#fields ??= parseFields(this.#text)
      plan = planStruct(this.#fields, version, version >= this.#flexibleFrom)
      this.#plans[version] = plan
    }
    return plan
  }
}

function readStruct(reader: Reader, plan: Plan): Message {
  const message: Message = {}
  for (const field of plan.fields) message[field.name] = readField(reader, field)
  for (const field of plan.tagged) message[field.name] = defaultOf(field)
  for (const field of plan.absent) message[field.name] = defaultOf(field)
  if (plan.flexible) readTags(reader, plan, message)
  return message
}

function readTags(reader: Reader, plan: Plan, message: Message): void {
  const count = reader.uvarint()
  if (count > reader.remaining()) throw new MalformedFrame(`${count} tagged fields in ${reader.remaining()} bytes`)
  for (let index = 0; index < count; index++) {
    const tag = reader.uvarint()
    const length = reader.uvarint()
    const start = reader.take(length)
    const field = plan.tagged.find((candidate) => candidate.tag === tag)
    if (field === undefined) continue // A newer client's field: ignored by rule.
    message[field.name] = readField(new Reader(reader.buffer, start, start + length), field)
  }
}

function readField(reader: Reader, field: PlannedField): unknown {
  return field.array ? readArray(reader, field) : readValue(reader, field)
}

function readArray(reader: Reader, field: PlannedField): unknown[] | null {
  const count = field.flexible ? reader.uvarint() - 1 : reader.int32()
  if (count < 0) {
    if (!field.nullable) throw new MalformedFrame(`${field.name} may not be null`)
    return null
  }
  // Every element takes a byte at least, so a count above what is left is a lie; refuse before allocating.
  if (count > reader.remaining())
    throw new MalformedFrame(`${field.name} claims ${count} elements in ${reader.remaining()} bytes`)
  const values: unknown[] = []
  const { plan } = field
  for (let index = 0; index < count; index++) values.push(plan ? readStruct(reader, plan) : readPrimitive(reader, field, false))
  return values
}

function readValue(reader: Reader, field: PlannedField): unknown {
  if (field.plan === undefined) return readPrimitive(reader, field, field.nullable)
  if (field.nullable && reader.int8() < 0) return null
  return readStruct(reader, field.plan)
}

function readPrimitive(reader: Reader, field: PlannedField, nullable: boolean): unknown {
  switch (field.primitive) {
    case 'bool':
      return reader.int8() !== 0
    case 'int8':
      return reader.int8()
    case 'int16':
      return reader.int16()
    case 'uint16':
      return reader.uint16()
    case 'int32':
      return reader.int32()
    case 'uint32':
      return reader.uint32()
    case 'int64':
      return reader.int64()
    case 'float64':
      return reader.float64()
    case 'uuid':
      return reader.uuid()
    case 'string': {
      const length = field.flexible ? reader.uvarint() - 1 : reader.int16()
      if (length < 0) return nullOf(field, nullable)
      return reader.string(length)
    }
    case 'bytes':
    case 'records': {
      const length = field.flexible ? reader.uvarint() - 1 : reader.int32()
      if (length < 0) return nullOf(field, nullable)
      return reader.bytes(length)
    }
    default:
      throw new Error(`no such type: ${field.primitive}`)
  }
}

function nullOf(field: PlannedField, nullable: boolean): null {
  if (!nullable) throw new MalformedFrame(`${field.name} may not be null`)
  return null
}

function writeStruct(writer: Writer, message: Message, plan: Plan): void {
  for (const field of plan.fields) writeField(writer, field, message[field.name])
  if (!plan.flexible) return
  if (plan.tagged.length === 0) return writer.int8(0)
  const present = plan.tagged.filter((field) => !isDefault(field, message[field.name]))
  writer.uvarint(present.length)
  for (const field of present) {
    const inner = new Writer(64)
    writeField(inner, field, message[field.name])
    writer.uvarint(field.tag)
    writer.uvarint(inner.size)
    for (const part of inner.finish()) writer.bytes(part)
  }
}

function writeField(writer: Writer, field: PlannedField, given: unknown): void {
  const value = given === undefined ? defaultOf(field) : given
  if (field.array) return writeArray(writer, field, value as unknown[] | null)
  if (field.plan === undefined) return writePrimitive(writer, field, value)
  if (field.nullable) writer.int8(value === null ? -1 : 1)
  if (value !== null) writeStruct(writer, value as Message, field.plan)
}

function writeArray(writer: Writer, field: PlannedField, values: unknown[] | null): void {
  const count = values === null ? (field.nullable ? -1 : 0) : values.length
  if (field.flexible) writer.uvarint(count + 1)
  else writer.int32(count)
  if (values === null) return
  for (const value of values) {
    if (field.plan) writeStruct(writer, value as Message, field.plan)
    else writePrimitive(writer, field, value)
  }
}

function writePrimitive(writer: Writer, field: PlannedField, value: unknown): void {
  switch (field.primitive) {
    case 'bool':
      return writer.int8(value ? 1 : 0)
    case 'int8':
      return writer.int8(value as number)
    case 'int16':
      return writer.int16(value as number)
    case 'uint16':
      return writer.uint16(value as number)
    case 'int32':
      return writer.int32(value as number)
    case 'uint32':
      return writer.uint32(value as number)
    case 'int64':
      return writer.int64(value as number)
    case 'float64':
      return writer.float64(value as number)
    case 'uuid':
      return writer.uuid(value as string)
    case 'string': {
      // A version that can not say null says the empty string, as an old broker would.
      const text = value === null && !field.nullable ? '' : (value as string | null)
      const length = text === null ? -1 : Buffer.byteLength(text)
      if (field.flexible) writer.uvarint(length + 1)
      else writer.int16(length)
      if (text !== null) writer.text(text, length)
      return
    }
    case 'bytes':
    case 'records': {
      const payload = value === null && !field.nullable ? emptyBytes : (value as Uint8Array | null)
      const length = payload === null ? -1 : payload.length
      if (field.flexible) writer.uvarint(length + 1)
      else writer.int32(length)
      if (payload !== null) writer.bytes(payload)
      return
    }
    default:
      throw new Error(`no such type: ${field.primitive}`)
  }
}

const emptyBytes = Buffer.alloc(0)
const zeroUuid = '0'.repeat(32)

function isDefault(field: PlannedField, value: unknown): boolean {
  if (value === undefined) return true
  if (field.array) return value === field.fallback || (Array.isArray(value) && value.length === 0 && field.fallback !== null)
  if (field.plan !== undefined) {
    if (value === null || field.fallback === null) return value === field.fallback
    const message = value as Message
    return (
      field.plan.fields.every((each) => isDefault(each, message[each.name])) &&
      field.plan.tagged.every((each) => isDefault(each, message[each.name]))
    )
  }
  return value === field.fallback
}

function defaultOf(field: PlannedField): unknown {
  if (field.fallback === null) return null
  if (field.array) return []
  if (field.plan !== undefined) return defaultStruct(field.plan)
  return field.fallback
}

function defaultStruct(plan: Plan): Message {
  const message: Message = {}
  for (const fields of [plan.fields, plan.tagged, plan.absent]) for (const field of fields) message[field.name] = defaultOf(field)
  return message
}

function planStruct(definitions: readonly FieldDefinition[], version: number, flexible: boolean): Plan {
  const fields: PlannedField[] = []
  const tagged: PlannedField[] = []
  const absent: PlannedField[] = []
  for (const definition of definitions) {
    const present = within(definition.versions, version)
    const isTagged = present && definition.tag >= 0 && within(definition.tagged, version)
    const field: PlannedField = {
      name: definition.name,
      array: definition.array,
      primitive: definition.primitive,
      plan: definition.fields && planStruct(definition.fields, version, flexible),
      nullable: within(definition.nullable, version),
      flexible,
      tag: definition.tag,
      fallback: fallbackOf(definition),
      present,
    }
    if (isTagged) tagged.push(field)
    else if (present) fields.push(field)
    else absent.push(field)
  }
  tagged.sort((a, b) => a.tag - b.tag)
  return { fields, tagged, absent, flexible }
}

function fallbackOf(definition: FieldDefinition): unknown {
  const { fallback, primitive } = definition
  if (fallback === 'null') return null
  if (definition.array || definition.fields) return undefined
  switch (primitive) {
    case 'bool':
      return fallback === 'true'
    case 'string':
      return fallback ?? ''
    case 'uuid':
      return zeroUuid
    case 'bytes':
    case 'records':
      return emptyBytes
    default:
      return Number(fallback ?? 0)
  }
}

const within = (range: Range, version: number): boolean => version >= range[0] && version <= range[1]

/** Recursive descent over the grammar on top of scripts/kafka-schemas.ts. */
function parseFields(text: string): FieldDefinition[] {
  let at = 0

  const until = (stops: string): string => {
    const start = at
    while (at < text.length && !stops.includes(text[at] ?? '')) at++
    return text.slice(start, at)
  }
  const skip = (sign: string): boolean => {
    if (!text.startsWith(sign, at)) return false
    at += sign.length
    return true
  }
  const fieldList = (): FieldDefinition[] => {
    const list: FieldDefinition[] = []
    while (at < text.length && text[at] !== '}') {
      list.push(field())
      skip(' ')
    }
    return list
  }
  const field = (): FieldDefinition => {
    const name = until(':')
    skip(':')
    const array = skip('[]')
    let fields: FieldDefinition[] | undefined
    let primitive = ''
    if (skip('{')) {
      fields = fieldList()
      skip('}')
    } else primitive = until('/?#=} ')
    const versions = skip('/') ? parseRange(until('?#=} ')) : always
    const nullable = skip('?') ? parseRange(until('#=} ')) : never
    const tag = skip('#') ? Number(until('@=} ')) : -1
    const tagged = skip('@') ? parseRange(until('=} ')) : versions
    const fallback = skip('=') ? until('} ') : undefined
    return { name, array, primitive, fields, versions, nullable, tag, tagged, fallback }
  }
  return fieldList()
}

function parseRange(text: string): Range {
  if (text === 'none') return never
  const from = Number.parseInt(text, 10)
  if (text.endsWith('+')) return [from, 0x7fff]
  const dash = text.indexOf('-')
  return [from, dash < 0 ? from : Number(text.slice(dash + 1))]
}
