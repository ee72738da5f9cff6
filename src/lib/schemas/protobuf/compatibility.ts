/**
 * Whether messages written by one .proto file can be read by another ("Updating A Message Type" in the language guide), by the rules of Confluent's
 * Schema Registry, whose types of incompatibilities these are.
 */
import type { Incompatibility } from '../schema.ts'
import { isScalar, type ProtoField, type ProtoFile, type ProtoMessage } from './file.ts'
import { type Definitions, join } from './links.ts'

export interface Linked {
  readonly file: ProtoFile
  readonly definitions: Definitions
}

/** Scalars of one group are the same on the wire. */
const groups: Readonly<Record<string, string>> = {
  int32: 'number',
  int64: 'number',
  uint32: 'number',
  uint64: 'number',
  bool: 'number',
  sint32: 'signed',
  sint64: 'signed',
  string: 'text',
  bytes: 'text',
  fixed32: 'fixed32',
  sfixed32: 'fixed32',
  fixed64: 'fixed64',
  sfixed64: 'fixed64',
  float: 'float',
  double: 'double',
}

export function unreadableProto(reader: Linked, writer: Linked): Incompatibility[] {
  return new Comparison(reader, writer).files()
}

type Kind =
  | { readonly kind: 'scalar'; readonly group: string }
  | { readonly kind: 'message'; readonly name: string }
  | { readonly kind: 'map' }

class Comparison {
  readonly #reader: Linked
  readonly #writer: Linked
  readonly #compared = new Set<string>()

  constructor(reader: Linked, writer: Linked) {
    this.#reader = reader
    this.#writer = writer
  }

