/** The base, table, math and coroutine functions of Lua 5.1, without those that read files or print. */
import { compile } from './compiler.ts'
import { type Machine, Thread } from './machine.ts'
import { isTrue, toNumber } from './operators.ts'
import { Coroutine, LuaError, LuaFunction, LuaTable, type LuaValue, typeName } from './value.ts'

export type Args = readonly LuaValue[]
type Functions = Readonly<Record<string, (args: Args) => readonly LuaValue[] | symbol>>

/** Arguments of one call of a library function, checked as Lua's library checks them. */
export class Arguments {
  readonly #machine: Machine
  readonly #name: string

  constructor(machine: Machine, name: string) {
    this.#machine = machine
    this.#name = name
  }

  error(place: number, message: string): LuaError {
    return new LuaError(`${this.#machine.where(1)}bad argument #${place} to '${this.#name}' (${message})`)
  }

  #expected(args: Args, place: number, what: string): LuaError {
    const got = place > args.length ? 'no value' : typeName(args[place - 1])
    return this.error(place, `${what} expected, got ${got}`)
  }

  number(args: Args, place: number): number {
    const value = args[place - 1]
    if (typeof value === 'number') return value
    const number = toNumber(value)
    if (number === undefined) throw this.#expected(args, place, 'number')
    return number
  }

  integer(args: Args, place: number, otherwise?: number): number {
    if (otherwise !== undefined && args[place - 1] === undefined) return otherwise
    const number = this.number(args, place)
    return Number.isNaN(number) ? 0 : Math.trunc(number)
  }

  string(args: Args, place: number, otherwise?: string): string {
    const value = args[place - 1]
    if (typeof value === 'string') return value
    if (typeof value === 'number') return this.#machine.text(value)
    if (value === undefined && otherwise !== undefined) return otherwise
    throw this.#expected(args, place, 'string')
  }

  table(args: Args, place: number): LuaTable {
    const value = args[place - 1]
    if (!(value instanceof LuaTable)) throw this.#expected(args, place, 'table')
    return value
  }

  any(args: Args, place: number): LuaValue {
    if (place > args.length) throw this.error(place, 'value expected')
    return args[place - 1]
  }
}

export function install(machine: Machine, into: LuaTable, make: (arguments_: (name: string) => Arguments) => Functions): void {
  const functions = make((name) => new Arguments(machine, name))
  for (const [name, run] of Object.entries(functions))
    into.set(name, machine.native(name, run as (args: Args) => readonly LuaValue[]))
}

export function installLibrary(machine: Machine): void {
  const { globals } = machine
  globals.set('_G', globals)
  globals.set('_VERSION', 'Lua 5.1')
  install(machine, globals, (check) => baseFunctions(machine, check))
  for (const [name, make] of Object.entries({ table: tableFunctions, math: mathFunctions, coroutine: coroutineFunctions })) {
    const library = new LuaTable()
    install(machine, library, (check) => make(machine, check))
    globals.set(name, library)
  }
  const math = globals.get('math') as LuaTable // just made
  math.set('pi', Math.PI)
  math.set('huge', Infinity)
}

type Check = (name: string) => Arguments

