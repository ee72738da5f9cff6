/**
 * The values of selectors, and what can be done with them: three-valued logic, comparisons, arithmetic, LIKE. All of it is total.
 */
/** null is unknown. */
export type SelectorValue = string | number | bigint | boolean | null
/** A value of a type that selectors have no word for: unknown in every operation, but not null. */
export const opaque: unique symbol = Symbol('opaque')
export type Value = SelectorValue | typeof opaque

export type Truth = boolean | null
export type Comparison = (left: SelectorValue | typeof opaque, right: SelectorValue | typeof opaque) => Truth

export const truth = (value: SelectorValue | typeof opaque): Truth => (typeof value === 'boolean' ? value : null)
export const negated = (value: SelectorValue | typeof opaque): Truth => (typeof value === 'boolean' ? !value : null)
export const conjunction = (left: Truth, right: Truth): Truth =>
  left === false || right === false ? false : left === null || right === null ? null : true

const isNumber = (value: unknown): value is number | bigint => typeof value === 'number' || typeof value === 'bigint'

/** Compares exact and floating-point numbers by their values, as the language does. */
export const equal: Comparison = (left, right) => {
  if (left === null || right === null || left === opaque || right === opaque) return null
  if (isNumber(left) && isNumber(right)) return left >= right && left <= right
  return typeof left === typeof right && left === right
}

function ordered(holds: (order: boolean, same: boolean) => boolean): Comparison {
  return (left, right) => {
    if (left === null || right === null || left === opaque || right === opaque) return null
    const comparable = (isNumber(left) && isNumber(right)) || (typeof left === 'string' && typeof right === 'string')
    if (!comparable) return false
    const same = equal(left, right) === true
    // What is neither less nor equal is greater, but for what is no number.
    if (!same && !(left < right) && !(left > right)) return false
    return holds(left < right, same)
  }
}

export const atLeast = ordered((less, same) => same || !less)
export const atMost = ordered((less, same) => same || less)

export const comparisons: Readonly<Record<string, Comparison>> = {
  '=': equal,
  '<>': (left, right) => negated(equal(left, right)),
  '!=': (left, right) => negated(equal(left, right)),
  '<': ordered((less, same) => less && !same),
  '<=': atMost,
  '>': ordered((less, same) => !less && !same),
  '>=': atLeast,
}

// ------------------------------------------------------------------------------------------------------------------ arithmetic

export interface Operator {
  exact(left: bigint, right: bigint): bigint | null
  floating(left: number, right: number): number
}

export const add: Operator = { exact: (left, right) => left + right, floating: (left, right) => left + right }
export const subtract: Operator = { exact: (left, right) => left - right, floating: (left, right) => left - right }
export const multiply: Operator = { exact: (left, right) => left * right, floating: (left, right) => left * right }
export const divide: Operator = {
  exact: (left, right) => (right === 0n ? null : left / right),
  floating: (left, right) => left / right,
}

/** Two integers give an integer (of 64 bits, and cut off when divided), else it is floating-point. What is no number makes it unknown. */
export function calculate(operator: Operator, left: Value, right: Value): SelectorValue {
  if (!isNumber(left) || !isNumber(right)) return null
  if (typeof left !== 'bigint' || typeof right !== 'bigint') return operator.floating(Number(left), Number(right))
  const result = operator.exact(left, right)
  return result === null ? null : BigInt.asIntN(64, result)
}

export function minus(value: SelectorValue | typeof opaque): SelectorValue {
  if (typeof value === 'bigint') return BigInt.asIntN(64, -value)
  return typeof value === 'number' ? -value : null
}

export const numberOrUnknown = (value: SelectorValue | typeof opaque): SelectorValue => (isNumber(value) ? value : null)

// ------------------------------------------------------------------------------------------------------------------------ LIKE

const anyOne = Symbol('one character')
const anyMany = Symbol('any number of characters')
export type LikePart = string | typeof anyOne | typeof anyMany

/** null when the pattern ends with its escape character. */
export function likeParts(pattern: string, escapeCharacter: string | null): LikePart[] | null {
  const parts: LikePart[] = []
  const characters = [...pattern]
  for (let index = 0; index < characters.length; index++) {
    const character = characters[index] as string // index < length
    if (character === escapeCharacter) {
      const next = characters[++index]
      if (next === undefined) return null
      parts.push(next)
    } else if (character === '%') {
      if (parts.at(-1) !== anyMany) parts.push(anyMany)
    } else parts.push(character === '_' ? anyOne : character)
  }
  return parts
}

/** Takes time in proportion to text times pattern at the most: when it does not fit, only the last % is tried further on. */
export function isLike(text: readonly string[], parts: readonly LikePart[]): boolean {
  let at = 0
  let part = 0
  let retryPart = -1
  let retryAt = 0
  while (at < text.length) {
    const wanted = parts[part]
    if (wanted === anyMany) {
      retryPart = ++part
      retryAt = at
    } else if (wanted !== undefined && (wanted === anyOne || wanted === text[at])) {
      part++
      at++
    } else if (retryPart >= 0) {
      part = retryPart
      at = ++retryAt
    } else return false
  }
  while (parts[part] === anyMany) part++
  return part === parts.length
}
