/**
 * Forms of the Query protocol → the shape that the JSON protocol has. Members of lists and maps are numbered from 1:
 * `Attribute.1.Name=…&Attribute.1.Value=…` (SQS) or `Attributes.entry.1.key=…` (SNS). A table for each action says what is written how; what is
 * in no table is text under its own name.
 */
import type { Fields } from './input.ts'

export type Shape =
  | { readonly list: string; readonly of: Shapes | 'text' }
  | { readonly map: string; readonly key: string; readonly value: string; readonly of: Shapes | 'text' }
  | { readonly structure: Shapes }

/** JSON name → how a form writes it. */
export type Shapes = Readonly<Record<string, Shape>>

type Tree = Map<string, Tree | string>

const fieldsMax = 5000
const depthMax = 8

/** null: it is no form that any client would send. */
export function formFields(form: URLSearchParams, shapes: Shapes): Fields | null {
  const tree: Tree = new Map()
  let count = 0
  for (const [name, value] of form) {
    if (++count > fieldsMax || !plant(tree, name.split('.'), value)) return null
  }
  return structure(tree, shapes)
}

/** False when the name is too deep, or is a value as well as a branch. */
function plant(tree: Tree, path: readonly string[], value: string): boolean {
  if (path.length > depthMax) return false
  let at = tree
  for (const step of path.slice(0, -1)) {
    let next = at.get(step)
    if (next === undefined) {
      next = new Map()
      at.set(step, next)
    }
    if (typeof next === 'string') return false
    at = next
  }
  const last = path.at(-1) ?? ''
  if (at.get(last) instanceof Map) return false
  at.set(last, value)
  return true
}

function structure(tree: Tree, shapes: Shapes): Fields {
  const fields: Record<string, unknown> = {}
  for (const [name, value] of tree) if (typeof value === 'string' && shapes[name] === undefined) fields[name] = value
  for (const [name, shape] of Object.entries(shapes)) {
    if ('structure' in shape) {
      const inner = tree.get(name)
      if (inner instanceof Map) fields[name] = structure(inner, shape.structure)
      continue
    }
    const numbered = find(tree, 'list' in shape ? shape.list : shape.map)
    if (!(numbered instanceof Map)) continue
    const members = inOrder(numbered)
    fields[name] =
      'list' in shape
        ? members.map((member) => memberValue(member, shape.of))
        : Object.fromEntries(members.flatMap(pairOf(shape)))
  }
  return fields
}

function pairOf({ key, value, of }: Extract<Shape, { map: string }>) {
  return (member: Tree | string): [string, unknown][] => {
    if (!(member instanceof Map)) return []
    const name = member.get(key)
    const found = member.get(value)
    return typeof name === 'string' ? [[name, memberValue(found ?? (of === 'text' ? '' : new Map()), of)]] : []
  }
}

const memberValue = (member: Tree | string, of: Shapes | 'text'): unknown =>
  member instanceof Map ? structure(member, of === 'text' ? {} : of) : member

function find(tree: Tree, path: string): Tree | string | undefined {
  let at: Tree | string | undefined = tree
  for (const step of path.split('.')) at = at instanceof Map ? at.get(step) : undefined
  return at
}

/** By their numbers, which may have gaps. */
function inOrder(numbered: Tree): (Tree | string)[] {
  return [...numbered]
    .filter(([number]) => /^\d{1,6}$/.test(number))
    .sort(([a], [b]) => Number(a) - Number(b))
    .map(([, value]) => value)
}
