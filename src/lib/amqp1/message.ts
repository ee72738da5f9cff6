// A message of AMQP 1.0 (part 3.2): its sections ⇄ bytes. Fields and entries keep their wire types; what a section means is for its reader to say.
import type { Buffer } from 'node:buffer'
import { MalformedValue, type Pair, type Value, ValueReader, ValueWriter } from './value.ts'

/** Body of a message: any number of data sections, or of sequences, or one value. */
export type Body =
  | { readonly kind: 'data'; readonly sections: readonly Buffer[] }
  | { readonly kind: 'sequence'; readonly sections: readonly (readonly Value[])[] }
  | { readonly kind: 'value'; readonly value: Value }

export interface Message {
  header?: HeaderFields
  deliveryAnnotations?: readonly Pair[]
  messageAnnotations?: readonly Pair[]
  properties?: PropertyFields
  applicationProperties?: readonly Pair[]
  body: Body
  footer?: readonly Pair[]
}

/** 3.2.1, in order; null and absent are the same. */
const headerFields = ['durable', 'priority', 'ttl', 'firstAcquirer', 'deliveryCount'] as const
/** 3.2.4, in order. */
const propertyFields = [
  'messageId',
  'userId',
  'to',
  'subject',
  'replyTo',
  'correlationId',
  'contentType',
  'contentEncoding',
  'absoluteExpiryTime',
  'creationTime',
  'groupId',
  'groupSequence',
  'replyToGroupId',
] as const
export type HeaderFields = Partial<Record<(typeof headerFields)[number], Value>>
export type PropertyFields = Partial<Record<(typeof propertyFields)[number], Value>>

const Section = {
  Header: 0x70,
  DeliveryAnnotations: 0x71,
  MessageAnnotations: 0x72,
  Properties: 0x73,
  ApplicationProperties: 0x74,
  Data: 0x75,
  Sequence: 0x76,
  Value: 0x77,
  Footer: 0x78,
} as const

/** The descriptors' other, symbolic form. */
const symbols: ReadonlyMap<string, number> = new Map([
  ['amqp:header:list', Section.Header],
  ['amqp:delivery-annotations:map', Section.DeliveryAnnotations],
  ['amqp:message-annotations:map', Section.MessageAnnotations],
  ['amqp:properties:list', Section.Properties],
  ['amqp:application-properties:map', Section.ApplicationProperties],
  ['amqp:data:binary', Section.Data],
  ['amqp:amqp-sequence:list', Section.Sequence],
  ['amqp:amqp-value:*', Section.Value],
  ['amqp:footer:map', Section.Footer],
])

/** Throws {@link MalformedValue} for bytes that are no message, such as none at all. Data is a view. */
export function decodeMessage(buffer: Buffer, start = 0, end = buffer.length): Message {
  const reader = new ValueReader(buffer, start, end)
  const message: Omit<Message, 'body'> = {}
  const data: Buffer[] = []
  const sequences: (readonly Value[])[] = []
  let single: Value | undefined
  let last = 0
  while (!reader.done) {
    const section = reader.read()
    const code = section.type === 'described' ? sectionOf(section.descriptor) : undefined
    if (section.type !== 'described' || code === undefined) throw new MalformedValue('a message is made of described sections')
    // Sections stand in the order of their codes; only data and sequences may repeat.
    const repeats = code === last && (code === Section.Data || code === Section.Sequence)
    if (code <= last && !repeats) throw new MalformedValue(`section 0x${code.toString(16)} is out of order`)
    last = code
    const { value } = section
    switch (code) {
      case Section.Header:
        message.header = fieldsOf(headerFields, value)
        break
      case Section.DeliveryAnnotations:
        message.deliveryAnnotations = mapOf(value)
        break
      case Section.MessageAnnotations:
        message.messageAnnotations = mapOf(value)
        break
      case Section.Properties:
        message.properties = fieldsOf(propertyFields, value)
        break
      case Section.ApplicationProperties:
        message.applicationProperties = mapOf(value)
        break
      case Section.Data:
        if (value.type !== 'binary') throw new MalformedValue(`data is a ${value.type}`)
        data.push(value.value)
        break
      case Section.Sequence:
        if (value.type !== 'list') throw new MalformedValue(`a sequence is a ${value.type}`)
        sequences.push(value.value)
        break
      case Section.Value:
        single = value
        break
      case Section.Footer:
        message.footer = mapOf(value)
        break
    }
  }
  const kinds = (0 < data.length ? 1 : 0) + (0 < sequences.length ? 1 : 0) + (single === undefined ? 0 : 1)
  if (kinds !== 1) throw new MalformedValue(kinds === 0 ? 'a message without a body' : 'a body of several kinds')
  if (single !== undefined) return { ...message, body: { kind: 'value', value: single } }
  if (0 < sequences.length) return { ...message, body: { kind: 'sequence', sections: sequences } }
  return { ...message, body: { kind: 'data', sections: data } }
}