function baseFunctions(machine: Machine, check: Check): Functions {
  const next = check('next')
  const select = check('select')
  const setmeta = check('setmetatable')
  const load = (source: string, name: string): readonly LuaValue[] => {
    try {
      return [machine.function(compile(source, name))]
    } catch (cause) {
      if (!(cause instanceof LuaError)) throw cause
      return [undefined, cause.value]
    }
  }
  const nextFunction = (args: Args): readonly LuaValue[] => {
    const entry = next.table(args, 1).next(args[1])
    return entry ?? [undefined]
  }
  const nextValue = machine.native('next', nextFunction)
  const inext = machine.native('inext', (args) => {
    const at = (args[1] as number) + 1
    const value = machine.index(args[0], at)
    return value === undefined ? [undefined] : [at, value]
  })
  return {
    assert: (args) => {
      check('assert').any(args, 1)
      if (isTrue(args[0])) return args
      throw new LuaError(args.length > 1 ? args[1] : 'assertion failed!')
    },
    error: (args) => {
      const level = args[1] === undefined ? 1 : check('error').integer(args, 2)
      const [value] = args
      throw new LuaError(typeof value === 'string' && level > 0 ? machine.where(level) + value : value)
    },
    pcall: (args) => machine.protectedCall(check('pcall').any(args, 1), args.slice(1), undefined),
    xpcall: (args) => machine.protectedCall(args[0], [], args[1]),
    next: nextFunction,
    pairs: (args) => [nextValue, check('pairs').table(args, 1), undefined],
    ipairs: (args) => [inext, check('ipairs').table(args, 1), 0],
    rawequal: (args) => [args[0] === args[1]],
    rawget: (args) => [check('rawget').table(args, 1).get(args[1])],
    rawset: (args) => {
      check('rawset').table(args, 1).set(args[1], args[2])
      return [args[0]]
    },
    select: (args) => {
      if (args[0] === '#') return [args.length - 1]
      const from = select.integer(args, 1)
      const at = from < 0 ? args.length + from : from
      if (at < 1) throw select.error(1, 'index out of range')
      return args.slice(at)
    },
    tonumber: (args) => {
      const base = args[1] === undefined ? 10 : check('tonumber').integer(args, 2)
      if (base === 10) return [toNumber(check('tonumber').any(args, 1))]
      if (base < 2 || base > 36) throw check('tonumber').error(2, 'base out of range')
      return [parseInBase(check('tonumber').string(args, 1), base)]
    },
    tostring: (args) => [machine.text(check('tostring').any(args, 1))],
    type: (args) => [typeName(check('type').any(args, 1))],
    unpack: (args) => {
      const table = check('unpack').table(args, 1)
      const from = check('unpack').integer(args, 2, 1)
      const to = check('unpack').integer(args, 3, table.length)
      if (to - from >= 8000) throw new LuaError(`${machine.where(1)}too many results to unpack`)
      const values: LuaValue[] = []
      for (let at = from; at <= to; at++) values.push(table.get(at))
      return values
    },
    setmetatable: (args) => {
      const table = setmeta.table(args, 1)
      const metatable = args[1]
      if (metatable !== undefined && !(metatable instanceof LuaTable)) throw setmeta.error(2, 'nil or table expected')
      if (table.metatable?.field('__metatable') !== undefined)
        throw new LuaError(`${machine.where(1)}cannot change a protected metatable`)
      if (table.isReadOnly) throw new LuaError('Attempt to modify a readonly table')
      table.metatable = metatable ?? null
      return [table]
    },
    getmetatable: (args) => {
      const metatable = machine.metatable(check('getmetatable').any(args, 1))
      return [metatable?.field('__metatable') ?? metatable ?? undefined]
    },
    getfenv: (args) => [args[0] instanceof LuaFunction ? args[0].environment : machine.globals],
    setfenv: (args) => {
      const [target] = args
      if (!(target instanceof LuaFunction) || target.native !== null)
        throw new LuaError(`${machine.where(1)}'setfenv' cannot change environment of given object`)
      target.environment = check('setfenv').table(args, 2)
      return [target]
    },
    loadstring: (args) => {
      const source = check('loadstring').string(args, 1)
      return load(source, chunkName(check('loadstring').string(args, 2, source)))
    },
    load: (args) => {
      let source = ''
      for (;;) {
        const [piece] = machine.call(args[0], [])
        if (typeof piece !== 'string' || piece === '') break
        source += piece
      }
      return load(source, chunkName(check('load').string(args, 2, '=(load)')))
    },
    collectgarbage: (args) => [args[0] === 'count' ? process.memoryUsage().heapUsed / 1024 : 0],
  }
}

function chunkName(name: string): string {
  if (name.startsWith('@') || name.startsWith('=')) return name.slice(1)
  const [line = ''] = name.split('\n')
  return `[string "${line.length < name.length || line.length > 40 ? `${line.slice(0, 40)}...` : line}"]`
}

function parseInBase(text: string, base: number): number | undefined {
  const digits = text.trim().toLowerCase()
  const match = /^(-?)([0-9a-z]+)$/.exec(base === 16 ? digits.replace(/^(-?)0x/, '$1') : digits)
  if (match === null) return undefined
  let value = 0
  for (const digit of match[2] ?? '') {
    const worth = Number.parseInt(digit, 36)
    if (worth >= base) return undefined
    value = value * base + worth
  }
  return match[1] === '-' ? -value : value
}

