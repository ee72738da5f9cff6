/** JSON → Avro type, with the specification's rules on names, unions and enums. Defaults are kept as they are. */
import { isObject, type JsonObject, schemaJson } from '../json-text.ts'
import { InvalidSchema } from '../schema.ts'
import { type AvroType, branchName, type Field, fullName, isNamed, type NamedType, type Primitive, primitives } from './type.ts'

const nameWord = /^[A-Za-z_][A-Za-z0-9_]*$/
const orders = ['ascending', 'descending', 'ignore']

/** `known`: named types of schemas that this one refers to. Adds its own. */
export function parseAvro(text: string, known: Map<string, NamedType>): AvroType {
  let json: unknown
  const trimmed = text.trim()
  // A primitive may stand bare: `string` as well as `"string"`.
  if (primitives.some((name) => name === trimmed)) json = trimmed
  else json = schemaJson(trimmed)
  return new Parser(known).type(json, '')
}

class Parser {
  readonly #known: Map<string, NamedType>

  constructor(known: Map<string, NamedType>) {
    this.#known = known
  }

  type(json: unknown, namespace: string): AvroType {
    if (typeof json === 'string') return this.#byName(json, namespace)
    if (Array.isArray(json)) return this.#union(json, namespace)
    if (!isObject(json)) throw new InvalidSchema(`no schema: ${JSON.stringify(json)}`)
    const { type } = json
    switch (type) {
      case 'record':
      case 'error':
      case 'enum':
      case 'fixed':
        return this.#named(json, type, namespace)
      case 'array':
        return {
          kind: 'array',
          items: this.type(need(json, 'items', 'array'), namespace),
          properties: rest(json, ['type', 'items']),
        }
      case 'map':
        return {
          kind: 'map',
          values: this.type(need(json, 'values', 'map'), namespace),
          properties: rest(json, ['type', 'values']),
        }
      case undefined:
        throw new InvalidSchema(`no type: ${JSON.stringify(json).slice(0, 200)}`)
      default:
        if (isPrimitive(type)) return { kind: type, properties: rest(json, ['type']) }
        // {"type": {…}} and {"type": "a.name"} stand for what they wrap.
        return this.type(type, namespace)
    }
  }

  #byName(name: string, namespace: string): AvroType {
    if (isPrimitive(name)) return { kind: name, properties: {} }
    const inNamespace = name.includes('.') || namespace === '' ? name : `${namespace}.${name}`
    const found = this.#known.get(inNamespace) ?? this.#known.get(name)
    if (found === undefined) throw new InvalidSchema(`undefined name: "${name}"`)
    return found
  }

  #union(json: readonly unknown[], namespace: string): AvroType {
    const branches = json.map((each) => this.type(each, namespace))
    const seen = new Set<string>()
    for (const branch of branches) {
      if (branch.kind === 'union') throw new InvalidSchema('a union may not hold a union directly')
      const name = branchName(branch)
      if (seen.has(name)) throw new InvalidSchema(`duplicate in union: ${name}`)
      seen.add(name)
    }
    return { kind: 'union', branches }
  }

  #named(json: JsonObject, kind: 'record' | 'error' | 'enum' | 'fixed', outer: string): AvroType {
    const { name, namespace } = nameOf(json, kind, outer)
    const own = fullName({ name, namespace })
    if (this.#known.has(own)) throw new InvalidSchema(`can't redefine: ${own}`)
    const aliases = texts(json, 'aliases').map((alias) =>
      alias.includes('.') || namespace === '' ? alias : `${namespace}.${alias}`,
    )
    const common = ['type', 'name', 'namespace', 'aliases', 'doc']
    const head = { name, namespace, aliases, ...docOf(json) }
    if (kind === 'enum') {
      const type = { kind, ...head, ...this.#symbols(json, own), properties: rest(json, [...common, 'symbols', 'default']) }
      this.#known.set(own, type)
      return type
    }
    if (kind === 'fixed') {
      const size = json['size']
      if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0)
        throw new InvalidSchema(`invalid or no size: ${own}`)
      const type = { kind, ...head, size, properties: rest(json, [...common, 'size']) }
      this.#known.set(own, type)
      return type
    }
    const fields: Field[] = []
    // Known before its fields, which may refer to it.
    const type = { kind, ...head, fields, properties: rest(json, [...common, 'fields']) }
    this.#known.set(own, type)
    const list = need(json, 'fields', own)
    if (!Array.isArray(list)) throw new InvalidSchema(`record has no fields: ${own}`)
    const seen = new Set<string>()
    for (const each of list) {
      const field = this.#field(each, own, namespace)
      if (seen.has(field.name)) throw new InvalidSchema(`duplicate field ${field.name} in record ${own}`)
      seen.add(field.name)
      fields.push(field)
    }
    return type
  }

  #symbols(json: JsonObject, own: string): { symbols: string[]; default?: string } {
    if (!Array.isArray(json['symbols'])) throw new InvalidSchema(`enum has no symbols: ${own}`)
    const symbols = texts(json, 'symbols')
    for (const symbol of symbols) if (!nameWord.test(symbol)) throw new InvalidSchema(`illegal character in: ${symbol}`)
    if (new Set(symbols).size < symbols.length) throw new InvalidSchema(`duplicate enum symbol in ${own}`)
    const standard = json['default']
    if (standard === undefined) return { symbols }
    if (typeof standard !== 'string' || !symbols.includes(standard))
      throw new InvalidSchema(`the enum default ${JSON.stringify(standard)} is not in the enum symbol set of ${own}`)
    return { symbols, default: standard }
  }

  #field(json: unknown, record: string, namespace: string): Field {
    if (!isObject(json)) throw new InvalidSchema(`a field of ${record} is no object`)
    const { name, order } = json
    if (typeof name !== 'string' || !nameWord.test(name))
      throw new InvalidSchema(`illegal field name ${JSON.stringify(name)} in ${record}`)
    if (order !== undefined && (typeof order !== 'string' || !orders.includes(order.toLowerCase())))
      throw new InvalidSchema(`illegal order of field ${record}.${name}`)
    const type = this.type(need(json, 'type', `${record}.${name}`), namespace)
    return {
      name,
      type,
      aliases: texts(json, 'aliases'),
      ...docOf(json),
      ...(order === undefined ? {} : { order: order as string }), // checked above
      ...('default' in json ? { default: { value: json['default'] } } : {}),
      properties: rest(json, ['name', 'type', 'aliases', 'doc', 'order', 'default']),
    }
  }
}

