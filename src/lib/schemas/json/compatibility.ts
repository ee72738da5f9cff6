/**
 * Whether all that a writer's JSON Schema allows is allowed by a reader's. The rules, and the types of incompatibilities, are those of Confluent's
 * Schema Registry in its strict form: a property may be added where the writer allowed no others, and removed where the reader allows others.
 */

import { isObject, type JsonObject, printJson, sortedKeys } from '../json-text.ts'
import type { RegExpLike } from '../regexp.ts'
import type { Incompatibility } from '../schema.ts'
import { type Criterion, Part, type Shape, shapeOf } from './shape.ts'

/** Schemas may refer to each other in ways that take for ever to compare. */
const comparisonsMax = 50_000

export interface Resolver {
  /** The schema that a $ref leads to, with where its own references begin; undefined: nowhere. */
  resolve(schema: JsonObject): unknown
  matches(pattern: string): RegExpLike
}

/** `reader`, `writer`: each with its own resolver. */
export function unreadableJson(reader: unknown, readers: Resolver, writer: unknown, writers: Resolver): Incompatibility[] {
  return new Comparison(readers, writers).compare(reader, writer, '')
}

class Comparison {
  readonly #readers: Resolver
  readonly #writers: Resolver
  /** Pairs that are being compared now: within itself a pair holds. */
  readonly #open = new Map<unknown, Set<unknown>>()
  #comparisons = 0

  constructor(readers: Resolver, writers: Resolver) {
    this.#readers = readers
    this.#writers = writers
  }

