/**
 * What operators mean: arithmetic, comparing, joining, looking up, with the metamethods and the error messages of Lua 5.1. A machine says how functions are
 * called, and where in the code it is.
 */
import { nameKey, Op, partKey } from './compiler.ts'
import { LuaError, LuaFunction, LuaTable, type LuaValue, numberText, type Prototype, parseNumber, typeName } from './value.ts'

/** Characters of a string; JavaScript's own limit is a little above. */
const stringBytesMax = 0x1fff_0000

/** The one that runs: it knows the names of its operands. */
interface Instruction {
  readonly prototype: Prototype
  readonly at: number
}

export abstract class Operators {
  /** Of all strings. */
  stringMetatable: LuaTable | null = null

  /** Runs a function to its end. */
  abstract call(callee: LuaValue, args: readonly LuaValue[]): readonly LuaValue[]

  /** `source:line: ` of the function so many levels up that is not native; empty where there is none. */
  abstract where(level: number): string

  metatable(value: LuaValue): LuaTable | null {
    if (value instanceof LuaTable) return value.metatable
    return typeof value === 'string' ? this.stringMetatable : null
  }

  metamethod(value: LuaValue, event: string): LuaValue {
    return this.metatable(value)?.field(event)
  }

  index(object: LuaValue, key: LuaValue): LuaValue {
    let at = object
    for (let hops = 0; hops < 100; hops++) {
      let handler: LuaValue
      if (at instanceof LuaTable) {
        const found = at.get(key)
        if (found !== undefined || at.metatable === null) return found
        handler = at.metatable.field('__index')
        if (handler === undefined) return undefined
      } else {
        handler = this.metamethod(at, '__index')
        if (handler === undefined) throw this.error(`attempt to index a ${typeName(at)} value`)
      }
      if (handler instanceof LuaFunction) return this.call(handler, [at, key])[0]
      at = handler
    }
    throw this.error('loop in gettable')
  }

  protected indexOther(object: LuaValue, key: LuaValue, prototype: Prototype, pc: number): LuaValue {
    if (this.metamethod(object, '__index') === undefined) {
      const name = prototype.names.get(nameKey(pc, 0))
      throw this.error(
        name === undefined
          ? `attempt to index a ${typeName(object)} value`
          : `attempt to index ${name} (a ${typeName(object)} value)`,
      )
    }
    return this.index(object, key)
  }

  setIndex(object: LuaValue, key: LuaValue, value: LuaValue): void {
    let at = object
    for (let hops = 0; hops < 100; hops++) {
      let handler: LuaValue
      if (at instanceof LuaTable) {
        handler = at.metatable === null || at.get(key) !== undefined ? undefined : at.metatable.field('__newindex')
        if (handler === undefined) return at.set(key, value)
      } else {
        handler = this.metamethod(at, '__newindex')
        if (handler === undefined) throw this.error(`attempt to index a ${typeName(at)} value`)
      }
      if (handler instanceof LuaFunction) {
        this.call(handler, [at, key, value])
        return
      }
      at = handler
    }
    throw this.error('loop in settable')
  }

  protected setOther(object: LuaValue, key: LuaValue, value: LuaValue, prototype: Prototype, pc: number): void {
    if (this.metamethod(object, '__newindex') !== undefined) return this.setIndex(object, key, value)
    const name = prototype.names.get(nameKey(pc, 0))
    throw this.error(
      name === undefined
        ? `attempt to index a ${typeName(object)} value`
        : `attempt to index ${name} (a ${typeName(object)} value)`,
    )
  }

