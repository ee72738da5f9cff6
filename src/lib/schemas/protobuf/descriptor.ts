/** Tree → descriptor (google/protobuf/descriptor.proto), by which values are read and written, and in which some clients want schemas. */
import {
  type DescriptorProto,
  type EnumDescriptorProto,
  type FieldDescriptorProto,
  type FileDescriptorProto,
  type GenMessage,
  type Message,
  protobuf,
  type ServiceDescriptorProto,
  type UninterpretedOption,
} from '../../protobuf.ts'
import { InvalidSchema } from '../schema.ts'
import {
  isScalar,
  type Option,
  type ProtoEnum,
  type ProtoField,
  type ProtoFile,
  type ProtoMessage,
  type ProtoService,
} from './file.ts'
import { type Definitions, join } from './links.ts'

/** As descriptor.proto numbers them. */
const types = {
  double: 1,
  float: 2,
  int64: 3,
  uint64: 4,
  int32: 5,
  fixed64: 6,
  fixed32: 7,
  bool: 8,
  string: 9,
  group: 10,
  message: 11,
  bytes: 12,
  uint32: 13,
  enum: 14,
  sfixed32: 15,
  sfixed64: 16,
  sint32: 17,
  sint64: 18,
} as const

export { types as typeNumbers }

export const labelNumbers = { optional: 1, required: 2, repeated: 3 } as const

export function describe(file: ProtoFile, name: string, definitions: Definitions): FileDescriptorProto {
  return new Describing(file, definitions).file(name)
}

class Describing {
  readonly #file: ProtoFile
  readonly #definitions: Definitions

  constructor(file: ProtoFile, definitions: Definitions) {
    this.#file = file
    this.#definitions = definitions
  }

