/** Keys and values between JSON and the bytes of a record, in each embedded format; those with schemas in Confluent's frame. */

import { printJson } from '../../lib/schemas/json-text.ts'
import { parseSchema } from '../../lib/schemas/parse-schema.ts'
import { InvalidSchema, type Schema, type SchemaLanguage, Unfit } from '../../lib/schemas/schema.ts'
import { RegistryError } from '../schema-registry/errors.ts'
import { contentOf, framed, schemaIdOf } from '../schema-registry/framing.ts'
import type { Registry } from '../schema-registry/registry.ts'
import { conversionFailed, invalidSchema, kafkaError, schemaLookup, unprocessable } from './errors.ts'
import type { EmbeddedFormat } from './media.ts'

/** A schema that is registered. */
export interface KnownSchema {
  readonly id: number
  readonly schema: Schema
}

export const languages: Readonly<Partial<Record<EmbeddedFormat, SchemaLanguage>>> = {
  avro: 'AVRO',
  jsonschema: 'JSON',
  protobuf: 'PROTOBUF',
}

export function encode(value: unknown, format: EmbeddedFormat, known: KnownSchema | null): Buffer | null {
  if (format === 'binary') return value === null || value === undefined ? null : base64(value)
  if (format === 'json') return value === undefined || value === null ? null : Buffer.from(printJson(value))
  if (known === null) return null
  try {
    return framed(known.id, known.schema.language, known.schema.encode(value ?? null))
  } catch (cause) {
    if (cause instanceof Unfit) throw conversionFailed(cause.message)
    throw cause
  }
}

export function base64(value: unknown): Buffer {
  if (typeof value !== 'string' || !/^[A-Za-z0-9+/]*={0,2}$/.test(value)) throw unprocessable('data must be base64')
  return Buffer.from(value, 'base64')
}

/** What a consumer of the format is shown. */
export function decode(bytes: Buffer | null, format: EmbeddedFormat, registry: Registry): unknown {
  if (bytes === null) return null
  if (format === 'binary') return bytes.toString('base64')
  try {
    if (format === 'json') return JSON.parse(bytes.toString())
    const id = schemaIdOf(bytes)
    if (id === null) throw new Unfit('it names no schema')
    const schema = registry.schema(id)
    if (schema.language !== languages[format]) throw new Unfit(`its schema is of the language ${schema.language}`)
    const found = contentOf(bytes, schema.language)
    if (found === null) throw new Unfit('it names no message of its schema')
    return schema.decode(found.content, found.path)
  } catch (cause) {
    if (cause instanceof Unfit || cause instanceof SyntaxError || cause instanceof RegistryError)
      throw kafkaError(`a record could not be read as ${format}: ${cause.message}`)
    throw cause
  }
}

/** The schema that a request names by its id. */
export function schemaById(registry: Registry, id: unknown, language: SchemaLanguage): KnownSchema {
  if (!Number.isInteger(id)) throw unprocessable('a schema id must be a whole number')
  let schema: Schema
  try {
    schema = registry.schema(Number(id))
  } catch (cause) {
    if (cause instanceof RegistryError) throw schemaLookup(`Schema ${String(id)} not found`)
    throw cause
  }
  if (schema.language !== language) throw invalidSchema(`schema ${String(id)} is of the language ${schema.language}`)
  return { id: Number(id), schema }
}

/** The schema that a request brings along: registered under the subject when it is new there. */
export async function schemaByText(
  registry: Registry,
  subject: string,
  text: unknown,
  language: SchemaLanguage,
): Promise<KnownSchema> {
  if (typeof text !== 'string') throw unprocessable('a schema must be a string')
  try {
    parseSchema(language, text)
    const submission = { language, text, references: [], metadata: null, id: null, version: null }
    const { id } = await registry.register(subject, submission, false)
    return { id, schema: registry.schema(id) }
  } catch (cause) {
    if (cause instanceof InvalidSchema) throw invalidSchema(cause.message)
    if (cause instanceof RegistryError) throw schemaLookup(`Error when registering schema. ${cause.message}`)
    throw cause
  }
}