  protected arithmetic(op: number, one: LuaValue, other: LuaValue, frame: Instruction): LuaValue {
    const left = toNumber(one)
    const right = toNumber(other)
    if (left !== undefined && right !== undefined) return calculate(op, left, right)
    const event = arithmeticEvents[op] ?? ''
    const handler = this.metamethod(one, event) ?? this.metamethod(other, event)
    if (handler !== undefined) return this.call(handler, [one, other])[0]
    const operand = left === undefined ? 0 : 1
    throw this.#operandError(
      'perform arithmetic on',
      operand === 0 ? one : other,
      frame.prototype.names.get(nameKey(frame.at, operand)),
    )
  }

  protected negate(operand: LuaValue, frame: Instruction): LuaValue {
    const number = toNumber(operand)
    if (number !== undefined) return -number
    const handler = this.metamethod(operand, '__unm')
    if (handler !== undefined) return this.call(handler, [operand, operand])[0]
    throw this.#operandError('perform arithmetic on', operand, frame.prototype.names.get(nameKey(frame.at, 0)))
  }

  protected length(operand: LuaValue, frame: Instruction): LuaValue {
    if (typeof operand === 'string' || operand instanceof LuaTable) return operand.length
    throw this.#operandError('get length of', operand, frame.prototype.names.get(nameKey(frame.at, 0)))
  }

  protected concatenate(stack: readonly LuaValue[], from: number, to: number, frame: Instruction): LuaValue {
    let result = stack[to]
    for (let at = to - 1; at >= from; at--) {
      const left = stack[at]
      const one = concatText(left)
      const other = concatText(result)
      if (one === undefined || other === undefined) {
        const handler = this.metamethod(left, '__concat') ?? this.metamethod(result, '__concat')
        if (handler === undefined) {
          const place = one === undefined ? at : at + 1
          const name = frame.prototype.names.get(partKey(frame.at, place - from))
          throw this.#operandError('concatenate', one === undefined ? left : result, name)
        }
        result = this.call(handler, [left, result])[0]
        continue
      }
      if (one.length + other.length > stringBytesMax) throw new LuaError('not enough memory')
      result = one + other
    }
    return result
  }

  #operandError(what: string, operand: LuaValue, name: string | undefined): LuaError {
    return this.error(
      name === undefined
        ? `attempt to ${what} a ${typeName(operand)} value`
        : `attempt to ${what} ${name} (a ${typeName(operand)} value)`,
    )
  }

  equal(one: LuaValue, other: LuaValue): boolean {
    return one === other || (one instanceof LuaTable && other instanceof LuaTable && this.equalTables(one, other))
  }

  protected equalTables(one: LuaTable, other: LuaTable): boolean {
    const handler = one.metatable?.field('__eq')
    if (handler === undefined || handler !== other.metatable?.field('__eq')) return false
    return isTrue(this.call(handler, [one, other])[0])
  }

  lessThan(one: LuaValue, other: LuaValue): boolean {
    if (typeof one === 'number' && typeof other === 'number') return one < other
    if (typeof one === 'string' && typeof other === 'string') return one < other
    const handler = this.metamethod(one, '__lt') ?? this.metamethod(other, '__lt')
    if (handler === undefined) throw this.#compareError(one, other)
    return isTrue(this.call(handler, [one, other])[0])
  }

  protected lessOrEqual(one: LuaValue, other: LuaValue): boolean {
    if (typeof one === 'string' && typeof other === 'string') return one <= other
    const handler = this.metamethod(one, '__le') ?? this.metamethod(other, '__le')
    if (handler !== undefined) return isTrue(this.call(handler, [one, other])[0])
    const less = this.metamethod(one, '__lt') ?? this.metamethod(other, '__lt')
    if (less === undefined) throw this.#compareError(one, other)
    return !isTrue(this.call(less, [other, one])[0])
  }

  #compareError(one: LuaValue, other: LuaValue): LuaError {
    const left = typeName(one)
    const right = typeName(other)
    return this.error(left === right ? `attempt to compare two ${left} values` : `attempt to compare ${left} with ${right}`)
  }

  /** As `tostring`. */
  text(value: LuaValue): string {
    const handler = this.metamethod(value, '__tostring')
    if (handler !== undefined) {
      const [result] = this.call(handler, [value])
      if (typeof result !== 'string' && typeof result !== 'number') throw this.error("'tostring' must return a string to 'print'")
      return typeof result === 'string' ? result : numberText(result)
    }
    switch (typeof value) {
      case 'undefined':
        return 'nil'
      case 'boolean':
        return String(value)
      case 'number':
        return numberText(value)
      case 'string':
        return value
      default:
        return `${typeName(value)}: 0x${idOf(value).toString(16).padStart(12, '0')}`
    }
  }

  protected error(message: string): LuaError {
    return new LuaError(this.where(1) + message)
  }
}

const arithmeticEvents: Readonly<Record<number, string>> = {
  [Op.Add]: '__add',
  [Op.Subtract]: '__sub',
  [Op.Multiply]: '__mul',
  [Op.Divide]: '__div',
  [Op.Modulo]: '__mod',
  [Op.Power]: '__pow',
}

export function calculate(op: number, one: number, other: number): number {
  switch (op) {
    case Op.Add:
      return one + other
    case Op.Subtract:
      return one - other
    case Op.Multiply:
      return one * other
    case Op.Divide:
      return one / other
    case Op.Modulo:
      return one - Math.floor(one / other) * other
    default:
      return one ** other
  }
}

export const isTrue = (value: LuaValue): boolean => value !== undefined && value !== false

export function toNumber(value: LuaValue): number | undefined {
  if (typeof value === 'number') return value
  return typeof value === 'string' ? parseNumber(value) : undefined
}

function concatText(value: LuaValue): string | undefined {
  if (typeof value === 'string') return value
  return typeof value === 'number' ? numberText(value) : undefined
}

const ids = new WeakMap<object, number>()
let lastId = 0x5500_0000

function idOf(value: object): number {
  let id = ids.get(value)
  if (id === undefined) {
    id = lastId += 32
    ids.set(value, id)
  }
  return id
}
