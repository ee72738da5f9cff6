/** Avro type → text, in one form: attributes in the order of the specification, then the others; each named type where it is first met. */
import { printJson, sortedKeys } from '../json-text.ts'
import { type AvroType, type Field, fullName, isNamed, type NamedType, type Properties } from './type.ts'

/** `sorted`: attributes that the specification does not name are in the order of their names. `known`: full names defined elsewhere. */
export function printAvro(type: AvroType, known: Iterable<string>, sorted: boolean): string {
  const met = new Set(known)
  const others = (properties: Properties): Properties => (sorted ? (sortedKeys(properties) as Properties) : properties)

  const json = (each: AvroType, namespace: string): unknown => {
    if (each.kind === 'union') return each.branches.map((branch) => json(branch, namespace))
    if (isNamed(each)) return named(each, namespace)
    const { properties } = each
    if (each.kind === 'array') return { type: 'array', items: json(each.items, namespace), ...others(properties) }
    if (each.kind === 'map') return { type: 'map', values: json(each.values, namespace), ...others(properties) }
    return Object.keys(properties).length === 0 ? each.kind : { type: each.kind, ...others(properties) }
  }

  const named = (each: NamedType, outer: string): unknown => {
    const own = fullName(each)
    if (met.has(own)) return each.namespace === outer ? each.name : own
    met.add(own)
    const { name, namespace, doc } = each
    const head = { type: each.kind, name, ...(namespace === outer ? {} : { namespace }), ...(doc === undefined ? {} : { doc }) }
    const aliases = each.aliases.map((alias) => withoutNamespace(alias, namespace))
    const tail = { ...(aliases.length === 0 ? {} : { aliases }), ...others(each.properties) }
    if (each.kind === 'enum')
      return { ...head, symbols: each.symbols, ...(each.default === undefined ? {} : { default: each.default }), ...tail }
    if (each.kind === 'fixed') return { ...head, size: each.size, ...tail }
    return { ...head, fields: each.fields.map((field) => fieldJson(field, namespace)), ...tail }
  }

  const fieldJson = (field: Field, namespace: string): object => ({
    name: field.name,
    type: json(field.type, namespace),
    ...(field.doc === undefined ? {} : { doc: field.doc }),
    ...(field.default === undefined ? {} : { default: field.default.value }),
    ...(field.order === undefined || field.order === 'ascending' ? {} : { order: field.order }),
    ...(field.aliases.length === 0 ? {} : { aliases: field.aliases }),
    ...others(field.properties),
  })

  return printJson(json(type, ''))
}

function withoutNamespace(name: string, namespace: string): string {
  return name.slice(0, name.lastIndexOf('.')) === namespace ? name.slice(namespace.length + 1) : name
}
