/** JSON Schemas, drafts 6, 7 (where none is said), 2019-09 and 2020-12. `format` is an annotation. Values are UTF-8 JSON; ajv judges them. */
import { createRequire } from 'node:module'
import type { Ajv, AnySchema, AnySchemaObject, Options, ValidateFunction } from 'ajv'
import { isObject, type JsonObject, printJson, schemaJson, sortedKeys } from '../json-text.ts'
import { safeRegExp } from '../regexp.ts'
import { allReferences, type Incompatibility, InvalidSchema, type ReferredSchema, type Schema, Unfit } from '../schema.ts'
import { type Resolver, unreadableJson } from './compatibility.ts'

// Loaded when it is first needed: an idle broker does without. What it is cast to is what the library's own types say.
const load = createRequire(import.meta.url)
type Maker = new (options: Options) => Ajv

/** Where a schema without an id of its own stands, so that its references have a place to begin. */
const nowhere = 'schema://root/'

export class JsonSchema implements Schema {
  readonly language = 'JSON'
  readonly text: string
  readonly normalized: string
  readonly recordName: string | null
  readonly references: readonly ReferredSchema[]
  readonly json: unknown
  readonly #resolver: Resolver
  #validate: ValidateFunction | null = null

  constructor(text: string, references: readonly ReferredSchema[]) {
    this.json = schemaJson(text)
    if (!isObject(this.json) && typeof this.json !== 'boolean')
      throw new InvalidSchema('a JSON Schema is an object, true or false')
    if (isObject(this.json) && '$async' in this.json) throw new InvalidSchema('$async is no keyword of JSON Schema')
    this.references = references
    this.text = printJson(this.json)
    this.normalized = printJson(sortedKeys(this.json))
    const title = isObject(this.json) ? this.json['title'] : undefined
    this.recordName = typeof title === 'string' ? title : null
    this.#resolver = new References(this.json, references)
    this.#validator() // refuses what is no schema, and references that lead nowhere
  }

  unreadable(writer: Schema): Incompatibility[] {
    if (writer instanceof JsonSchema) return unreadableJson(this.json, this.#resolver, writer.json, writer.#resolver)
    return [{ type: 'SCHEMA_TYPE_MISMATCH', path: '/', description: `it was written in ${writer.language}` }]
  }

  decode(bytes: Buffer): unknown {
    let value: unknown
    try {
      value = JSON.parse(bytes.toString())
    } catch {
      throw new Unfit('it is no JSON')
    }
    this.#check(value)
    return value
  }

  encode(value: unknown): Buffer {
    this.#check(value)
    return Buffer.from(printJson(value))
  }

  #check(value: unknown): void {
    const validate = this.#validator()
    let fits: boolean
    try {
      fits = validate(value) === true
    } catch (cause) {
      throw new Unfit(`it cannot be judged: ${cause instanceof Error ? cause.message : String(cause)}`)
    }
    const [error] = validate.errors ?? []
    if (!fits) throw new Unfit(`${error?.instancePath || '/'} ${error?.message ?? 'does not fit'}`)
  }

  #validator(): ValidateFunction {
    if (this.#validate !== null) return this.#validate
    try {
      const ajv = ajvFor(isObject(this.json) ? this.json['$schema'] : undefined)
      const base = baseOf(this.json)
      for (const [name, schema] of allReferences(this.references)) {
        if (!(schema instanceof JsonSchema)) throw new InvalidSchema(`a JSON Schema cannot refer to one in ${schema.language}`)
        for (const key of new Set([name, resolved(name, base)])) {
          if (ajv.getSchema(key) === undefined) ajv.addSchema(withoutId(schema.json) as AnySchema, key) // it was compiled when it was made
        }
      }
      this.#validate = ajv.compile(withoutId(this.json, base) as AnySchema)
    } catch (cause) {
      throw cause instanceof InvalidSchema ? cause : new InvalidSchema(cause instanceof Error ? cause.message : String(cause))
    }
    return this.#validate
  }
}

