/** Protocol Buffers files, as text or as a base64 descriptor. Binary is the encoding; JSON is Protocol Buffers' own mapping. */
import {
  type DescFile,
  type DescMessage,
  type FileDescriptorProto,
  type FileRegistry,
  type JsonValue,
  protobuf,
} from '../../protobuf.ts'
import { allReferences, type Incompatibility, InvalidSchema, type ReferredSchema, type Schema, Unfit } from '../schema.ts'
import { unreadableProto } from './compatibility.ts'
import { describe } from './descriptor.ts'
import type { ProtoFile } from './file.ts'
import { fileOf } from './from-descriptor.ts'
import { Definitions, join } from './links.ts'
import { parseProto } from './parse.ts'
import { printProto } from './print.ts'

/** What every compiler brings along, by path. */
let known: ReadonlyMap<string, DescFile> | undefined

function wellKnown(path: string): DescFile | undefined {
  if (known === undefined) {
    const library = protobuf()
    const files = [
      library.file_google_protobuf_any,
      library.file_google_protobuf_api,
      library.file_google_protobuf_descriptor,
      library.file_google_protobuf_duration,
      library.file_google_protobuf_empty,
      library.file_google_protobuf_field_mask,
      library.file_google_protobuf_source_context,
      library.file_google_protobuf_struct,
      library.file_google_protobuf_timestamp,
      library.file_google_protobuf_type,
      library.file_google_protobuf_wrappers,
    ]
    known = new Map(files.map((file) => [`${file.name}.proto`, file]))
  }
  return known.get(path)
}

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
      this.#registry = protobuf().createFileRegistry(
        protobuf().create(protobuf().FileDescriptorProtoSchema, this.#descriptor),
        (name) => this.#imported(name, byName),
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
      protobuf().toBinary(
        protobuf().FileDescriptorProtoSchema,
        protobuf().create(protobuf().FileDescriptorProtoSchema, { ...this.#descriptor, name }),
      ),
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
      return protobuf().toJson(message, protobuf().fromBinary(message, bytes), {
        registry: this.#registry,
        useProtoFieldName: true,
      })
    } catch (cause) {
      throw new Unfit(cause instanceof Error ? cause.message : String(cause))
    }
  }

  encode(value: unknown, path: readonly number[] = [0]): Buffer {
    const message = this.#message(path)
    try {
      // What is no JSON is refused by its own checks.
      return Buffer.from(
        protobuf().toBinary(message, protobuf().fromJson(message, value as JsonValue, { registry: this.#registry })),
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
      const standard = wellKnown(path)
      const imported = byName.get(path)
      if (imported !== undefined) this.#define(imported.file, byName, met)
      else if (standard !== undefined) this.#define(fileOf(standard.proto), byName, met)
      else throw new InvalidSchema(`the import "${path}" is not among its references`)
    }
  }

  #imported(name: string, byName: ReadonlyMap<string, ProtobufSchema>): FileDescriptorProto | DescFile | undefined {
    const imported = byName.get(name)
    return imported === undefined
      ? wellKnown(name)
      : protobuf().create(protobuf().FileDescriptorProtoSchema, { ...imported.#descriptor, name })
  }
}

/** Base64 and nothing else; no .proto file is without white space. */
const isDescriptor = (text: string): boolean => /^[A-Za-z0-9+/]+={0,2}$/.test(text.trim())

function fromDescriptor(text: string): ProtoFile {
  let descriptor: FileDescriptorProto
  try {
    descriptor = protobuf().fromBinary(protobuf().FileDescriptorProtoSchema, Buffer.from(text, 'base64'))
  } catch (cause) {
    throw new InvalidSchema(`it is no descriptor: ${cause instanceof Error ? cause.message : String(cause)}`)
  }
  return fileOf(descriptor)
}
