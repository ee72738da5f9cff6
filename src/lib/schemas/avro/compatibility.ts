/**
 * Whether a reader's schema can read what a writer's wrote: Avro 1.11 specification, "Schema Resolution". The types of incompatibilities are
 * those of Avro's own library.
 */
import type { Incompatibility } from '../schema.ts'
import {
  type AvroType,
  branchName,
  type EnumType,
  type Field,
  fullName,
  isRecord,
  type NamedType,
  type RecordType,
} from './type.ts'

/** What each primitive may be read as, beside itself. */
const promotions: Readonly<Record<string, readonly string[]>> = {
  int: ['long', 'float', 'double'],
  long: ['float', 'double'],
  float: ['double'],
  string: ['bytes'],
  bytes: ['string'],
}

export function unreadableAvro(reader: AvroType, writer: AvroType): Incompatibility[] {
  return new Comparison().compare(reader, writer, '')
}

class Comparison {
  /** Pairs of named types that are being compared: a recursion adds nothing. */
  readonly #open = new Map<NamedType, Set<NamedType>>()

  compare(reader: AvroType, writer: AvroType, path: string): Incompatibility[] {
    if (writer.kind === 'union') return this.#writtenAsUnion(reader, writer.branches, path)
    if (reader.kind === 'union') return this.#readAsUnion(reader.branches, writer, path)
    if (isRecord(reader) && isRecord(writer)) return this.#once(reader, writer, () => this.#records(reader, writer, path))
    if (reader.kind === 'enum' && writer.kind === 'enum')
      return [...sameName(reader, writer, path), ...enums(reader, writer, path)]
    if (reader.kind === 'fixed' && writer.kind === 'fixed') {
      const found = sameName(reader, writer, path)
      if (reader.size !== writer.size)
        found.push(
          problem(
            'FIXED_SIZE_MISMATCH',
            `${path}/size`,
            `the size of ${fullName(reader)} was ${writer.size} and is ${reader.size}`,
          ),
        )
      return found
    }
    if (reader.kind === 'array' && writer.kind === 'array') return this.compare(reader.items, writer.items, `${path}/items`)
    if (reader.kind === 'map' && writer.kind === 'map') return this.compare(reader.values, writer.values, `${path}/values`)
    if (reader.kind === writer.kind || promotions[writer.kind]?.includes(reader.kind) === true) return []
    const what = `what was written as ${branchName(writer)} cannot be read as ${branchName(reader)}`
    return [problem('TYPE_MISMATCH', path || '/', what)]
  }

  #once(reader: NamedType, writer: NamedType, compare: () => Incompatibility[]): Incompatibility[] {
    const writers = this.#open.get(reader) ?? new Set()
    if (writers.has(writer)) return []
    this.#open.set(reader, writers.add(writer))
    return compare()
  }

  /** Each branch that may have been written must be readable. */
  #writtenAsUnion(reader: AvroType, branches: readonly AvroType[], path: string): Incompatibility[] {
    return branches.flatMap((branch, index) => {
      const found = this.compare(reader, branch, path)
      if (found.length === 0 || reader.kind !== 'union') return found
      return found.map((each) => ({ ...each, path: `${path}/${index}` }))
    })
  }

  #readAsUnion(branches: readonly AvroType[], writer: AvroType, path: string): Incompatibility[] {
    // A trial that fails must not leave its pairs behind as good.
    for (const branch of branches) if (new Comparison().#with(this.#open).compare(branch, writer, path).length === 0) return []
    const what = `no branch of the union reads what was written as ${branchName(writer)}`
    return [problem('MISSING_UNION_BRANCH', path || '/', what)]
  }

  #with(open: ReadonlyMap<NamedType, ReadonlySet<NamedType>>): this {
    for (const [reader, writers] of open) this.#open.set(reader, new Set(writers))
    return this
  }

  #records(reader: RecordType, writer: RecordType, path: string): Incompatibility[] {
    const found = sameName(reader, writer, path)
    for (const [index, field] of reader.fields.entries()) {
      const at = `${path}/fields/${index}`
      const written = writtenField(writer, field)
      if (written !== undefined) found.push(...this.compare(field.type, written.type, `${at}/type`))
      else if (field.default === undefined && !(field.type.kind === 'enum' && field.type.default !== undefined)) {
        const what = `the field '${field.name}' has no default value and was not written`
        found.push(problem('READER_FIELD_MISSING_DEFAULT_VALUE', at, what))
      }
    }
    return found
  }
}

function writtenField(writer: RecordType, field: Field): Field | undefined {
  return writer.fields.find(({ name }) => name === field.name) ?? writer.fields.find(({ name }) => field.aliases.includes(name))
}

function enums(reader: EnumType, writer: EnumType, path: string): Incompatibility[] {
  if (reader.default !== undefined) return []
  const missing = writer.symbols.filter((symbol) => !reader.symbols.includes(symbol))
  if (missing.length === 0) return []
  const what = `symbols that were written are not known: ${missing.join(', ')}`
  return [problem('MISSING_ENUM_SYMBOLS', `${path}/symbols`, what)]
}

/** Names are the same without their namespaces, or the reader has the writer's full name for an alias. */
function sameName(reader: NamedType, writer: NamedType, path: string): Incompatibility[] {
  if (reader.name === writer.name || reader.aliases.includes(fullName(writer))) return []
  const what = `the name was ${fullName(writer)} and is ${fullName(reader)}`
  return [problem('NAME_MISMATCH', `${path}/name`, what)]
}

const problem = (type: string, path: string, description: string): Incompatibility => ({ type, path, description })