// -------------------------------------------------------------------------------------------------------------------- tables

function tableFunctions(machine: Machine, check: Check): Functions {
  const insert = check('insert')
  const concat = check('concat')
  return {
    concat: (args) => {
      const table = concat.table(args, 1)
      const separator = concat.string(args, 2, '')
      const from = concat.integer(args, 3, 1)
      const to = concat.integer(args, 4, table.length)
      const parts: string[] = []
      for (let at = from; at <= to; at++) {
        const value = table.get(at)
        if (typeof value !== 'string' && typeof value !== 'number')
          throw new LuaError(`${machine.where(1)}invalid value (${typeName(value)}) at index ${at} in table for 'concat'`)
        parts.push(typeof value === 'string' ? value : machine.text(value))
      }
      return [parts.join(separator)]
    },
    insert: (args) => {
      const table = insert.table(args, 1)
      if (args.length === 2) table.set(table.length + 1, args[1])
      else if (args.length === 3) {
        const at = insert.integer(args, 2)
        for (let index = Math.max(table.length, at - 1); index >= at; index--) table.set(index + 1, table.get(index))
        table.set(at, args[2])
      } else throw new LuaError(`${machine.where(1)}wrong number of arguments to 'insert'`)
      return []
    },
    remove: (args) => {
      const table = check('remove').table(args, 1)
      const { length } = table
      const at = check('remove').integer(args, 2, length)
      if (at < 1 || at > length) return []
      const value = table.get(at)
      for (let index = at; index < length; index++) table.set(index, table.get(index + 1))
      table.set(length, undefined)
      return [value]
    },
    sort: (args) => {
      const table = check('sort').table(args, 1)
      const compare = args[1]
      if (table.isReadOnly) throw new LuaError('Attempt to modify a readonly table')
      const before =
        compare === undefined
          ? (a: LuaValue, b: LuaValue) => machine.lessThan(a, b)
          : (a: LuaValue, b: LuaValue) => isTrue(machine.call(compare, [a, b])[0])
      const sorted = [...table.list].sort((a, b) => (before(a, b) ? -1 : before(b, a) ? 1 : 0))
      for (const [index, value] of sorted.entries()) table.set(index + 1, value)
      return []
    },
    getn: (args) => [check('getn').table(args, 1).length],
    maxn: (args) => {
      let most = 0
      const table = check('maxn').table(args, 1)
      for (let entry = table.next(undefined); entry !== null; entry = table.next(entry[0]))
        if (typeof entry[0] === 'number' && entry[0] > most) [most] = [entry[0]]
      return [most]
    },
    foreach: (args) => {
      const table = check('foreach').table(args, 1)
      for (let entry = table.next(undefined); entry !== null; entry = table.next(entry[0])) {
        const [result] = machine.call(args[1], entry)
        if (result !== undefined) return [result]
      }
      return []
    },
    foreachi: (args) => {
      const table = check('foreachi').table(args, 1)
      for (let at = 1; at <= table.length; at++) {
        const [result] = machine.call(args[1], [at, table.get(at)])
        if (result !== undefined) return [result]
      }
      return []
    },
  }
}

// ---------------------------------------------------------------------------------------------------------------------- math

/** As C's rand of a fixed seed: scripts get the same numbers at each run, until they seed it themselves. */
class Generator {
  #state = 0n

  seed(value: number): void {
    this.#state = (BigInt.asUintN(32, BigInt(Math.trunc(value) || 0)) << 16n) | 0x330en
  }

