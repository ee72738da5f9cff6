/**
 * What the registry remembers, in the broker's rows: schemas by id, versions by subject, settings. Each change of several rows is one entry of the
 * write-ahead log. Bounded: {@link schemasMax} schemas of {@link textBytesMax} together.
 */
import type { Broker, Rows } from '../../broker/face.ts'
import type { SchemaLanguage } from '../../lib/schemas/schema.ts'
import { tooLarge } from './errors.ts'

export const schemasMax = 20_000
export const textBytesMax = 128 * 1024 * 1024

export interface Reference {
  /** By which the schema's text calls it. */
  readonly name: string
  readonly subject: string
  readonly version: number
}

export interface StoredSchema {
  readonly id: number
  readonly language: SchemaLanguage
  readonly text: string
  readonly references: readonly Reference[]
  /** Kept for its author and given back as it came: tags, properties, sensitive. */
  readonly metadata: Readonly<Record<string, unknown>> | null
}

export interface Version {
  readonly subject: string
  readonly version: number
  readonly id: number
  /** Deleted, but not permanently. */
  readonly deleted: boolean
}

export const globalScope = ''

export class Store {
  readonly #broker: Broker
  readonly #schemaRows: Rows
  readonly #versionRows: Rows
  /** By scope: a subject, or {@link globalScope}. */
  readonly #settingRows: { readonly compatibility: Rows; readonly mode: Rows; readonly normalize: Rows }
  readonly #schemas = new Map<number, StoredSchema>()
  /** By subject, in order of versions. */
  readonly #versions = new Map<string, Version[]>()
  /** By all that makes a schema what it is. */
  readonly #byContent = new Map<string, StoredSchema>()
  #textBytes = 0

  constructor(broker: Broker) {
    this.#broker = broker
    this.#schemaRows = broker.rows('schema-registry.schemas')
    this.#versionRows = broker.rows('schema-registry.versions')
    this.#settingRows = {
      compatibility: broker.rows('schema-registry.compatibility'),
      mode: broker.rows('schema-registry.mode'),
      normalize: broker.rows('schema-registry.normalize'),
    }
    // Rows are as put() below wrote them.
    for (const [key, value] of this.#schemaRows.entries())
      if (key !== lastId) this.#keepSchema({ id: Number(key), ...(JSON.parse(value) as Omit<StoredSchema, 'id'>) })
    for (const [, value] of this.#versionRows.entries()) this.#keepVersion(JSON.parse(value) as Version)
    for (const versions of this.#versions.values()) versions.sort((a, b) => a.version - b.version)
  }

  schema(id: number): StoredSchema | undefined {
    return this.#schemas.get(id)
  }

  schemas(): IterableIterator<StoredSchema> {
    return this.#schemas.values()
  }

  subjects(): string[] {
    return [...this.#versions.keys()].sort()
  }

  /** Those deleted softly included, in order. */
  versions(subject: string): readonly Version[] {
    return this.#versions.get(subject) ?? []
  }

  allVersions(): Version[] {
    return this.subjects().flatMap((subject) => this.versions(subject))
  }

  /** In no order. */
  versionsOf(id: number): Version[] {
    const found: Version[] = []
    for (const versions of this.#versions.values()) for (const version of versions) if (version.id === id) found.push(version)
    return found
  }

  /** Resolves when all that was changed so far is on the disk. */
  durable(): Promise<void> {
    return this.#versionRows.durable()
  }

  /** The highest id so far. */
  get lastId(): number {
    return Number(this.#schemaRows.get(lastId) ?? 0)
  }

  find(content: Omit<StoredSchema, 'id'>): StoredSchema | undefined {
    return this.#byContent.get(contentKey(content))
  }

  /** Runs changes as one. Resolves when they are durable. */
  change(run: () => void): Promise<void> {
    return new Promise((resolve, reject) =>
      this.#broker.atomically(run, (error) => {
        if (error === null) resolve()
        else reject(error)
      }),
    )
  }

  /** Within {@link change}. `id`: as its author wants it. */
  addSchema(content: Omit<StoredSchema, 'id'>, id = this.lastId + 1): StoredSchema {
    if (this.#schemas.size >= schemasMax) throw tooLarge(`there are ${schemasMax} schemas already`)
    if (this.#textBytes + content.text.length > textBytesMax)
      throw tooLarge(`all schemas together would exceed ${textBytesMax} bytes`)
    const schema = { id, ...content }
    this.#keepSchema(schema)
    this.#schemaRows.put(String(id), JSON.stringify(content))
    this.#schemaRows.put(lastId, String(Math.max(id, this.lastId)))
    return schema
  }

  /** Within {@link change}: adds a version, or changes whether it is deleted. */
  putVersion(version: Version): void {
    this.#keepVersion(version)
    this.#versions.get(version.subject)?.sort((a, b) => a.version - b.version)
    this.#versionRows.put(versionKey(version), JSON.stringify(version))
  }

  /** Within {@link change}: for ever, and its schema with it when no other version has it. */
  removeVersion(version: Version): void {
    const left = this.versions(version.subject).filter((each) => each.version !== version.version)
    if (left.length > 0) this.#versions.set(version.subject, left)
    else this.#versions.delete(version.subject)
    this.#versionRows.delete(versionKey(version))
    const schema = this.#schemas.get(version.id)
    if (schema === undefined || this.versionsOf(version.id).length > 0) return
    this.#schemas.delete(schema.id)
    this.#byContent.delete(contentKey(schema))
    this.#textBytes -= schema.text.length
    this.#schemaRows.delete(String(schema.id))
  }

  setting(name: 'compatibility' | 'mode' | 'normalize', scope: string): string | undefined {
    return this.#settingRows[name].get(scope)
  }

  /** null: no longer set. */
  async set(name: 'compatibility' | 'mode' | 'normalize', scope: string, value: string | null): Promise<void> {
    const rows = this.#settingRows[name]
    if (value === null) rows.delete(scope)
    else {
      if (rows.get(scope) === undefined && rows.size >= schemasMax)
        throw tooLarge(`there are settings of ${schemasMax} subjects already`)
      rows.put(scope, value)
    }
    await rows.durable()
  }

  #keepSchema(schema: StoredSchema): void {
    this.#schemas.set(schema.id, schema)
    this.#byContent.set(contentKey(schema), schema)
    this.#textBytes += schema.text.length
  }

  #keepVersion(version: Version): void {
    const others = this.versions(version.subject).filter((each) => each.version !== version.version)
    this.#versions.set(version.subject, [...others, version])
  }
}

/** Beside the ids among the rows of schemas. */
const lastId = 'last'

const versionKey = ({ subject, version }: Version): string => `${version} ${subject}`
const contentKey = ({ language, text, references, metadata }: Omit<StoredSchema, 'id'>): string =>
  JSON.stringify([language, text, references, metadata])
