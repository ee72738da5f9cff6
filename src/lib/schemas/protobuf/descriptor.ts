/** Tree → descriptor (google/protobuf/descriptor.proto), by which values are read and written, and in which some clients want schemas. */
import {
  create,
  type DescriptorProto,
  DescriptorProtoSchema,
  type EnumDescriptorProto,
  EnumDescriptorProtoSchema,
  EnumOptionsSchema,
  EnumValueOptionsSchema,
  type FieldDescriptorProto,
  FieldDescriptorProtoSchema,
  FieldOptionsSchema,
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileOptionsSchema,
  fromJson,
  type GenMessage,
  FieldDescriptorProto_Label as Label,
  type Message,
  MessageOptionsSchema,
  MethodOptionsSchema,
  OneofOptionsSchema,
  type ServiceDescriptorProto,
  ServiceDescriptorProtoSchema,
  ServiceOptionsSchema,
  FieldDescriptorProto_Type as Type,
  type UninterpretedOption,
  UninterpretedOptionSchema,
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

export const typeNumbers: Readonly<Record<string, Type>> = {
  double: Type.DOUBLE,
  float: Type.FLOAT,
  int64: Type.INT64,
  uint64: Type.UINT64,
  int32: Type.INT32,
  fixed64: Type.FIXED64,
  fixed32: Type.FIXED32,
  bool: Type.BOOL,
  string: Type.STRING,
  bytes: Type.BYTES,
  uint32: Type.UINT32,
  sfixed32: Type.SFIXED32,
  sfixed64: Type.SFIXED64,
  sint32: Type.SINT32,
  sint64: Type.SINT64,
}

export const labelNumbers = { optional: Label.OPTIONAL, required: Label.REQUIRED, repeated: Label.REPEATED } as const

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
    return create(FileDescriptorProtoSchema, {
      name,
      package: file.package,
      dependency: file.imports.map(({ path }) => path),
      publicDependency: places('public'),
      weakDependency: places('weak'),
      messageType: file.messages.map((each) => this.#message(each, file.package)),
      enumType: file.enums.map(describeEnum),
      service: file.services.map((each) => this.#service(each)),
      extension: file.extends.flatMap((each) => this.#extensions(each, file.package)),
      ...optionsOf(FileOptionsSchema, file.options),
      // The older syntax is not named.
      syntax: file.syntax === 'proto2' ? '' : file.syntax,
    })
  }

  #message(message: ProtoMessage, within: string): DescriptorProto {
    const scope = join(within, message.name)
    const oneofs = message.oneofs.map(({ name, options }) => ({ name, ...optionsOf(OneofOptionsSchema, options) }))
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
    return create(DescriptorProtoSchema, {
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
      ...optionsOf(MessageOptionsSchema, message.options),
    })
  }

  #field(field: ProtoField, scope: string): FieldDescriptorProto {
    const plain = field.options.filter(({ name }) => name !== 'default' && name !== 'json_name')
    const written = (name: string): string | undefined => {
      const value = field.options.find((each) => each.name === name)?.value
      return value === undefined ? undefined : String(literal(value))
    }
    const repeated = field.mapKey !== null || field.label === 'repeated'
    const described = create(FieldDescriptorProtoSchema, {
      name: field.name,
      number: field.number,
      label: repeated ? Label.REPEATED : labelNumbers[field.label ?? 'optional'],
      jsonName: written('json_name') ?? jsonName(field.name),
      ...(written('default') === undefined ? {} : { defaultValue: written('default') as string }), // checked in this line
      ...optionsOf(FieldOptionsSchema, plain),
    })
    if (field.mapKey !== null) {
      described.type = Type.MESSAGE
      described.typeName = `.${scope}.${entryName(field.name)}`
    } else this.#setType(described, field.type, scope)
    return described
  }

  #setType(described: FieldDescriptorProto, type: string, scope: string): void {
    const number = isScalar(type) ? typeNumbers[type] : undefined
    if (number !== undefined) {
      described.type = number
      return
    }
    const definition = this.#definitions.resolve(type, scope)
    described.type = definition.message === null ? Type.ENUM : Type.MESSAGE
    described.typeName = `.${definition.name}`
  }

  #mapEntry(field: ProtoField, scope: string): DescriptorProto {
    const key = create(FieldDescriptorProtoSchema, { name: 'key', number: 1, label: Label.OPTIONAL, jsonName: 'key' })
    const value = create(FieldDescriptorProtoSchema, { name: 'value', number: 2, label: Label.OPTIONAL, jsonName: 'value' })
    this.#setType(key, field.mapKey ?? '', scope)
    this.#setType(value, field.type, scope)
    return create(DescriptorProtoSchema, { name: entryName(field.name), field: [key, value], options: { mapEntry: true } })
  }

  #extensions({ type, fields }: { type: string; fields: readonly ProtoField[] }, scope: string): FieldDescriptorProto[] {
    const extendee = `.${this.#definitions.resolve(type, scope).name}`
    return fields.map((field) => Object.assign(this.#field(field, scope), { extendee }))
  }

  #service({ name, methods, options }: ProtoService): ServiceDescriptorProto {
    const type = (written: string): string => `.${this.#definitions.resolve(written, this.#file.package).name}`
    return create(ServiceDescriptorProtoSchema, {
      name,
      method: methods.map((method) => ({
        name: method.name,
        inputType: type(method.input),
        outputType: type(method.output),
        clientStreaming: method.clientStreams,
        serverStreaming: method.serverStreams,
        ...optionsOf(MethodOptionsSchema, method.options),
      })),
      ...optionsOf(ServiceOptionsSchema, options),
    })
  }
}

function describeEnum({ name, values, options, reserved }: ProtoEnum): EnumDescriptorProto {
  return create(EnumDescriptorProtoSchema, {
    name,
    value: values.map((value) => ({
      name: value.name,
      number: value.number,
      ...optionsOf(EnumValueOptionsSchema, value.options),
    })),
    reservedRange: reserved.flatMap((each) => ranges(each, 0x7fffffff)).map(({ start, last }) => ({ start, end: last })),
    reservedName: reserved.flatMap(names),
    ...optionsOf(EnumOptionsSchema, options),
  })
}

/** `options` of a descriptor, where there are any. Those with a name in parentheses stay as they are written. */
function optionsOf<Options extends Message>(schema: GenMessage<Options>, options: readonly Option[]): { options?: Options } {
  if (options.length === 0) return {}
  const [own, custom] = [options.filter(({ name }) => !/[(.]/.test(name)), options.filter(({ name }) => /[(.]/.test(name))]
  let made: Options
  try {
    made = fromJson(schema, Object.fromEntries(own.map(({ name, value }) => [name, literal(value)])))
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
  return create(UninterpretedOptionSchema, {
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
