/** Values of Lua 5.1: nil is undefined, strings are bytes as latin1, numbers are doubles. */

export type LuaValue = undefined | boolean | number | string | LuaTable | LuaFunction | Coroutine

/** What a native function returns that has to wait; see {@link Machine.resume} in machine.ts. */
export const suspended = Symbol('suspended')

export type Native = (args: readonly LuaValue[]) => readonly LuaValue[] | typeof suspended

/** A local variable that an inner function sees. */
export interface Cell {
  value: LuaValue
}

/** A function as compiled (compiler.ts). */
export interface Prototype {
  readonly source: string
  readonly line: number
  /** Four numbers an instruction: operation, a, b, c. */
  code: Int32Array
  /** The line of each instruction. */
  lines: Int32Array
  constants: LuaValue[]
  prototypes: Prototype[]
  parameters: number
  isVararg: boolean
  registers: number
  /** Where each upvalue comes from: a register of the enclosing function, or one of its upvalues. */
  upvalues: readonly { readonly fromParent: boolean; readonly index: number }[]
  /** What operands of an instruction are called, for messages: by instruction, and whether it is the first or second. */
  names: Map<number, string>
}

export class LuaFunction {
  readonly prototype: Prototype | null
  readonly upvalues: readonly Cell[]
  readonly native: Native | null
  readonly name: string
  environment: LuaTable

  constructor(
    prototype: Prototype | null,
    upvalues: readonly Cell[],
    native: Native | null,
    name: string,
    environment: LuaTable,
  ) {
    this.prototype = prototype
    this.upvalues = upvalues
    this.native = native
    this.name = name
    this.environment = environment
  }
}

/** Stands for a coroutine; what it does is in machine.ts. */
export class Coroutine {
  readonly thread: unknown
  constructor(thread: unknown) {
    this.thread = thread
  }
}

export class LuaError extends Error {
  readonly value: LuaValue
  constructor(value: LuaValue) {
    super(typeof value === 'string' ? value : `(error object is a ${typeName(value)} value)`)
    this.value = value
  }
}

/** One that the machine puts the place in front of, as it does with its own. */
export class UnplacedError extends LuaError {}

/** A table: what counts from 1 up is in a list, the rest by key, in the order of insertion so that `next` can go on from any key. */
export class LuaTable {
  #list: LuaValue[] = []
  #places: Map<LuaValue, number> | null = null
  #keys: LuaValue[] = []
  #values: LuaValue[] = []
  #removed = 0
  metatable: LuaTable | null = null
  /** Nothing may be assigned, not even by rawset. */
  isReadOnly = false

  get length(): number {
    return this.#list.length
  }