const isPrimitive = (name: unknown): name is Primitive => primitives.some((each) => each === name)

function nameOf(json: JsonObject, kind: string, outer: string): { name: string; namespace: string } {
  const written = json['name']
  if (typeof written !== 'string' || written === '') throw new InvalidSchema(`no name in ${kind}`)
  const given = json['namespace']
  if (given !== undefined && given !== null && typeof given !== 'string')
    throw new InvalidSchema(`the namespace of ${written} is no string`)
  const dot = written.lastIndexOf('.')
  const name = written.slice(dot + 1)
  const namespace = dot >= 0 ? written.slice(0, dot) : (given ?? outer)
  for (const word of namespace === '' ? [name] : [...namespace.split('.'), name])
    if (!nameWord.test(word)) throw new InvalidSchema(`illegal character in: ${written}`)
  if (isPrimitive(name) && namespace === '') throw new InvalidSchema(`a type may not be named ${name}`)
  return { name, namespace }
}

function texts(json: JsonObject, key: string): string[] {
  const list = json[key] ?? []
  if (!Array.isArray(list) || list.some((each) => typeof each !== 'string'))
    throw new InvalidSchema(`${key} must be a list of strings`)
  return list as string[] // checked in the line above
}

const docOf = (json: JsonObject): { doc?: string } => (typeof json['doc'] === 'string' ? { doc: json['doc'] } : {})

function need(json: JsonObject, key: string, of: string): unknown {
  if (json[key] === undefined) throw new InvalidSchema(`no ${key} in ${of}`)
  return json[key]
}

function rest(json: JsonObject, known: readonly string[]): JsonObject {
  return Object.fromEntries(Object.entries(json).filter(([key]) => !known.includes(key)))
}

/** All named types in a type, itself included. */
export function namedTypes(type: AvroType, found = new Map<string, NamedType>()): Map<string, NamedType> {
  if (isNamed(type)) {
    if (found.has(fullName(type))) return found
    found.set(fullName(type), type)
  }
  if ('fields' in type) for (const field of type.fields) namedTypes(field.type, found)
  if (type.kind === 'array') namedTypes(type.items, found)
  if (type.kind === 'map') namedTypes(type.values, found)
  if (type.kind === 'union') for (const branch of type.branches) namedTypes(branch, found)
  return found
}