  files(): Incompatibility[] {
    const [reader, writer] = [this.#reader.file, this.#writer.file]
    const found: Incompatibility[] = []
    if (reader.package !== writer.package)
      found.push(problem('PACKAGE_CHANGED', '/', `the package was "${writer.package}" and is "${reader.package}"`))
    found.push(...this.#messageLists(reader.messages, reader.package, writer.messages, writer.package, '#/'))
    return found
  }

  #messageLists(
    readers: readonly ProtoMessage[],
    readerScope: string,
    writers: readonly ProtoMessage[],
    writerScope: string,
    path: string,
  ): Incompatibility[] {
    const byName = new Map(readers.map((reader) => [reader.name, reader]))
    return writers.flatMap((writer) => {
      const reader = byName.get(writer.name)
      const at = `${path}${writer.name}`
      if (reader === undefined) return [problem('MESSAGE_REMOVED', at, `the message ${writer.name} was removed`)]
      return this.#messages(reader, join(readerScope, reader.name), writer, join(writerScope, writer.name), at)
    })
  }

  #messages(reader: ProtoMessage, readerName: string, writer: ProtoMessage, writerName: string, path: string): Incompatibility[] {
    const pair = `${readerName} ${writerName}`
    if (this.#compared.has(pair)) return []
    this.#compared.add(pair)
    const found = [...movedIntoOneofs(reader, writer, path)]
    const [byNumber, before] = [fieldsOf(reader), fieldsOf(writer)]
    for (const was of writer.fields) {
      const now = byNumber.get(was.number)
      const at = `${path}/${was.number}`
      if (now !== undefined) found.push(...this.#fields(now, readerName, was, writerName, at))
      else if (was.oneof !== null && !isWhollyGone(was.oneof, reader, writer))
        found.push(problem('ONEOF_FIELD_REMOVED', at, `'${was.name}' was removed from the oneof ${was.oneof}`))
      else if (was.label === 'required')
        found.push(problem('REQUIRED_FIELD_REMOVED', at, `'${was.name}' was removed and was required`))
    }
    for (const now of reader.fields)
      if (now.label === 'required' && !before.has(now.number))
        found.push(problem('REQUIRED_FIELD_ADDED', `${path}/${now.number}`, `'${now.name}' was added and is required`))
    found.push(...this.#messageLists(reader.messages, readerName, writer.messages, writerName, `${path}.`))
    return found
  }

  #fields(now: ProtoField, readerScope: string, was: ProtoField, writerScope: string, at: string): Incompatibility[] {
    const [read, written] = [kindOf(now, readerScope, this.#reader), kindOf(was, writerScope, this.#writer)]
    if (read.kind !== written.kind)
      return [problem('FIELD_KIND_CHANGED', at, `'${now.name}' was a ${written.kind} and is a ${read.kind}`)]
    if (read.kind === 'map') {
      const key = (field: ProtoField): ProtoField => ({ ...field, type: field.mapKey ?? '', mapKey: null, label: null })
      const value = (field: ProtoField): ProtoField => ({ ...field, mapKey: null, label: null })
      return [
        ...this.#fields(key(now), readerScope, key(was), writerScope, at),
        ...this.#fields(value(now), readerScope, value(was), writerScope, at),
      ]
    }
    if (read.kind === 'scalar' && written.kind === 'scalar') {
      if (read.group !== written.group)
        return [problem('FIELD_SCALAR_KIND_CHANGED', at, `'${now.name}' was of the type ${was.type} and is of ${now.type}`)]
      const repeated = (now.label === 'repeated') !== (was.label === 'repeated')
      if (repeated && read.group !== 'text')
        return [
          problem(
            'FIELD_NUMERIC_LABEL_CHANGED',
            at,
            `'${now.name}' was ${was.label ?? 'single'} and is ${now.label ?? 'single'}`,
          ),
        ]
      return []
    }
    return this.#messageTypes(now, readerScope, was, writerScope, at)
  }

  #messageTypes(now: ProtoField, readerScope: string, was: ProtoField, writerScope: string, at: string): Incompatibility[] {
    const read = this.#reader.definitions.resolve(now.type, readerScope)
    const written = this.#writer.definitions.resolve(was.type, writerScope)
    const changed = problem(
      'FIELD_NAMED_TYPE_CHANGED',
      at,
      `'${now.name}' was of the type ${written.name} and is of ${read.name}`,
    )
    if (read.local !== written.local) return [changed]
    // Those of the files themselves are compared with these.
    if (read.file === this.#reader.file && written.file === this.#writer.file) return []
    if (read.message === null || written.message === null) return []
    const inner = this.#messages(read.message, read.name, written.message, written.name, at)
    return inner.length === 0 ? [] : [...inner, changed]
  }
}

function kindOf(field: ProtoField, scope: string, { definitions }: Linked): Kind {
  if (field.mapKey !== null) return { kind: 'map' }
  if (isScalar(field.type)) return { kind: 'scalar', group: groups[field.type] ?? field.type }
  const definition = definitions.resolve(field.type, scope)
  return definition.message === null ? { kind: 'scalar', group: 'number' } : { kind: 'message', name: definition.name }
}

/** Fields that could be set together, and now exclude each other. New ones never were set. */
function movedIntoOneofs(reader: ProtoMessage, writer: ProtoMessage, path: string): Incompatibility[] {
  const written = fieldsOf(writer)
  return reader.oneofs.flatMap(({ name }) => {
    const before = reader.fields.filter(({ oneof }) => oneof === name).flatMap((now) => written.get(now.number) ?? [])
    const groupsBefore = new Set(before.map(({ oneof, number }) => oneof ?? `#${number}`))
    if (groupsBefore.size < 2) return []
    const single = before.filter(({ oneof }) => oneof === null).length
    const type = single > 1 ? 'MULTIPLE_FIELDS_MOVED_TO_ONEOF' : 'FIELD_MOVED_TO_EXISTING_ONEOF'
    return [problem(type, `${path}/${name}`, `fields that could be set together are in the oneof ${name}`)]
  })
}

const fieldsOf = ({ fields }: ProtoMessage): Map<number, ProtoField> => new Map(fields.map((field) => [field.number, field]))

/** A oneof that went with all its fields is a removal like that of a single field. */
function isWhollyGone(oneof: string, reader: ProtoMessage, writer: ProtoMessage): boolean {
  if (reader.oneofs.some(({ name }) => name === oneof)) return false
  const numbers = writer.fields.filter((field) => field.oneof === oneof).map(({ number }) => number)
  return !reader.fields.some(({ number }) => numbers.includes(number))
}

const problem = (type: string, path: string, description: string): Incompatibility => ({ type, path, description })
