/** Descriptor → tree. Custom options come out where the descriptor holds them uninterpreted; those that a compiler has encoded are left out. */
import {
  type DescriptorProto,
  type EnumDescriptorProto,
  type FieldDescriptorProto,
  type FileDescriptorProto,
  type GenMessage,
  type Message,
  protobuf,
} from '../../protobuf.ts'
import { InvalidSchema } from '../schema.ts'
import { jsonName, labelNumbers, typeNumbers } from './descriptor.ts'
import {
  type Option,
  type ProtoEnum,
  type ProtoExtend,
  type ProtoField,
  type ProtoFile,
  type ProtoMessage,
  scalars,
} from './file.ts'

type Syntax = ProtoFile['syntax']

export function fileOf(descriptor: FileDescriptorProto): ProtoFile {
  const syntax = descriptor.syntax === '' ? 'proto2' : descriptor.syntax
  if (syntax !== 'proto2' && syntax !== 'proto3') throw new InvalidSchema(`the syntax ${syntax} is not known`)
  const kindOf = (index: number): 'public' | 'weak' | null =>
    descriptor.publicDependency.includes(index) ? 'public' : descriptor.weakDependency.includes(index) ? 'weak' : null
  return {
    syntax,
    package: descriptor.package,
    imports: descriptor.dependency.map((path, index) => ({ path, kind: kindOf(index) })),
    options: optionsOf(protobuf().FileOptionsSchema, descriptor.options),
    messages: descriptor.messageType.map((each) => messageOf(each, syntax)),
    enums: descriptor.enumType.map(enumOf),
    extends: extendsOf(descriptor.extension, syntax),
    services: descriptor.service.map(({ name, method, options }) => ({
      name,
      options: optionsOf(protobuf().ServiceOptionsSchema, options),
      methods: method.map((each) => ({
        name: each.name,
        input: each.inputType,
        clientStreams: each.clientStreaming,
        output: each.outputType,
        serverStreams: each.serverStreaming,
        options: optionsOf(protobuf().MethodOptionsSchema, each.options),
      })),
    })),
  }
}

function messageOf(message: DescriptorProto, syntax: Syntax): ProtoMessage {
  const isEntry = (each: DescriptorProto): boolean => each.options?.mapEntry === true
  const synthetic = new Set(message.field.filter(({ proto3Optional }) => proto3Optional).map(({ oneofIndex }) => oneofIndex))
  return {
    name: message.name,
    fields: message.field.map((each) => {
      const entry = message.nestedType.find(
        (nested) => isEntry(nested) && each.typeName.endsWith(`${message.name}.${nested.name}`),
      )
      return fieldOf(each, syntax, message, entry)
    }),
    oneofs: message.oneofDecl
      .filter((_, index) => !synthetic.has(index))
      .map(({ name, options }) => ({ name, options: optionsOf(protobuf().OneofOptionsSchema, options) })),
    messages: message.nestedType.filter((each) => !isEntry(each)).map((each) => messageOf(each, syntax)),
    enums: message.enumType.map(enumOf),
    extends: extendsOf(message.extension, syntax),
    options: optionsOf(protobuf().MessageOptionsSchema, message.options),
    reserved: [
      ...message.reservedRange.map(({ start, end }) => range(start, end - 1, 536_870_911)),
      ...message.reservedName.map(quoted),
    ],
    extensions: message.extensionRange.map(({ start, end }) => range(start, end - 1, 536_870_911)),
  }
}

function fieldOf(
  field: FieldDescriptorProto,
  syntax: Syntax,
  message: DescriptorProto | null,
  entry?: DescriptorProto,
): ProtoField {
  const options = optionsOf(protobuf().FieldOptionsSchema, field.options)
  if (field.jsonName !== '' && field.jsonName !== jsonName(field.name))
    options.push({ name: 'json_name', value: quoted(field.jsonName) })
  if (isFieldSetByName(field, 'defaultValue')) {
    const isText = field.type === typeNumbers.string || field.type === typeNumbers.bytes
    options.unshift({ name: 'default', value: isText ? quoted(field.defaultValue) : field.defaultValue })
  }
  const inOneof = isFieldSetByName(field, 'oneofIndex') && !field.proto3Optional
  const oneof = inOneof ? (message?.oneofDecl[field.oneofIndex]?.name ?? null) : null
  const { name, number } = field
  if (entry !== undefined) {
    const [key, value] = entry.field
    if (key === undefined || value === undefined) throw new InvalidSchema(`the map ${name} has no key or value`)
    return { name, number, label: null, type: typeOf(value), mapKey: typeOf(key), oneof: null, options }
  }
  return { name, number, label: labelOf(field, syntax, oneof), type: typeOf(field), mapKey: null, oneof, options }
}

function labelOf(field: FieldDescriptorProto, syntax: Syntax, oneof: string | null): ProtoField['label'] {
  if (oneof !== null) return null
  const label = (['optional', 'required', 'repeated'] as const).find((each) => labelNumbers[each] === field.label) ?? null
  return label === 'optional' && syntax === 'proto3' && !field.proto3Optional ? null : label
}

function typeOf(field: FieldDescriptorProto): string {
  if (field.typeName !== '') {
    if (field.type === typeNumbers.group) throw new InvalidSchema('groups are not supported')
    return field.typeName
  }
  const type = scalars.find((each) => typeNumbers[each] === field.type)
  if (type === undefined) throw new InvalidSchema(`the field ${field.name} is of no known type`)
  return type
}

function enumOf({ name, value, options, reservedRange, reservedName }: EnumDescriptorProto): ProtoEnum {
  return {
    name,
    values: value.map((each) => ({
      name: each.name,
      number: each.number,
      options: optionsOf(protobuf().EnumValueOptionsSchema, each.options),
    })),
    options: optionsOf(protobuf().EnumOptionsSchema, options),
    reserved: [...reservedRange.map(({ start, end }) => range(start, end, 0x7fffffff)), ...reservedName.map(quoted)],
  }
}

function extendsOf(extensions: readonly FieldDescriptorProto[], syntax: Syntax): ProtoExtend[] {
  const byType = new Map<string, ProtoField[]>()
  for (const each of extensions) byType.set(each.extendee, [...(byType.get(each.extendee) ?? []), fieldOf(each, syntax, null)])
  return [...byType].map(([type, fields]) => ({ type, fields }))
}

function optionsOf<Options extends Message>(schema: GenMessage<Options>, options: Options | undefined): Option[] {
  if (options === undefined) return []
  const found: Option[] = []
  for (const field of schema.fields) {
    if (!protobuf().isFieldSet(options, field) || field.name === 'uninterpreted_option' || field.name === 'map_entry') continue
    const value = (options as unknown as Record<string, unknown>)[field.localName]
    if (field.fieldKind === 'enum')
      found.push({ name: field.name, value: field.enum.value[Number(value)]?.name ?? String(value) })
    else if (field.fieldKind === 'scalar')
      found.push({ name: field.name, value: typeof value === 'string' ? quoted(value) : String(value) })
  }
  return found
}

const isFieldSetByName = (field: FieldDescriptorProto, name: 'defaultValue' | 'oneofIndex'): boolean => {
  const described = protobuf().FieldDescriptorProtoSchema.fields.find((each) => each.localName === name)
  return described !== undefined && protobuf().isFieldSet(field, described)
}

const range = (start: number, last: number, max: number): string =>
  start === last ? String(start) : `${start} to ${last >= max ? 'max' : last}`
const quoted = (text: string): string => JSON.stringify(text)
