/**
 * What a schema can do, whichever language it is written in: Avro, JSON Schema or Protocol Buffers. Pure: no registry, no clock, no network.
 * Texts come from strangers, so every function is bounded and throws {@link InvalidSchema} or {@link Unfit}, nothing else.
 */

export type SchemaLanguage = 'AVRO' | 'JSON' | 'PROTOBUF'

/**
 * Bytes of a schema's text, and of all texts it refers to four times as many. What is parsed is parsed at one go, while everybody waits, so these are
 * what takes about half a second.
 */
export const schemaBytesMax: Readonly<Record<SchemaLanguage, number>> = {
  AVRO: 1024 * 1024,
  JSON: 128 * 1024,
  PROTOBUF: 256 * 1024,
}
/** How deep schemas, and values of recursive ones, may be nested. */
export const depthMax = 256

/** The text is no schema. */
export class InvalidSchema extends Error {}

/** A value is not as its schema says. */
export class Unfit extends Error {}

/** What a schema imports: by the name it uses for it. */
export interface ReferredSchema {
  readonly name: string
  readonly schema: Schema
}

/** One reason why a reader cannot read what a writer wrote. */
export interface Incompatibility {
  /** Of a fixed list in each language. */
  readonly type: string
  /** Where in the reader's schema, as a path with slashes. */
  readonly path: string
  readonly description: string
}

export interface Schema {
  readonly language: SchemaLanguage
  /** The same for schemas that differ in white space alone. */
  readonly text: string
  /** The same for more schemas that mean the same: attributes in order, names resolved. */
  readonly normalized: string
  /** The full name of the record (for JSON Schema the title) at the top; null when it has none. */
  readonly recordName: string | null
  readonly references: readonly ReferredSchema[]
  /** Why readers with this schema cannot read what was written with that one; empty when they can. */
  unreadable(writer: Schema): Incompatibility[]
  /**
   * The value as JSON shows it. `path`: which message of a Protocol Buffers file, by its place among its neighbours, level by level. Throws Unfit.
   */
  decode(bytes: Buffer, path?: readonly number[]): unknown
  /** The bytes of a value as JSON shows it. Throws Unfit. */
  encode(value: unknown, path?: readonly number[]): Buffer
}

/** What a schema's author may have meant by `references`, each once: those of references included, the deepest first. */
export function allReferences(references: readonly ReferredSchema[], found = new Map<string, Schema>()): Map<string, Schema> {
  for (const { name, schema } of references) {
    if (found.has(name)) continue
    allReferences(schema.references, found)
    found.set(name, schema)
  }
  return found
}
