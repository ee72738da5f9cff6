/**
 * What a JSON Schema says, taken apart for comparison: each schema object is one constraint, or all of several at once. Drafts 6, 7, 2019-09 and
 * 2020-12, whose words for the same thing become one.
 */
import { isObject, type JsonObject } from '../json-text.ts'

export type Criterion = 'allOf' | 'anyOf' | 'oneOf'

export type Shape =
  | { readonly kind: 'any' | 'none' | 'boolean' | 'null' }
  | { readonly kind: 'string' | 'number' | 'object' | 'array'; readonly of: JsonObject; readonly integer?: boolean }
  | { readonly kind: 'enum'; readonly values: readonly unknown[] }
  | { readonly kind: 'const'; readonly value: unknown }
  | { readonly kind: 'not'; readonly schema: unknown }
  | { readonly kind: 'combined'; readonly criterion: Criterion; readonly schemas: readonly unknown[] }
  /** if, then, else: compared as a whole. */
  | { readonly kind: 'conditional'; readonly of: JsonObject }

const keywords = {
  string: ['minLength', 'maxLength', 'pattern', 'format', 'contentEncoding', 'contentMediaType'],
  number: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'],
  object: [
    'properties',
    'required',
    'additionalProperties',
    'patternProperties',
    'propertyNames',
    'minProperties',
    'maxProperties',
    'dependencies',
    'dependentRequired',
    'dependentSchemas',
    'unevaluatedProperties',
  ],
  array: [
    'items',
    'prefixItems',
    'additionalItems',
    'minItems',
    'maxItems',
    'uniqueItems',
    'contains',
    'minContains',
    'maxContains',
    'unevaluatedItems',
  ],
} as const

/** A schema that is none of JSON's own, so that an allOf of shapes can be compared like one of schemas. */
export class Part {
  readonly shape: Shape

  constructor(shape: Shape) {
    this.shape = shape
  }
}

export function shapeOf(schema: unknown): Shape {
  if (schema instanceof Part) return schema.shape
  if (schema === false) return { kind: 'none' }
  if (!isObject(schema)) return { kind: 'any' }
  const parts: Shape[] = [...typesOf(schema)]
  if (Array.isArray(schema['enum'])) parts.push({ kind: 'enum', values: schema['enum'] })
  if ('const' in schema) parts.push({ kind: 'const', value: schema['const'] })
  if ('not' in schema) parts.push({ kind: 'not', schema: schema['not'] })
  for (const criterion of ['allOf', 'anyOf', 'oneOf'] as const) {
    const schemas = schema[criterion]
    if (Array.isArray(schemas)) parts.push({ kind: 'combined', criterion, schemas })
  }
  if ('if' in schema) parts.push({ kind: 'conditional', of: pick(schema, ['if', 'then', 'else']) })
  const [only, ...more] = parts
  if (only === undefined) return { kind: 'any' }
  return more.length === 0 ? only : { kind: 'combined', criterion: 'allOf', schemas: parts.map((part) => new Part(part)) }
}

function typesOf(schema: JsonObject): Shape[] {
  const { type } = schema
  if (typeof type === 'string') return [ofType(type, schema)]
  if (Array.isArray(type)) {
    const shapes = type.map((each) => ofType(String(each), schema))
    const [only] = shapes
    if (shapes.length === 1 && only !== undefined) return [only]
    return [{ kind: 'combined', criterion: 'anyOf', schemas: shapes.map((shape) => new Part(shape)) }]
  }
  // No type is said: the words that are used say what it is about.
  return (['string', 'number', 'object', 'array'] as const)
    .filter((kind) => keywords[kind].some((word) => word !== 'format' && word in schema))
    .map((kind) => ofType(kind, schema))
}

function ofType(type: string, schema: JsonObject): Shape {
  if (type === 'integer') return { kind: 'number', of: schema, integer: true }
  if (type === 'string' || type === 'number' || type === 'object' || type === 'array') return { kind: type, of: schema }
  return { kind: type === 'boolean' || type === 'null' ? type : 'any' }
}

const pick = (schema: JsonObject, words: readonly string[]): JsonObject =>
  Object.fromEntries(words.filter((word) => word in schema).map((word) => [word, schema[word]]))
