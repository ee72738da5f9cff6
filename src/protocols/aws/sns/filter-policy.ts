/**
 * Filter policies: which messages a subscription gets, by their attributes or by their body. A policy is checked and compiled once; asking it
 * never throws. Every operator of the service: exact values, prefix, suffix, wildcard, equals-ignore-case, anything-but (also of these), numeric,
 * exists, cidr and $or.
 */
import { BlockList, isIP } from 'node:net'
import { invalidParameter } from '../errors.ts'
import { type Fields, isFields } from '../input.ts'
import { baseType, type MessageAttribute } from '../message-attributes.ts'

export type Scope = 'MessageAttributes' | 'MessageBody'

export interface Filterable {
  readonly body: string
  readonly attributes: readonly MessageAttribute[]
}

export type Policy = (message: Filterable) => boolean

/** Values at a path; undefined: there is nothing. */
type Values = readonly unknown[] | undefined
type Test = (values: Values) => boolean
/** What is known by name: of attributes one level, of a body as deep as it goes. */
type Lookup = (path: readonly string[]) => Values
type Condition = (lookup: Lookup) => boolean

const policyBytesMax = 256 * 1024
const attributeKeysMax = 5
const valuesMax = 150
const depthMax = 10

const bad = (reason: string) => invalidParameter(`FilterPolicy: ${reason}`)

/** Throws InvalidParameter. */
export function compilePolicy(text: string, scope: Scope): Policy {
  if (Buffer.byteLength(text) > policyBytesMax) throw bad('the policy is larger than 256 KB')
  let policy: unknown
  try {
    policy = JSON.parse(text)
  } catch {
    throw bad('failed to parse JSON.')
  }
  if (!isFields(policy)) throw bad('Filter policy must be an object')
  const compiler = new Compiler(scope)
  const condition = compiler.object(policy, [])
  if (compiler.combinations > valuesMax) throw bad('Filter policy is too complex')
  return scope === 'MessageBody'
    ? ({ body }) => matchesBody(condition, body)
    : ({ attributes }) => {
        const values = new Map(attributes.map((attribute) => [attribute.name, attributeValues(attribute)]))
        return condition(([name = '']) => values.get(name))
      }
}

function matchesBody(condition: Condition, body: string): boolean {
  try {
    const value: unknown = JSON.parse(body)
    return isFields(value) && condition((path) => valuesAt([value], path))
  } catch {
    return false // What is no JSON matches no policy.
  }
}

/** Of an array each element counts, on every level. */
function valuesAt(values: readonly unknown[], path: readonly string[]): Values {
  const [name, ...rest] = path
  const flat = values.flat(depthMax)
  if (name === undefined) return flat
  const found = flat.filter((value) => isFields(value) && Object.hasOwn(value, name)).map((value) => (value as Fields)[name])
  return found.length === 0 ? undefined : valuesAt(found, rest)
}

/** Bytes match nothing. */
function attributeValues({ type, value }: MessageAttribute): readonly unknown[] | undefined {
  if (baseType(type) === 'Binary') return undefined
  if (baseType(type) === 'Number') return [Number(value)]
  if (type !== 'String.Array') return [value]
  try {
    const list: unknown = JSON.parse(value)
    return Array.isArray(list) ? list : [value]
  } catch {
    return [value]
  }
}

class Compiler {
  readonly #scope: Scope
  combinations = 1
  #keys = 0

  constructor(scope: Scope) {
    this.#scope = scope
  }