  /** 0 to 1, without 1; 31 bits. */
  next(): number {
    this.#state = BigInt.asUintN(48, this.#state * 0x5deece66dn + 0xbn)
    return Number(this.#state >> 17n) / 2 ** 31
  }
}

function mathFunctions(machine: Machine, check: Check): Functions {
  const one =
    (name: string, run: (value: number) => number) =>
    (args: Args): readonly LuaValue[] => [run(check(name).number(args, 1))]
  const generator = new Generator()
  generator.seed(0)
  const functions: Record<string, (args: Args) => readonly LuaValue[]> = {}
  const simple: Readonly<Record<string, (value: number) => number>> = {
    abs: Math.abs,
    acos: Math.acos,
    asin: Math.asin,
    atan: Math.atan,
    ceil: Math.ceil,
    cos: Math.cos,
    cosh: Math.cosh,
    deg: (value) => (value * 180) / Math.PI,
    exp: Math.exp,
    floor: Math.floor,
    log: Math.log,
    log10: Math.log10,
    rad: (value) => (value * Math.PI) / 180,
    sin: Math.sin,
    sinh: Math.sinh,
    sqrt: Math.sqrt,
    tan: Math.tan,
    tanh: Math.tanh,
  }
  for (const [name, run] of Object.entries(simple)) functions[name] = one(name, run)
  return {
    ...functions,
    atan2: (args) => [Math.atan2(check('atan2').number(args, 1), check('atan2').number(args, 2))],
    fmod: (args) => [check('fmod').number(args, 1) % check('fmod').number(args, 2)],
    mod: (args) => [check('mod').number(args, 1) % check('mod').number(args, 2)],
    pow: (args) => [check('pow').number(args, 1) ** check('pow').number(args, 2)],
    ldexp: (args) => [check('ldexp').number(args, 1) * 2 ** check('ldexp').integer(args, 2)],
    frexp: (args) => fractionAndExponent(check('frexp').number(args, 1)),
    modf: (args) => {
      const value = check('modf').number(args, 1)
      const whole = Math.trunc(value)
      return [whole, Number.isFinite(value) ? value - whole : 0]
    },
    max: (args) => [Math.max(...numbers(args, check('max')))],
    min: (args) => [Math.min(...numbers(args, check('min')))],
    random: (args) => {
      const value = generator.next()
      if (args.length === 0) return [value]
      const arguments_ = check('random')
      const low = args.length === 1 ? 1 : arguments_.integer(args, 1)
      const high = arguments_.integer(args, args.length === 1 ? 1 : 2)
      if (args.length > 2) throw new LuaError(`${machine.where(1)}wrong number of arguments`)
      if (low > high) throw arguments_.error(args.length, 'interval is empty')
      return [Math.floor(value * (high - low + 1)) + low]
    },
    randomseed: (args) => {
      generator.seed(check('randomseed').number(args, 1))
      return []
    },
  }
}

function numbers(args: Args, arguments_: Arguments): number[] {
  arguments_.number(args, 1)
  return args.map((_, index) => arguments_.number(args, index + 1))
}

function fractionAndExponent(value: number): [number, number] {
  if (value === 0 || !Number.isFinite(value)) return [value, 0]
  let exponent = Math.max(-1023, Math.floor(Math.log2(Math.abs(value))) + 1)
  let fraction = value * 2 ** -exponent
  while (Math.abs(fraction) < 0.5) {
    fraction *= 2
    exponent--
  }
  while (Math.abs(fraction) >= 1) {
    fraction /= 2
    exponent++
  }
  return [fraction, exponent]
}

// ----------------------------------------------------------------------------------------------------------------- coroutines

function coroutineFunctions(machine: Machine, check: Check): Functions {
  const create = (args: Args, name: string): Coroutine => {
    const [start] = args
    if (!(start instanceof LuaFunction) || start.native !== null) throw check(name).error(1, 'Lua function expected')
    return new Coroutine(new Thread(start))
  }
  const coroutineOf = (args: Args, name: string): Coroutine => {
    const [value] = args
    if (!(value instanceof Coroutine)) throw check(name).error(1, 'coroutine expected')
    return value
  }
  return {
    create: (args) => [create(args, 'create')],
    wrap: (args) => {
      const coroutine = create(args, 'wrap')
      return [machine.native('wrap', (given) => machine.resumeCoroutine(coroutine, given, true))]
    },
    resume: (args) => machine.resumeCoroutine(coroutineOf(args, 'resume'), args.slice(1), false),
    yield: (args) => machine.yieldCoroutine(args),
    status: (args) => [(coroutineOf(args, 'status').thread as Thread).status],
    running: () => [],
  }
}