  compare(readerSchema: unknown, writerSchema: unknown, path: string): Incompatibility[] {
    if (++this.#comparisons > comparisonsMax) return [problem('TOO_COMPLEX', path, 'the schemas are too complex to compare')]
    const reader = followed(readerSchema, this.#readers)
    const writer = followed(writerSchema, this.#writers)
    const writers = this.#open.get(reader) ?? new Set()
    if (isObject(reader) && isObject(writer)) {
      if (writers.has(writer)) return []
      this.#open.set(reader, writers.add(writer))
    }
    const found = this.#shapes(shapeOf(reader), shapeOf(writer), path)
    writers.delete(writer)
    return found
  }

  #fits(reader: unknown, writer: unknown): boolean {
    return this.compare(reader, writer, '').length === 0
  }

  #shapes(reader: Shape, writer: Shape, path: string): Incompatibility[] {
    if (writer.kind === 'none' || reader.kind === 'any') return []
    if (reader.kind === 'combined' && writer.kind !== 'combined') {
      const { schemas, criterion } = reader
      const some = schemas.length === 1 || criterion !== 'allOf'
      if (some && schemas.some((schema) => this.#fits(schema, new Part(writer)))) return []
    } else if (writer.kind === 'combined' && reader.kind !== 'combined') {
      const { schemas, criterion } = writer
      const some = schemas.length === 1 || criterion === 'allOf'
      if (some && schemas.some((schema) => this.#fits(new Part(reader), schema))) return []
      // Not a rule of the registry's, and true: what reads each alternative reads them all.
      if (!some && schemas.length > 0 && schemas.every((schema) => this.#fits(new Part(reader), schema))) return []
    }
    if (reader.kind !== writer.kind)
      return [problem('TYPE_CHANGED', path, `it was of the kind ${writer.kind} and is ${reader.kind}`)]
    switch (reader.kind) {
      case 'string':
      case 'number':
      case 'object':
      case 'array':
        return this.#typed(reader, writer as typeof reader, path) // of the same kind
      case 'enum':
        return enums(reader.values, (writer as typeof reader).values, path)
      case 'const':
        return same(reader.value, (writer as typeof reader).value) ? [] : [problem('CONST_CHANGED', path, 'the constant changed')]
      case 'not': {
        const inner = this.compare((writer as typeof reader).schema, reader.schema, `${path}/not`)
        return inner.length === 0 ? [] : [problem('NOT_TYPE_EXTENDED', `${path}/not`, 'more is excluded')]
      }
      case 'combined':
        return this.#combined(reader, writer as typeof reader, path)
      case 'conditional':
        return same(reader.of, (writer as typeof reader).of)
          ? []
          : [problem('CONDITION_CHANGED', path, 'if, then or else changed')]
      default:
        return []
    }
  }

  #typed(reader: Typed, writer: Typed, path: string): Incompatibility[] {
    const found = bounds(reader.of, writer.of, path)
    const changed = (words: readonly string[]): void => {
      for (const word of words) {
        if (reader.of[word] !== undefined && !same(reader.of[word], writer.of[word]))
          found.push(problem(`${constant(word)}_CHANGED`, `${path}/${word}`, `${word} was added or changed`))
      }
    }
    switch (reader.kind) {
      case 'string':
        changed(['pattern'])
        break
      case 'number':
        if (reader.integer === true && writer.integer !== true)
          found.push(problem('TYPE_NARROWED', path, 'any number was allowed, and whole ones are'))
        found.push(...multiples(reader.of, writer.of, path))
        break
      case 'object':
        found.push(...this.#properties(reader.of, writer.of, path), ...this.#required(reader.of, writer.of, path))
        found.push(...this.#additional(reader.of, writer.of, path, 'additionalProperties', 'ADDITIONAL_PROPERTIES'))
        found.push(...this.#dependencies(reader.of, writer.of, path))
        found.push(...this.#patterns(reader.of, writer.of, path))
        changed(['propertyNames', 'unevaluatedProperties'])
        break
      case 'array':
        found.push(...this.#items(reader.of, writer.of, path))
        if (reader.of['uniqueItems'] === true && writer.of['uniqueItems'] !== true)
          found.push(problem('UNIQUE_ITEMS_ADDED', `${path}/uniqueItems`, 'items must be different'))
        changed(['contains'])
        break
    }
    return found
  }

  #properties(reader: JsonObject, writer: JsonObject, path: string): Incompatibility[] {
    const found: Incompatibility[] = []
    const [read, written] = [objectIn(reader, 'properties'), objectIn(writer, 'properties')]
    for (const name of new Set([...Object.keys(written), ...Object.keys(read)])) {
      const at = `${path}/properties/${name}`
      if (!Object.hasOwn(read, name)) found.push(...this.#propertyRemoved(reader, written[name], name, at))
      else if (!Object.hasOwn(written, name)) found.push(...this.#propertyAdded(reader, writer, name, at))
      else found.push(...this.compare(read[name], written[name], at))
    }
    return found
  }

  #propertyRemoved(reader: JsonObject, was: unknown, name: string, at: string): Incompatibility[] {
    if (isOpen(reader)) return []
    const others = this.#othersOf(reader, name, this.#readers)
    if (others !== undefined) {
      if (this.#fits(others, was)) return []
      return [
        problem(
          'PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL',
          at,
          `'${name}' does not fit what else is allowed`,
        ),
      ]
    }
    if (was === false) return []
    return [problem('PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL', at, `'${name}' was removed, and no others are allowed`)]
  }

  #propertyAdded(reader: JsonObject, writer: JsonObject, name: string, at: string): Incompatibility[] {
    const schema = objectIn(reader, 'properties')[name]
    const required = listIn(reader, 'required').includes(name)
    const hasDefault = isObject(schema) && 'default' in schema
    if (isOpen(writer)) {
      if (shapeOf(followed(schema, this.#readers)).kind === 'any' && !required) return []
      if (!required)
        return [problem('PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL', at, `'${name}' was added, and could be anything before`)]
      const type = `REQUIRED_PROPERTY_${hasDefault ? 'WITH_DEFAULT_' : ''}ADDED_TO_OPEN_CONTENT_MODEL`
      return [problem(type, at, `'${name}' was added, is required, and could be anything before`)]
    }
    const found: Incompatibility[] = []
    const others = this.#othersOf(writer, name, this.#writers)
    if (others !== undefined && !this.#fits(schema, others))
      found.push(
        problem('PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL', at, `'${name}' could be something else before`),
      )
    if (required && !hasDefault)
      found.push(
        problem('REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL', at, `'${name}' was added, is required and has no default`),
      )
    return found
  }

  /** What a property that is not named must be; undefined: it may not be, or may be anything. */
  #othersOf(schema: JsonObject, name: string, resolver: Resolver): unknown {
    for (const [pattern, each] of Object.entries(objectIn(schema, 'patternProperties')))
      if (resolver.matches(pattern).test(name)) return each
    const others = schema['additionalProperties'] ?? schema['unevaluatedProperties']
    return isObject(others) ? others : undefined
  }

  #patterns(reader: JsonObject, writer: JsonObject, path: string): Incompatibility[] {
    const [read, written] = [objectIn(reader, 'patternProperties'), objectIn(writer, 'patternProperties')]
    return Object.entries(read).flatMap(([pattern, schema]) => {
      const at = `${path}/patternProperties/${pattern}`
      if (Object.hasOwn(written, pattern)) return this.compare(schema, written[pattern], at)
      // Where the writer allowed named properties alone, these say what the pattern meets.
      const named = objectIn(writer, 'properties')
      const matching = Object.keys(named).filter((name) => this.#readers.matches(pattern).test(name))
      if (writer['additionalProperties'] === false && matching.every((name) => this.#fits(schema, named[name]))) return []
      return [problem('PATTERN_PROPERTIES_ADDED', at, 'properties of such names could be anything before')]
    })
  }

  #required(reader: JsonObject, writer: JsonObject, path: string): Incompatibility[] {
    const [read, written] = [objectIn(reader, 'properties'), objectIn(writer, 'properties')]
    return listIn(reader, 'required').flatMap((name) => {
      if (listIn(writer, 'required').includes(name)) return []
      const schema = read[String(name)]
      if (isObject(schema) && 'default' in schema) return []
      // Only what both name counts here: what is new among the properties was judged there.
      if (!Object.hasOwn(read, String(name)) || !Object.hasOwn(written, String(name))) return []
      return [problem('REQUIRED_ATTRIBUTE_ADDED', `${path}/required/${name}`, `'${name}' is required and was not`)]
    })
  }

  #additional(reader: JsonObject, writer: JsonObject, path: string, word: string, type: string): Incompatibility[] {
    const [read = true, written = true] = [reader[word], writer[word]]
    const at = `${path}/${word}`
    if (written === false || read === true) return []
    if (read === false) return [problem(`${type}_REMOVED`, at, 'others were allowed and are not')]
    if (written === true) return this.#fits(read, true) ? [] : [problem(`${type}_NARROWED`, at, 'others could be anything')]
    return this.compare(read, written, at)
  }

  #dependencies(reader: JsonObject, writer: JsonObject, path: string): Incompatibility[] {
    const found: Incompatibility[] = []
    for (const word of ['dependencies', 'dependentRequired', 'dependentSchemas']) {
      const written = objectIn(writer, word)
      for (const [name, read] of Object.entries(objectIn(reader, word))) {
        const at = `${path}/${word}/${name}`
        const was = written[name]
        if (Array.isArray(read)) {
          const fewer = Array.isArray(was) && read.every((each) => was.includes(each))
          if (!fewer) found.push(problem('DEPENDENCY_ARRAY_EXTENDED', at, `'${name}' needs more than it did`))
        } else if (was === undefined || Array.isArray(was))
          found.push(problem('DEPENDENCY_SCHEMA_ADDED', at, `'${name}' needs more than it did`))
        else found.push(...this.compare(read, was, at))
      }
    }
    return found
  }

  #items(reader: JsonObject, writer: JsonObject, path: string): Incompatibility[] {
    const [read, written] = [itemsOf(reader), itemsOf(writer)]
    const found: Incompatibility[] = []
    for (let index = 0; index < Math.max(read.first.length, written.first.length); index++) {
      const at = `${path}/items/${index}`
      const now = index < read.first.length ? read.first[index] : read.others
      const was = index < written.first.length ? written.first[index] : written.others
      if (was === false) continue
      if (index >= read.first.length && now === false)
        found.push(problem('ITEM_REMOVED_FROM_CLOSED_CONTENT_MODEL', at, 'an item was removed, and no others are allowed'))
      else if (index >= written.first.length && was === true && shapeOf(followed(now, this.#readers)).kind !== 'any')
        found.push(problem('ITEM_ADDED_TO_OPEN_CONTENT_MODEL', at, 'an item was added, and could be anything before'))
      else found.push(...this.compare(now, was, at))
    }
    const at = `${path}/items`
    if (written.others === false || read.others === true) return found
    if (read.others === false) found.push(problem('ADDITIONAL_ITEMS_REMOVED', at, 'further items were allowed and are not'))
    else found.push(...this.compare(read.others, written.others, at))
    return found
  }

  #combined(reader: Combined, writer: Combined, path: string): Incompatibility[] {
    const at = `${path}/${reader.criterion}`
    const [readers, writers] = [unique(reader.schemas), unique(writer.schemas)]
    const compares =
      reader.criterion === writer.criterion ||
      reader.criterion === 'anyOf' ||
      (readers.length === 1 && writers.length === 1) ||
      (writers.length === 1 && reader.criterion === 'oneOf') ||
      (readers.length === 1 && writer.criterion === 'allOf')
    if (!compares) return [problem('COMBINED_TYPE_CHANGED', at, `it was ${writer.criterion} and is ${reader.criterion}`)]
    if (readers.length > writers.length && reader.criterion === 'allOf')
      return [problem('PRODUCT_TYPE_EXTENDED', at, 'more must hold than before')]
    if (readers.length < writers.length && writer.criterion !== 'allOf')
      return [problem('SUM_TYPE_NARROWED', at, 'there are fewer alternatives')]
    const fits = writers.map((was) => readers.map((now) => this.#fits(now, was)))
    if (largestMatching(fits) >= Math.min(readers.length, writers.length)) return []
    return [problem('COMBINED_TYPE_SUBSCHEMAS_CHANGED', at, 'what is combined changed')]
  }
}

type Typed = Extract<Shape, { readonly kind: 'string' | 'number' | 'object' | 'array' }>
type Combined = { readonly criterion: Criterion; readonly schemas: readonly unknown[] }

/** How many rows can have a column that is true and no other row's. */
function largestMatching(fits: readonly (readonly boolean[])[]): number {
  const rowOf = new Map<number, number>()
  const place = (row: number, tried: Set<number>): boolean =>
    (fits[row] ?? []).some((fit, column) => {
      if (!fit || tried.has(column)) return false
      tried.add(column)
      const other = rowOf.get(column)
      if (other !== undefined && !place(other, tried)) return false
      rowOf.set(column, row)
      return true
    })
  return fits.filter((_, row) => place(row, new Set())).length
}

function followed(schema: unknown, resolver: Resolver): unknown {
  let found = schema
  // A reference may lead to another; one that leads in a circle says nothing.
  for (let steps = 0; isObject(found) && typeof found['$ref'] === 'string'; steps++) {
    if (steps > 100) return true
    found = resolver.resolve(found) ?? true
  }
  return found
}

/** Whether properties that are not named may be anything. */
function isOpen(schema: JsonObject): boolean {
  const others = schema['additionalProperties'] ?? schema['unevaluatedProperties'] ?? true
  return others === true && Object.keys(objectIn(schema, 'patternProperties')).length === 0
}

/** The first items one by one, and what those after them must be. */
function itemsOf(schema: JsonObject): { first: readonly unknown[]; others: unknown } {
  const { items, prefixItems, additionalItems, unevaluatedItems = true } = schema
  if (Array.isArray(prefixItems)) return { first: prefixItems, others: items ?? unevaluatedItems }
  return Array.isArray(items)
    ? { first: items, others: additionalItems ?? unevaluatedItems }
    : { first: [], others: items ?? unevaluatedItems }
}

const lower = ['minimum', 'exclusiveMinimum', 'minLength', 'minItems', 'minProperties', 'minContains']
const upper = ['maximum', 'exclusiveMaximum', 'maxLength', 'maxItems', 'maxProperties', 'maxContains']

function bounds(reader: JsonObject, writer: JsonObject, path: string): Incompatibility[] {
  return [...lower, ...upper].flatMap((word) => {
    const [now, was] = [reader[word], writer[word]]
    if (typeof now !== 'number') return []
    const at = `${path}/${word}`
    if (typeof was !== 'number') return [problem(`${constant(word)}_ADDED`, at, `${word} ${now} was added`)]
    const isLower = lower.includes(word)
    if (isLower ? now <= was : now >= was) return []
    return [problem(`${constant(word)}_${isLower ? 'INCREASED' : 'DECREASED'}`, at, `${word} was ${was} and is ${now}`)]
  })
}

function multiples(reader: JsonObject, writer: JsonObject, path: string): Incompatibility[] {
  const [now, was] = [reader['multipleOf'], writer['multipleOf']]
  if (typeof now !== 'number') return []
  const at = `${path}/multipleOf`
  if (typeof was !== 'number') return [problem('MULTIPLE_OF_ADDED', at, `multipleOf ${now} was added`)]
  // Decimal fractions are compared as they are written, since 0.3 is no multiple of 0.1 in binary.
  const factor = was / now
  if (Math.abs(factor - Math.round(factor)) < 1e-9) return []
  return [problem('MULTIPLE_OF_CHANGED', at, `multipleOf was ${was} and is ${now}`)]
}

function enums(reader: readonly unknown[], writer: readonly unknown[], path: string): Incompatibility[] {
  const missing = writer.filter((value) => !reader.some((each) => same(each, value)))
  if (missing.length === 0) return []
  return [problem('ENUM_ARRAY_NARROWED', `${path}/enum`, `no longer allowed: ${printJson(missing).slice(1, -1)}`)]
}

const same = (left: unknown, right: unknown): boolean =>
  left === right || (left !== undefined && right !== undefined && printJson(sortedKeys(left)) === printJson(sortedKeys(right)))

const unique = (schemas: readonly unknown[]): readonly unknown[] =>
  schemas.filter((schema, index) => schemas.findIndex((each) => same(each, schema)) === index)

const objectIn = (schema: JsonObject, word: string): JsonObject => (isObject(schema[word]) ? schema[word] : {})
const listIn = (schema: JsonObject, word: string): readonly unknown[] => (Array.isArray(schema[word]) ? schema[word] : [])
const constant = (word: string): string => word.replace(/[A-Z]/g, '_$&').toUpperCase()
const problem = (type: string, path: string, description: string): Incompatibility => ({ type, path: path || '/', description })
