/** Protocol Buffers files, as text or as a base64 descriptor. Binary is the encoding; JSON is Protocol Buffers' own mapping. */
import {
  create,
  createFileRegistry,
  type DescFile,
  type DescMessage,
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  type FileRegistry,
  file_google_protobuf_any,
  file_google_protobuf_api,
  file_google_protobuf_descriptor,
  file_google_protobuf_duration,
  file_google_protobuf_empty,
  file_google_protobuf_field_mask,
  file_google_protobuf_source_context,
  file_google_protobuf_struct,
  file_google_protobuf_timestamp,
  file_google_protobuf_type,
  file_google_protobuf_wrappers,
  fromBinary,
  fromJson,
  toBinary,
  toJson,
} from '../../protobuf.ts'
import { allReferences, type Incompatibility, InvalidSchema, type ReferredSchema, type Schema, Unfit } from '../schema.ts'
import { unreadableProto } from './compatibility.ts'
import { describe } from './descriptor.ts'
import type { ProtoFile } from './file.ts'
import { fileOf } from './from-descriptor.ts'
import { Definitions, join } from './links.ts'
import { parseProto } from './parse.ts'
import { printProto } from './print.ts'

/** What every compiler brings along. */
const wellKnown = new Map<string, DescFile>(
  [
    file_google_protobuf_any,
    file_google_protobuf_api,
    file_google_protobuf_descriptor,
    file_google_protobuf_duration,
    file_google_protobuf_empty,
    file_google_protobuf_field_mask,
    file_google_protobuf_source_context,
    file_google_protobuf_struct,
    file_google_protobuf_timestamp,
    file_google_protobuf_type,
    file_google_protobuf_wrappers,
  ].map((file) => [`${file.name}.proto`, file]),
)

const ownName = 'schema.proto'

export class ProtobufSchema implements Schema {
  readonly language = 'PROTOBUF'
  readonly text: string
  readonly normalized: string
  readonly recordName: string | null
  readonly references: readonly ReferredSchema[]
  readonly file: ProtoFile
  readonly #definitions = new Definitions()
  readonly #descriptor: FileDescriptorProto
  readonly #registry: FileRegistry

  constructor(text: string, references: readonly ReferredSchema[]) {
    this.file = isDescriptor(text) ? fromDescriptor(text) : parseProto(text)
    this.references = references
    const byName = new Map<string, ProtobufSchema>()
    for (const [name, schema] of allReferences(references)) {
      if (!(schema instanceof ProtobufSchema))
        throw new InvalidSchema(`a schema in Protobuf cannot refer to one in ${schema.language}`)
      byName.set(name, schema)
    }
    this.#define(this.file, byName, new Set())
    this.text = printProto(this.file, false)
    this.normalized = printProto(this.file, true)
    try {
      this.#descriptor = describe(this.file, ownName, this.#definitions)
      this.#registry = createFileRegistry(create(FileDescriptorProtoSchema, this.#descriptor), (name) =>
        this.#imported(name, byName),
      )
    } catch (cause) {
      throw new InvalidSchema(cause instanceof Error ? cause.message : String(cause))
    }
    const [first] = this.file.messages
    this.recordName = first === undefined ? null : join(this.file.package, first.name)
  }

  /** As a base64 descriptor. */
  serialized(name: string): string {
    return Buffer.from(
      toBinary(FileDescriptorProtoSchema, create(FileDescriptorProtoSchema, { ...this.#descriptor, name })),
    ).toString('base64')
  }

  unreadable(writer: Schema): Incompatibility[] {
    if (!(writer instanceof ProtobufSchema))
      return [{ type: 'SCHEMA_TYPE_MISMATCH', path: '/', description: `it was written in ${writer.language}` }]
    return unreadableProto(
      { file: this.file, definitions: this.#definitions },
      { file: writer.file, definitions: writer.#definitions },
    )
  }

  decode(bytes: Buffer, path: readonly number[] = [0]): unknown {
    const message = this.#message(path)
    try {
      return toJson(message, fromBinary(message, bytes), { registry: this.#registry, useProtoFieldName: true })
    } catch (cause) {
      throw new Unfit(cause instanceof Error ? cause.message : String(cause))
    }
  }

  encode(value: unknown, path: readonly number[] = [0]): Buffer {
    const message = this.#message(path)
    try {
      // What is no JSON is refused by its own checks.
      return Buffer.from(
        toBinary(message, fromJson(message, value as Parameters<typeof fromJson>[1], { registry: this.#registry })),
      )
    } catch (cause) {
      throw new Unfit(cause instanceof Error ? cause.message : String(cause))
    }
  }

  /** The full name of the message at a place; null when there is none. */
  messageName(path: readonly number[]): string | null {
    let messages = this.file.messages
    let name = this.file.package
    for (const index of path) {
      const found = messages[index]
      if (found === undefined) return null
      name = join(name, found.name)
      messages = found.messages
    }
    return path.length === 0 ? null : name
  }

  #message(path: readonly number[]): DescMessage {
    const message = this.#registry.getMessage(this.messageName(path) ?? '')
    if (message === undefined) throw new Unfit(`the schema has no message at ${path.join('/')}`)
    return message
  }

  /** All names that this file can use: its own, and those of what it imports. */
  #define(file: ProtoFile, byName: ReadonlyMap<string, ProtobufSchema>, met: Set<string>): void {
    this.#definitions.add(file)
    for (const { path } of file.imports) {
      if (met.has(path)) continue
      met.add(path)
      const known = wellKnown.get(path)
      const imported = byName.get(path)
      if (imported !== undefined) this.#define(imported.file, byName, met)
      else if (known !== undefined) this.#define(fileOf(known.proto), byName, met)
      else throw new InvalidSchema(`the import "${path}" is not among its references`)
    }
  }

  #imported(name: string, byName: ReadonlyMap<string, ProtobufSchema>): FileDescriptorProto | DescFile | undefined {
    const imported = byName.get(name)
    return imported === undefined ? wellKnown.get(name) : create(FileDescriptorProtoSchema, { ...imported.#descriptor, name })
  }
}

/** Base64 and nothing else; no .proto file is without white space. */
const isDescriptor = (text: string): boolean => /^[A-Za-z0-9+/]+={0,2}$/.test(text.trim())

function fromDescriptor(text: string): ProtoFile {
  let descriptor: FileDescriptorProto
  try {
    descriptor = fromBinary(FileDescriptorProtoSchema, Buffer.from(text, 'base64'))
  } catch (cause) {
    throw new InvalidSchema(`it is no descriptor: ${cause instanceof Error ? cause.message : String(cause)}`)
  }
  return fileOf(descriptor)
}