function ajvFor(draft: unknown): Ajv {
  // Patterns are RE2's: the same everywhere, and none takes for ever.
  const regExp = Object.assign((pattern: string) => safeRegExp(pattern), { code: 'safeRegExp' })
  const options: Options = { strict: false, validateFormats: false, logger: false, code: { regExp }, allErrors: false }
  const name = draft === undefined ? 'draft-07' : /draft-0\d|2019-09|2020-12/.exec(String(draft))?.[0]
  switch (name) {
    case 'draft-06':
    case 'draft-07': {
      const { Ajv: Standard } = load('ajv') as { Ajv: Maker }
      const ajv = new Standard(options)
      return name === 'draft-07' ? ajv : ajv.addMetaSchema(load('ajv/dist/refs/json-schema-draft-06.json') as AnySchemaObject)
    }
    case '2019-09':
      return new (load('ajv/dist/2019.js') as { Ajv2019: Maker }).Ajv2019(options)
    case '2020-12':
      return new (load('ajv/dist/2020.js') as { Ajv2020: Maker }).Ajv2020(options)
    default:
      throw new InvalidSchema(`$schema ${JSON.stringify(draft)} is not known here: drafts 6, 7, 2019-09 and 2020-12 are`)
  }
}

const idOf = (json: unknown): string | undefined => {
  const id = isObject(json) ? json['$id'] : undefined
  return typeof id === 'string' ? id : undefined
}

const baseOf = (json: unknown): string => resolved(idOf(json) ?? '', nowhere)

/** The schema as it stands at `id`, whatever it calls itself: names of references are what counts. */
function withoutId(json: unknown, id?: string): unknown {
  if (!isObject(json)) return json
  const { $id: _, ...others } = json
  return id === undefined ? others : { ...others, $id: id }
}

function resolved(reference: string, base: string): string {
  try {
    return new URL(reference, base).href
  } catch {
    return reference
  }
}

/** Follows $ref: within the schema, by $id or anchor, and into the schemas it refers to. */
class References implements Resolver {
  /** By absolute place. */
  readonly #documents = new Map<string, unknown>()
  /** Where each schema object stands, for what its $ref begins at. */
  readonly #bases = new WeakMap<object, string>()

  constructor(root: unknown, references: readonly ReferredSchema[]) {
    const base = baseOf(root)
    this.#add(root, base)
    for (const [name, schema] of allReferences(references))
      if (schema instanceof JsonSchema) this.#add(schema.json, resolved(name, base))
  }

  #add(json: unknown, base: string): void {
    this.#documents.set(base, json)
    this.#walk(json, base)
  }

  #walk(json: unknown, base: string): void {
    if (typeof json !== 'object' || json === null) return
    let own = base
    if (isObject(json)) {
      const id = json['$id']
      if (typeof id === 'string' && this.#documents.get(base) !== json) {
        own = resolved(id, base)
        this.#documents.set(own, json)
      }
      for (const word of ['$anchor', '$dynamicAnchor'])
        if (typeof json[word] === 'string') this.#documents.set(`${own}#${json[word]}`, json)
      this.#bases.set(json, own)
    }
    for (const each of Object.values(json)) this.#walk(each, own)
  }

  resolve(schema: JsonObject): unknown {
    const target = resolved(String(schema['$ref']), this.#bases.get(schema) ?? nowhere)
    const exact = this.#documents.get(target.endsWith('#') ? target.slice(0, -1) : target)
    if (exact !== undefined) return exact
    const hash = target.indexOf('#')
    let found = this.#documents.get(hash < 0 ? target : target.slice(0, hash))
    for (const word of hash < 0
      ? []
      : decodeURIComponent(target.slice(hash + 1))
          .split('/')
          .slice(1)) {
      const key = word.replaceAll('~1', '/').replaceAll('~0', '~')
      found = typeof found === 'object' && found !== null ? (found as Record<string, unknown>)[key] : undefined
    }
    return found
  }

  matches(pattern: string): { test(text: string): boolean } {
    return safeRegExp(pattern)
  }
}