function sectionOf(descriptor: Value): number | undefined {
  if (descriptor.type === 'ulong' && BigInt(Section.Header) <= descriptor.value && descriptor.value <= BigInt(Section.Footer))
    return Number(descriptor.value)
  return descriptor.type === 'symbol' ? symbols.get(descriptor.value) : undefined
}

function fieldsOf<Name extends string>(names: readonly Name[], value: Value): Partial<Record<Name, Value>> {
  if (value.type !== 'list') throw new MalformedValue(`a list of fields is a ${value.type}`)
  if (names.length < value.value.length) throw new MalformedValue(`${value.value.length} fields where ${names.length} are known`)
  const fields: Partial<Record<Name, Value>> = {}
  for (const [index, each] of value.value.entries()) {
    if (each.type !== 'null') fields[names[index] as Name] = each // no more values than names
  }
  return fields
}

function mapOf(value: Value): readonly Pair[] {
  if (value.type === 'null') return []
  if (value.type !== 'map') throw new MalformedValue(`a map is a ${value.type}`)
  return value.value
}

export function encodeMessage(message: Message): Buffer {
  const { body } = message
  const bytes = body.kind === 'data' ? body.sections.reduce((sum, section) => sum + section.length + 8, 256) : 512
  const writer = new ValueWriter(bytes)
  writeFields(writer, Section.Header, headerFields, message.header)
  writeMap(writer, Section.DeliveryAnnotations, message.deliveryAnnotations)
  writeMap(writer, Section.MessageAnnotations, message.messageAnnotations)
  writeFields(writer, Section.Properties, propertyFields, message.properties)
  writeMap(writer, Section.ApplicationProperties, message.applicationProperties)
  writeBody(writer, body)
  writeMap(writer, Section.Footer, message.footer)
  return writer.finish()
}

function writeBody(writer: ValueWriter, body: Body): void {
  switch (body.kind) {
    case 'data':
      for (const section of body.sections) {
        writer.descriptor(Section.Data)
        writer.write({ type: 'binary', value: section })
      }
      return
    case 'sequence':
      for (const section of body.sections) {
        writer.descriptor(Section.Sequence)
        writer.write({ type: 'list', value: section })
      }
      return
    case 'value':
      writer.descriptor(Section.Value)
      writer.write(body.value)
  }
}

function writeFields<Name extends string>(
  writer: ValueWriter,
  code: number,
  names: readonly Name[],
  fields: Partial<Record<Name, Value>> | undefined,
): void {
  if (fields === undefined) return
  const values: Value[] = names.map((name) => fields[name] ?? { type: 'null', value: null })
  while (values.at(-1)?.type === 'null') values.pop()
  writer.descriptor(code)
  writer.write({ type: 'list', value: values })
}

function writeMap(writer: ValueWriter, code: number, pairs: readonly Pair[] | undefined): void {
  if (pairs === undefined) return
  writer.descriptor(code)
  writer.write({ type: 'map', value: pairs })
}