  file(name: string): FileDescriptorProto {
    const file = this.#file
    const places = (kind: 'public' | 'weak'): number[] =>
      file.imports.flatMap((each, index) => (each.kind === kind ? [index] : []))
    return protobuf().create(protobuf().FileDescriptorProtoSchema, {
      name,
      package: file.package,
      dependency: file.imports.map(({ path }) => path),
      publicDependency: places('public'),
      weakDependency: places('weak'),
      messageType: file.messages.map((each) => this.#message(each, file.package)),
      enumType: file.enums.map(describeEnum),
      service: file.services.map((each) => this.#service(each)),
      extension: file.extends.flatMap((each) => this.#extensions(each, file.package)),
      ...optionsOf(protobuf().FileOptionsSchema, file.options),
      // The older syntax is not named.
      syntax: file.syntax === 'proto2' ? '' : file.syntax,
    })
  }

  #message(message: ProtoMessage, within: string): DescriptorProto {
    const scope = join(within, message.name)
    const oneofs = message.oneofs.map(({ name, options }) => ({ name, ...optionsOf(protobuf().OneofOptionsSchema, options) }))
    const field = message.fields.map((each) => {
      const described = this.#field(each, scope)
      if (each.oneof !== null) described.oneofIndex = message.oneofs.findIndex(({ name }) => name === each.oneof)
      else if (each.label === 'optional' && this.#file.syntax === 'proto3') {
        // What is set is told apart by a oneof of one field (docs/implementing_proto3_presence.md of Protocol Buffers).
        described.proto3Optional = true
        described.oneofIndex = oneofs.push({ name: `_${each.name}` }) - 1
      }
      return described
    })
    const entries = message.fields.filter(({ mapKey }) => mapKey !== null).map((each) => this.#mapEntry(each, scope))
    return protobuf().create(protobuf().DescriptorProtoSchema, {
      name: message.name,
      field,
      nestedType: [...message.messages.map((each) => this.#message(each, scope)), ...entries],
      enumType: message.enums.map(describeEnum),
      extension: message.extends.flatMap((each) => this.#extensions(each, scope)),
      oneofDecl: oneofs,
      // A range of a message ends before `end`.
      reservedRange: message.reserved
        .flatMap((each) => ranges(each, 536_870_911))
        .map(({ start, last }) => ({ start, end: last + 1 })),
      reservedName: message.reserved.flatMap(names),
      extensionRange: message.extensions
        .flatMap((each) => ranges(each, 536_870_911))
        .map(({ start, last }) => ({ start, end: last + 1 })),
      ...optionsOf(protobuf().MessageOptionsSchema, message.options),
    })
  }

  #field(field: ProtoField, scope: string): FieldDescriptorProto {
    const plain = field.options.filter(({ name }) => name !== 'default' && name !== 'json_name')
    const written = (name: string): string | undefined => {
      const value = field.options.find((each) => each.name === name)?.value
      return value === undefined ? undefined : String(literal(value))
    }
    const repeated = field.mapKey !== null || field.label === 'repeated'
    const described = protobuf().create(protobuf().FieldDescriptorProtoSchema, {
      name: field.name,
      number: field.number,
      label: repeated ? labelNumbers.repeated : labelNumbers[field.label ?? 'optional'],
      jsonName: written('json_name') ?? jsonName(field.name),
      ...(written('default') === undefined ? {} : { defaultValue: written('default') as string }), // checked in this line
      ...optionsOf(protobuf().FieldOptionsSchema, plain),
    })
    if (field.mapKey !== null) {
      described.type = types.message
      described.typeName = `.${scope}.${entryName(field.name)}`
    } else this.#setType(described, field.type, scope)
    return described
  }

  #setType(described: FieldDescriptorProto, type: string, scope: string): void {
    const number = isScalar(type) ? types[type] : undefined
    if (number !== undefined) {
      described.type = number
      return
    }
    const definition = this.#definitions.resolve(type, scope)
    described.type = definition.message === null ? types.enum : types.message
    described.typeName = `.${definition.name}`
  }

  #mapEntry(field: ProtoField, scope: string): DescriptorProto {
    const key = protobuf().create(protobuf().FieldDescriptorProtoSchema, {
      name: 'key',
      number: 1,
      label: labelNumbers.optional,
      jsonName: 'key',
    })
    const value = protobuf().create(protobuf().FieldDescriptorProtoSchema, {
      name: 'value',
      number: 2,
      label: labelNumbers.optional,
      jsonName: 'value',
    })
    this.#setType(key, field.mapKey ?? '', scope)
    this.#setType(value, field.type, scope)
    return protobuf().create(protobuf().DescriptorProtoSchema, {
      name: entryName(field.name),
      field: [key, value],
      options: { mapEntry: true },
    })
  }

  #extensions({ type, fields }: { type: string; fields: readonly ProtoField[] }, scope: string): FieldDescriptorProto[] {
    const extendee = `.${this.#definitions.resolve(type, scope).name}`
    return fields.map((field) => Object.assign(this.#field(field, scope), { extendee }))
  }

  #service({ name, methods, options }: ProtoService): ServiceDescriptorProto {
    const type = (written: string): string => `.${this.#definitions.resolve(written, this.#file.package).name}`
    return protobuf().create(protobuf().ServiceDescriptorProtoSchema, {
      name,
      method: methods.map((method) => ({
        name: method.name,
        inputType: type(method.input),
        outputType: type(method.output),
        clientStreaming: method.clientStreams,
        serverStreaming: method.serverStreams,
        ...optionsOf(protobuf().MethodOptionsSchema, method.options),
      })),
      ...optionsOf(protobuf().ServiceOptionsSchema, options),
    })
  }
}

function describeEnum({ name, values, options, reserved }: ProtoEnum): EnumDescriptorProto {
  return protobuf().create(protobuf().EnumDescriptorProtoSchema, {
    name,
    value: values.map((value) => ({
      name: value.name,
      number: value.number,
      ...optionsOf(protobuf().EnumValueOptionsSchema, value.options),
    })),
    reservedRange: reserved.flatMap((each) => ranges(each, 0x7fffffff)).map(({ start, last }) => ({ start, end: last })),
    reservedName: reserved.flatMap(names),
    ...optionsOf(protobuf().EnumOptionsSchema, options),
  })
}

/** `options` of a descriptor, where there are any. Those with a name in parentheses stay as they are written. */
function optionsOf<Options extends Message>(schema: GenMessage<Options>, options: readonly Option[]): { options?: Options } {
  if (options.length === 0) return {}
  const [own, custom] = [options.filter(({ name }) => !/[(.]/.test(name)), options.filter(({ name }) => /[(.]/.test(name))]
  let made: Options
  try {
    made = protobuf().fromJson(schema, Object.fromEntries(own.map(({ name, value }) => [name, literal(value)])))
  } catch (cause) {
    throw new InvalidSchema(`options: ${cause instanceof Error ? cause.message : String(cause)}`)
  }
  // Each kind of options has this list.
  ;(made as unknown as { uninterpretedOption: UninterpretedOption[] }).uninterpretedOption = custom.map(uninterpreted)
  return { options: made }
}

function uninterpreted({ name, value }: Option): UninterpretedOption {
  const parts = [...name.matchAll(/\(([^)]*)\)|([^.()]+)/g)]
  const said = literal(value)
  return protobuf().create(protobuf().UninterpretedOptionSchema, {
    name: parts.map(([, extension, plain]) => ({ namePart: extension ?? plain ?? '', isExtension: extension !== undefined })),
    ...(/^["']/.test(value)
      ? { stringValue: Buffer.from(String(said)) }
      : value.startsWith('{')
        ? { aggregateValue: value.slice(1, -1).trim() }
        : typeof said === 'number'
          ? Number.isInteger(said) && said >= 0
            ? { positiveIntValue: BigInt(said) }
            : Number.isInteger(said)
              ? { negativeIntValue: BigInt(said) }
              : { doubleValue: said }
          : { identifierValue: value }),
  })
}

/** What is written as an option's value. */
function literal(value: string): string | number | boolean {
  if (value === 'true' || value === 'false') return value === 'true'
  if (/^["']/.test(value)) return unquoted(value)
  return /^-?[\d.]/.test(value) && Number.isFinite(Number(value)) ? Number(value) : value
}

const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', a: '\x07', b: '\b', f: '\f', v: '\v' }

/** One string of perhaps several that stand side by side. */
function unquoted(text: string): string {
  return [...text.matchAll(/"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'/g)]
    .map(([, double, single]) =>
      (double ?? single ?? '').replace(/\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|.)/g, (_, code: string) => unescaped(code)),
    )
    .join('')
}

function unescaped(code: string): string {
  if (/^x/.test(code)) return String.fromCharCode(Number.parseInt(code.slice(1), 16))
  if (/^[0-7]/.test(code)) return String.fromCharCode(Number.parseInt(code, 8))
  return escapes[code] ?? code
}

function ranges(written: string, max: number): { start: number; last: number }[] {
  return written
    .replace(/\[[\s\S]*$/, '') // options of extension ranges
    .split(',')
    .map((each) => /^\s*(-?\d+)(?:\s+to\s+(-?\d+|max))?\s*$/.exec(each))
    .flatMap((found) => {
      if (found === null) return []
      const start = Number(found[1])
      return [{ start, last: found[2] === 'max' ? max : Number(found[2] ?? start) }]
    })
}

const names = (written: string): string[] => [...written.matchAll(/["'](\w+)["']/g)].map(([, name]) => name ?? '')

/** field_name → fieldName, as protoc makes it. */
export const jsonName = (name: string): string =>
  name.replace(/_+([a-zA-Z0-9])/g, (_, letter: string) => letter.toUpperCase()).replace(/_+$/, '')

/** field_name → FieldNameEntry. */
const entryName = (name: string): string => `${capital(jsonName(name))}Entry`
const capital = (name: string): string => name.slice(0, 1).toUpperCase() + name.slice(1)