  object(policy: Fields, path: readonly string[]): Condition {
    if (path.length > depthMax) throw bad('Filter policy is nested too deep')
    const conditions: Condition[] = []
    for (const [name, value] of Object.entries(policy)) {
      if (name === '$or' && Array.isArray(value)) {
        conditions.push(this.#or(value, path))
        continue
      }
      const at = [...path, name]
      if (Array.isArray(value)) conditions.push(this.#anyOf(value, at))
      else if (isFields(value) && this.#scope === 'MessageBody') conditions.push(this.object(value, at))
      else throw bad(`"${name}" must be ${this.#scope === 'MessageBody' ? 'an object or an array' : 'an array'}`)
    }
    return (lookup) => conditions.every((condition) => condition(lookup))
  }

  #or(alternatives: readonly unknown[], path: readonly string[]): Condition {
    if (alternatives.length < 2) throw bad('There must be at least two elements in "$or"')
    const conditions = alternatives.map((each) => {
      if (!isFields(each) || Object.keys(each).length === 0) throw bad('"$or" must be an array of objects')
      return this.object(each, path)
    })
    return (lookup) => conditions.some((condition) => condition(lookup))
  }

  #anyOf(rules: readonly unknown[], path: readonly string[]): Condition {
    if (rules.length === 0) throw bad('Empty arrays are not allowed')
    if (++this.#keys > attributeKeysMax && this.#scope === 'MessageAttributes')
      throw bad(`Filter policy can not have more than ${attributeKeysMax} keys`)
    this.combinations *= rules.length
    const tests = rules.map(testOf)
    return (lookup) => {
      const values = lookup(path)
      return tests.some((test) => test(values))
    }
  }
}

const some =
  (holds: (value: unknown) => boolean): Test =>
  (values) =>
    values?.some(holds) ?? false

function testOf(rule: unknown): Test {
  if (rule === null || typeof rule === 'string' || typeof rule === 'number' || typeof rule === 'boolean')
    return some((value) => value === rule)
  if (!isFields(rule)) throw bad('Match value must be String, number, true, false, or null')
  const [[operator, operand] = ['', null], ...more] = Object.entries(rule)
  if (more.length > 0) throw bad('Only one key allowed in match expression')
  if (operator === 'exists') {
    if (typeof operand !== 'boolean') throw bad('exists match pattern must be either true or false.')
    return (values) => (values !== undefined) === operand
  }
  if (operator === 'anything-but') return anythingBut(operand)
  const holds = operators[operator]
  if (holds === undefined) throw bad(`Unrecognized match type ${operator}`)
  return some(holds(operand))
}

const textual =
  (operator: string, holds: (value: string, operand: string) => boolean) =>
  (operand: unknown): ((value: unknown) => boolean) => {
    if (typeof operand !== 'string') throw bad(`${operator} match pattern must be a string`)
    return (value) => typeof value === 'string' && holds(value, operand)
  }

const operators: Readonly<Record<string, (operand: unknown) => (value: unknown) => boolean>> = {
  prefix: textual('prefix', (value, operand) => value.startsWith(operand)),
  suffix: textual('suffix', (value, operand) => value.endsWith(operand)),
  'equals-ignore-case': textual('equals-ignore-case', (value, operand) => value.toLowerCase() === operand.toLowerCase()),
  wildcard: (operand) => {
    if (typeof operand !== 'string') throw bad('wildcard match pattern must be a string')
    if (operand.includes('**')) throw bad('Consecutive wildcard characters are not allowed')
    return (value) => typeof value === 'string' && matchesWildcard(operand.split('*'), value)
  },
  numeric,
  cidr,
}

/** Pieces between asterisks, the first and the last at their ends; the leftmost place of each is as good as any. */
function matchesWildcard(pieces: readonly string[], value: string): boolean {
  const [first = '', ...rest] = pieces
  if (rest.length === 0) return value === first
  const last = rest.pop() ?? ''
  if (!value.startsWith(first) || value.length < first.length + last.length || !value.endsWith(last)) return false
  let at = first.length
  for (const piece of rest) {
    const found = value.indexOf(piece, at)
    if (found < 0) return false
    at = found + piece.length
  }
  return at <= value.length - last.length
}

const comparisons: Readonly<Record<string, (value: number, bound: number) => boolean>> = {
  '=': (value, bound) => value === bound,
  '<': (value, bound) => value < bound,
  '<=': (value, bound) => value <= bound,
  '>': (value, bound) => value > bound,
  '>=': (value, bound) => value >= bound,
}

function numeric(operand: unknown): (value: unknown) => boolean {
  if (!Array.isArray(operand) || (operand.length !== 2 && operand.length !== 4))
    throw bad('Value of numeric must be an array of one or two comparisons')
  const parts: ((value: number) => boolean)[] = []
  for (let index = 0; index < operand.length; index += 2) {
    const [sign, bound] = [operand[index] as unknown, operand[index + 1] as unknown]
    const compare = typeof sign === 'string' ? comparisons[sign] : undefined
    if (compare === undefined) throw bad(`Unrecognized numeric range operator: ${String(sign)}`)
    if (typeof bound !== 'number' || Math.abs(bound) > 1e9)
      throw bad(`Value of ${String(sign)} must be numeric, between -10^9 and 10^9`)
    parts.push((value) => compare(value, bound))
  }
  if (operand.length === 4 && !(/^>/.test(String(operand[0])) && /^</.test(String(operand[2])) && operand[1] < operand[3]))
    throw bad('Bottom must be less than top')
  return (value) => typeof value === 'number' && parts.every((holds) => holds(value))
}

function cidr(operand: unknown): (value: unknown) => boolean {
  const [address = '', bits, ...more] = typeof operand === 'string' ? operand.split('/') : []
  const version = isIP(address)
  const prefix = bits === undefined || !/^\d{1,3}$/.test(bits) ? -1 : Number(bits)
  if (version === 0 || more.length > 0 || prefix < 0 || prefix > (version === 4 ? 32 : 128))
    throw bad(`Malformed CIDR, one '/' required`)
  const family = version === 4 ? 'ipv4' : 'ipv6'
  const block = new BlockList()
  block.addSubnet(address, prefix, family)
  return (value) => typeof value === 'string' && isIP(value) === version && block.check(value, family)
}

/** Something is there that is none of these. */
function anythingBut(operand: unknown): Test {
  const refused = isFields(operand) ? anyPattern(operand) : anyValue(Array.isArray(operand) ? operand : [operand])
  return some((value) => !refused(value))
}

function anyValue(values: readonly unknown[]): (value: unknown) => boolean {
  if (values.length === 0 || !values.every((value) => typeof value === 'string' || typeof value === 'number'))
    throw bad('Inside anything-but list, values must be strings or numbers')
  const list: readonly unknown[] = values
  return (value) => list.includes(value)
}

function anyPattern(operand: Fields): (value: unknown) => boolean {
  const [[operator, given] = ['', null], ...more] = Object.entries(operand)
  const holds = ['prefix', 'suffix', 'wildcard', 'equals-ignore-case'].includes(operator) ? operators[operator] : undefined
  if (holds === undefined || more.length > 0) throw bad(`Unsupported anything-but pattern: ${operator}`)
  const patterns = (Array.isArray(given) ? given : [given]).map(holds)
  return (value) => patterns.some((matches) => matches(value))
}