  get(key: LuaValue): LuaValue {
    if (typeof key === 'number') {
      const { length } = this.#list
      if (key > 0 && key <= length && Number.isInteger(key)) return this.#list[key - 1]
    }
    if (this.#places === null) return undefined
    const place = this.#places.get(key)
    return place === undefined ? undefined : this.#values[place]
  }

  /** A key of a string; the same as {@link get}, faster. */
  field(name: string): LuaValue {
    const place = this.#places?.get(name)
    return place === undefined ? undefined : this.#values[place]
  }

  set(key: LuaValue, value: LuaValue): void {
    if (this.isReadOnly) throw new UnplacedError('Attempt to modify a readonly table')
    if (typeof key === 'number') {
      const list = this.#list
      if (key > 0 && key <= list.length && Number.isInteger(key)) {
        list[key - 1] = value
        if (value === undefined && key === list.length) while (list.length > 0 && list.at(-1) === undefined) list.pop()
        return
      }
      if (key === list.length + 1) {
        if (value !== undefined) {
          this.#remove(key)
          list.push(value)
          this.#moveFollowing()
        } else this.#remove(key)
        return
      }
      if (Number.isNaN(key)) throw new UnplacedError('table index is NaN')
    } else if (key === undefined) throw new UnplacedError('table index is nil')
    this.#setByKey(key, value)
  }

  #setByKey(key: LuaValue, value: LuaValue): void {
    const place = this.#places?.get(key)
    if (place !== undefined) {
      if (value === undefined && this.#values[place] !== undefined) this.#removed++
      else if (value !== undefined && this.#values[place] === undefined) this.#removed--
      this.#values[place] = value
      return
    }
    if (value === undefined) return
    if (this.#removed > 32 && this.#removed > this.#keys.length / 2) this.#compact()
    this.#places ??= new Map()
    this.#places.set(key, this.#keys.length)
    this.#keys.push(key)
    this.#values.push(value)
  }

  /** The key stays until the next compaction, so that whoever iterates may go on from it. */
  #remove(key: LuaValue): void {
    if (this.#places !== null) this.#setByKey(key, undefined)
  }

  #moveFollowing(): void {
    if (this.#places === null) return
    for (;;) {
      const key = this.#list.length + 1
      const place = this.#places.get(key)
      const value = place === undefined ? undefined : this.#values[place]
      if (value === undefined) return
      this.#setByKey(key, undefined)
      this.#list.push(value)
    }
  }

  #compact(): void {
    const keys = this.#keys
    const values = this.#values
    this.#places = new Map()
    this.#keys = []
    this.#values = []
    this.#removed = 0
    for (const [at, key] of keys.entries()) if (values[at] !== undefined) this.#setByKey(key, values[at])
  }

  /** The entry behind a key (nil: the first), or null at the end. */
  next(key: LuaValue): [LuaValue, LuaValue] | null {
    let at = 0
    const list = this.#list
    if (key !== undefined) {
      if (typeof key === 'number' && key > 0 && key <= list.length && Number.isInteger(key)) at = key
      else {
        const place = this.#places?.get(key)
        if (place === undefined) {
          // It was the last of the list, and is gone since.
          if (typeof key !== 'number' || key !== list.length + 1) throw new UnplacedError("invalid key to 'next'")
          at = list.length
        } else return this.#nextKey(place + 1)
      }
    }
    for (; at < list.length; at++) if (list[at] !== undefined) return [at + 1, list[at]]
    return this.#nextKey(0)
  }

  #nextKey(from: number): [LuaValue, LuaValue] | null {
    for (let at = from; at < this.#keys.length; at++)
      if (this.#values[at] !== undefined) return [this.#keys[at], this.#values[at]]
    return null
  }

  /** The list from 1 on. Not to be changed by others than table functions of the library. */
  get list(): LuaValue[] {
    return this.#list
  }

  static of(entries: Readonly<Record<string, LuaValue>>): LuaTable {
    const table = new LuaTable()
    for (const [name, value] of Object.entries(entries)) table.set(name, value)
    return table
  }

  static list(values: readonly LuaValue[]): LuaTable {
    const table = new LuaTable()
    for (const [at, value] of values.entries()) table.set(at + 1, value)
    return table
  }
}

export function typeName(value: LuaValue): string {
  switch (typeof value) {
    case 'undefined':
      return 'nil'
    case 'boolean':
    case 'number':
    case 'string':
      return typeof value
    default:
      if (value instanceof LuaTable) return 'table'
      if (value instanceof LuaFunction) return 'function'
      return value instanceof Coroutine ? 'thread' : 'userdata'
  }
}

/** As `%.14g`. */
export function numberText(value: number): string {
  if (Number.isInteger(value) && Math.abs(value) < 1e14) return Object.is(value, -0) ? '-0' : String(value)
  if (Number.isNaN(value)) return 'nan'
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf'
  return shortest(value, 14)
}

/** As C's `%.<digits>g`. */
export function shortest(value: number, digits: number, upper = false): string {
  if (value === 0) return Object.is(value, -0) ? '-0' : '0'
  const precision = digits === 0 ? 1 : digits
  const exponent = Number(value.toExponential(precision - 1).split('e')[1])
  let text: string
  if (exponent < -4 || exponent >= precision) {
    const [mantissa = '', power = ''] = value.toExponential(precision - 1).split('e')
    const trimmed = mantissa.includes('.') ? mantissa.replace(/\.?0+$/, '') : mantissa
    text = `${trimmed}e${power.startsWith('-') ? '-' : '+'}${power.replace(/^[+-]/, '').padStart(2, '0')}`
  } else {
    const fixed = value.toFixed(Math.max(0, precision - 1 - exponent))
    text = fixed.includes('.') ? fixed.replace(/\.?0+$/, '') : fixed
  }
  return upper ? text.toUpperCase() : text
}

/** A number from text as `tonumber` and arithmetic read it; undefined: it is none. */
export function parseNumber(text: string): number | undefined {
  const trimmed = text.replace(/^[ \t\n\v\f\r]+|[ \t\n\v\f\r]+$/g, '')
  if (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(trimmed)) return Number(trimmed)
  const hex = /^([+-]?)0x([0-9a-f]+)$/i.exec(trimmed)
  if (hex !== null) return (hex[1] === '-' ? -1 : 1) * Number.parseInt(hex[2] ?? '', 16)
  const special = /^([+-]?)(inf(inity)?|nan)$/i.exec(trimmed)
  if (special === null) return undefined
  if (special[2]?.toLowerCase() === 'nan') return NaN
  return special[1] === '-' ? -Infinity : Infinity
}
