/**
 * A tree becomes code for machine.ts: four numbers an instruction. Locals live in registers of their function; a local that an inner function sees lives in
 * a cell, made anew each time its declaration is passed. Where an operand may be a register or a constant, a constant is written as ~index.
 */
import type { Block, Expression, FunctionBody, Local, Statement } from './parser.ts'
import { Parser } from './parser.ts'
import { LuaError, type LuaValue, type Prototype } from './value.ts'

export const Op = {
  /** R[a] = R[b] */
  Move: 0,
  /** R[a] = K[b] */
  Constant: 1,
  /** R[a] to R[b] = nil */
  Nil: 2,
  /** R[a] = b is 1 */
  Boolean: 3,
  /** R[a] = a cell with R[a] */
  NewCell: 4,
  /** R[a] = what the cell R[b] holds; the other way round */
  GetCell: 5,
  SetCell: 6,
  GetUpvalue: 7,
  SetUpvalue: 8,
  GetGlobal: 9,
  SetGlobal: 10,
  /** R[a] = RK[b][RK[c]] */
  Get: 11,
  /** RK[a][RK[b]] = RK[c] */
  Set: 12,
  /** R[a + 1] = R[b]; R[a] = R[b][K[c]] */
  Self: 13,
  NewTable: 14,
  /** R[a][c + i] = R[a + i] for i from 1 to b; b negative: to the top */
  SetList: 15,
  Add: 16,
  Subtract: 17,
  Multiply: 18,
  Divide: 19,
  Modulo: 20,
  Power: 21,
  Negate: 22,
  Not: 23,
  Length: 24,
  /** R[a] = R[b] .. … .. R[c] */
  Concat: 25,
  /** to a */
  Jump: 26,
  /** to c when R[a] is as true as b */
  Test: 27,
  /** to c when (RK[a] op RK[b]) holds; the Not forms when it does not: a comparison with NaN is never true. */
  Equal: 28,
  NotEqual: 29,
  Less: 30,
  NotLess: 31,
  LessEqual: 32,
  NotLessEqual: 33,
  /** R[a](R[a + 1], … b of them; negative: to the top), c results; negative: all, to the top */
  Call: 34,
  TailCall: 35,
  /** R[a], … b of them; negative: to the top */
  Return: 36,
  Vararg: 37,
  Closure: 38,
  /** R[a] start, R[a + 1] stop, R[a + 2] step, R[a + 3] what the body sees; to b when there is none */
  ForPrepare: 39,
  ForLoop: 40,
  /** R[a + 3], … b of them = R[a](R[a + 1], R[a + 2]); to c at the end */
  ForIn: 41,
} as const

const registersMax = 250

export function compile(source: string, name: string): Prototype {
  return new FunctionCompiler(new Parser(source, name).chunk(), name).finish()
}

/** For `names` of a prototype: the name of the first or second operand of an instruction. */
export const nameKey = (instruction: number, operand: 0 | 1): number => instruction * 2 + operand

/** The same for the parts of a concatenation. */
export const partKey = (instruction: number, part: number): number => -(instruction * 1000 + part + 1)

class FunctionCompiler {
  readonly #body: FunctionBody
  readonly #source: string
  readonly #code: number[] = []
  readonly #lines: number[] = []
  readonly #constants: LuaValue[] = []
  readonly #constantPlaces = new Map<LuaValue, number>()
  readonly #prototypes: Prototype[] = []
  readonly #names = new Map<number, string>()
  #free = 0
  #most = 2
  #line = 0
  /** Of each loop around: jumps to its end, not known yet. */
  readonly #breaks: number[][] = []

  constructor(body: FunctionBody, source: string) {
    this.#body = body
    this.#source = source
  }

  finish(): Prototype {
    const { line, parameters, isVararg, upvalues, block } = this.#body
    this.#line = line
    for (const parameter of parameters) this.#bind(parameter, this.#take())
    for (const parameter of parameters) if (parameter.captured) this.#emit(Op.NewCell, parameter.register)
    this.#block(block)
    this.#emit(Op.Return, 0, 0)
    return {
      source: this.#source,
      line,
      code: Int32Array.from(this.#code),
      lines: Int32Array.from(this.#lines),
      constants: this.#constants,
      prototypes: this.#prototypes,
      parameters: parameters.length,
      isVararg,
      registers: this.#most + 1,
      upvalues: upvalues.map(({ fromParent, index, local }) => ({ fromParent, index: local === null ? index : local.register })),
      names: this.#names,
    }
  }

  // ------------------------------------------------------------------------------------------------------------------ emitting

  #emit(op: number, a = 0, b = 0, c = 0): number {
    this.#lines.push(this.#line)
    return this.#code.push(op, a, b, c) / 4 - 1
  }

  get #here(): number {
    return this.#code.length / 4
  }

  /** Makes a jump lead to an instruction. */
  #patch(jump: number, target: number): void {
    const place = this.#code[jump * 4] === Op.Jump ? 1 : this.#code[jump * 4] === Op.ForPrepare ? 2 : 3
    this.#code[jump * 4 + place] = target
  }

  #patchAll(jumps: readonly number[], target = this.#here): void {
    for (const jump of jumps) this.#patch(jump, target)
  }

  #take(count = 1): number {
    const first = this.#free
    this.#free += count
    if (this.#free > registersMax) throw new LuaError(`${this.#source}:${this.#line}: function or expression too complex`)
    if (this.#free > this.#most) this.#most = this.#free
    return first
  }

  #constant(value: LuaValue): number {
    // 0 and -0 are one key, and two constants.
    const key = Object.is(value, -0) ? '\u0000-0' : typeof value === 'string' ? `s${value}` : value
    const present = this.#constantPlaces.get(key)
    if (present !== undefined) return present
    const place = this.#constants.push(value) - 1
    this.#constantPlaces.set(key, place)
    return place
  }

  #bind(local: Local, register: number): void {
    local.register = register
  }

  // ---------------------------------------------------------------------------------------------------------------- statements

  #block({ statements }: Block): void {
    const free = this.#free
    for (const statement of statements) this.#statement(statement)
    this.#free = free
  }

  #statement(statement: Statement): void {
    this.#line = statement.line
    const free = this.#free
    switch (statement.kind) {
      case 'local':
        // Its registers stay taken.
        this.#local(statement.locals, statement.values)
        return
      case 'localFunction': {
        const register = this.#take()
        this.#bind(statement.local, register)
        if (statement.local.captured) {
          this.#emit(Op.Nil, register, register)
          this.#emit(Op.NewCell, register)
          const value = this.#take()
          this.#closure(statement.body, value)
          this.#emit(Op.SetCell, register, value)
          this.#free = register + 1
        } else this.#closure(statement.body, register)
        return
      }
      case 'call':
        this.#call(statement.call, this.#take(), 0)
        break
      case 'assign':
        this.#assign(statement.targets, statement.values)
        break
      case 'do':
        this.#block(statement.body)
        break
      case 'while':
        this.#while(statement.condition, statement.body)
        break
      case 'repeat':
        this.#repeat(statement.body, statement.condition)
        break
      case 'if':
        this.#if(statement)
        break
      case 'for':
        this.#for(statement)
        break
      case 'forIn':
        this.#forIn(statement)
        break
      case 'return':
        this.#return(statement.values)
        break
      case 'break':
        this.#breaks.at(-1)?.push(this.#emit(Op.Jump))
        break
    }
    this.#free = free
  }

  #local(locals: readonly Local[], values: readonly Expression[]): void {
    const first = this.#free
    this.#list(values, locals.length)
    this.#free = first + locals.length
    if (this.#free > this.#most) this.#most = this.#free
    for (const [index, local] of locals.entries()) {
      this.#bind(local, first + index)
      if (local.captured) this.#emit(Op.NewCell, first + index)
    }
  }

  /** Puts values into new registers, exactly so many. */
  #list(values: readonly Expression[], wanted: number): void {
    for (const [index, value] of values.entries()) {
      const isLast = index === values.length - 1
      const missing = wanted - index
      if (isLast && missing > 1 && isMulti(value)) {
        const first = this.#take(missing)
        this.#multi(value, first, missing)
      } else {
        const register = this.#take()
        this.#into(value, register)
        if (index >= wanted) this.#free = register
      }
    }
    const missing = wanted - values.length
    if (missing > 0 && !(values.length > 0 && isMulti(values.at(-1) as Expression))) {
      const first = this.#take(missing)
      this.#emit(Op.Nil, first, first + missing - 1)
    }
  }

  #assign(targets: readonly Expression[], values: readonly Expression[]): void {
    const [target] = targets
    const [value] = values
    if (targets.length === 1 && values.length === 1 && target !== undefined && value !== undefined)
      return this.#assignOne(target, value)
    // All sides are evaluated before anything is assigned.
    const places = targets.map((each) =>
      each.kind === 'index'
        ? { object: this.#fixed(each.object), key: this.#fixed(each.key), each }
        : { object: 0, key: 0, each },
    )
    const first = this.#free
    this.#list(values, targets.length)
    for (let at = targets.length - 1; at >= 0; at--) {
      const { object, key, each } = places[at] as (typeof places)[number] // at < length
      this.#line = each.line
      if (each.kind === 'index') this.#set(each, object, key, first + at)
      else this.#store(each, first + at)
    }
  }

  #assignOne(target: Expression, value: Expression): void {
    if (target.kind === 'local' && !target.local.captured && isOneStep(value)) return this.#into(value, target.local.register)
    if (target.kind === 'index') {
      const object = this.#fixed(target.object)
      const key = this.#fixed(target.key)
      const operand = this.#operand(value)
      this.#line = target.line
      return this.#set(target, object, key, operand)
    }
    const register = this.#take()
    this.#into(value, register)
    this.#store(target, register)
  }

  #set(target: Expression & { kind: 'index' }, object: number, key: number, value: number): void {
    const at = this.#emit(Op.Set, object, key, value)
    this.#nameOperand(at, 0, target.object)
  }

  #store(target: Expression, register: number): void {
    switch (target.kind) {
      case 'local':
        this.#emit(target.local.captured ? Op.SetCell : Op.Move, target.local.register, register)
        return
      case 'upvalue':
        this.#emit(Op.SetUpvalue, target.index, register)
        return
      case 'global':
        this.#emit(Op.SetGlobal, this.#constant(target.name), register)
        return
    }
  }

  #while(condition: Expression, body: Block): void {
    const start = this.#here
    const exits = this.#jumpUnless(condition)
    this.#breaks.push([])
    this.#block(body)
    this.#emit(Op.Jump, start)
    this.#patchAll(exits)
    this.#patchAll(this.#breaks.pop() ?? [])
  }

  #repeat(body: Block, condition: Expression): void {
    const start = this.#here
    const free = this.#free
    this.#breaks.push([])
    for (const statement of body.statements) this.#statement(statement)
    this.#line = condition.line
    this.#patchAll(this.#jumpUnless(condition), start)
    this.#free = free
    this.#patchAll(this.#breaks.pop() ?? [])
  }

  #if({ arms, other }: Statement & { kind: 'if' }): void {
    const ends: number[] = []
    for (const [index, { condition, body }] of arms.entries()) {
      this.#line = condition.line
      const exits = this.#jumpUnless(condition)
      this.#block(body)
      if (index < arms.length - 1 || other !== null) ends.push(this.#emit(Op.Jump))
      this.#patchAll(exits)
    }
    if (other !== null) this.#block(other)
    this.#patchAll(ends)
  }

  #for({ local, start, stop, step, body, line }: Statement & { kind: 'for' }): void {
    const base = this.#take(4)
    this.#into(start, base)
    this.#into(stop, base + 1)
    if (step === null) this.#emit(Op.Constant, base + 2, this.#constant(1))
    else this.#into(step, base + 2)
    this.#line = line
    const prepare = this.#emit(Op.ForPrepare, base)
    const top = this.#here
    this.#bind(local, base + 3)
    if (local.captured) this.#emit(Op.NewCell, base + 3)
    this.#breaks.push([])
    this.#block(body)
    this.#line = line
    this.#emit(Op.ForLoop, base, top)
    this.#patch(prepare, this.#here)
    this.#patchAll(this.#breaks.pop() ?? [])
  }

  #forIn({ locals, values, body, line }: Statement & { kind: 'forIn' }): void {
    const base = this.#free
    this.#list(values, 3)
    this.#free = base + 3
    const first = this.#take(locals.length)
    const start = this.#here
    this.#line = line
    const loop = this.#emit(Op.ForIn, base, locals.length)
    for (const [index, local] of locals.entries()) {
      this.#bind(local, first + index)
      if (local.captured) this.#emit(Op.NewCell, first + index)
    }
    // The call of the iterator needs room for itself and its results.
    this.#take(3)
    this.#free -= 3
    this.#breaks.push([])
    this.#block(body)
    this.#emit(Op.Jump, start)
    this.#patch(loop, this.#here)
    this.#patchAll(this.#breaks.pop() ?? [])
  }

  #return(values: readonly Expression[]): void {
    const [value] = values
    if (values.length === 1 && value !== undefined && (value.kind === 'call' || value.kind === 'method')) {
      const register = this.#take()
      this.#call(value, register, -1, true)
      this.#emit(Op.Return, register, -1)
      return
    }
    if (values.length === 1 && value?.kind === 'local' && !value.local.captured) {
      this.#emit(Op.Return, value.local.register, 1)
      return
    }
    const first = this.#free
    const open = this.#openList(values)
    this.#emit(Op.Return, first, open ? -1 : values.length)
  }

  /** Puts values into new registers; true when the last one is open-ended. */
  #openList(values: readonly Expression[]): boolean {
    for (const [index, value] of values.entries()) {
      const register = this.#take()
      if (index === values.length - 1 && isMulti(value)) {
        this.#multi(value, register, -1)
        return true
      }
      this.#into(value, register)
    }
    return false
  }

  // --------------------------------------------------------------------------------------------------------------- expressions

  /** A register or constant with the value, which may be the register of a local. */
  #operand(expression: Expression): number {
    switch (expression.kind) {
      case 'constant':
        return ~this.#constant(expression.value)
      case 'nil':
        return ~this.#constant(undefined)
      case 'true':
      case 'false':
        return ~this.#constant(expression.kind === 'true')
      case 'local':
        if (!expression.local.captured) return expression.local.register
    }
    const register = this.#take()
    this.#into(expression, register)
    return register
  }

  /** The same, not changed by what is evaluated behind it. */
  #fixed(expression: Expression): number {
    if (expression.kind !== 'local') return this.#operand(expression)
    const register = this.#take()
    this.#into(expression, register)
    return register
  }

  /** Its value goes into a register: a new one, the last taken, or that of a local where {@link isOneStep} holds. */
  #into(expression: Expression, target: number): void {
    this.#line = expression.line
    switch (expression.kind) {
      case 'nil':
        this.#emit(Op.Nil, target, target)
        return
      case 'true':
      case 'false':
        this.#emit(Op.Boolean, target, expression.kind === 'true' ? 1 : 0)
        return
      case 'constant':
        this.#emit(Op.Constant, target, this.#constant(expression.value))
        return
      case 'vararg':
      case 'call':
      case 'method':
        return this.#multi(expression, target, 1)
      case 'function':
        return this.#closure(expression.body, target)
      case 'local':
        if (expression.local.captured) this.#emit(Op.GetCell, target, expression.local.register)
        else if (expression.local.register !== target) this.#emit(Op.Move, target, expression.local.register)
        return
      case 'upvalue':
        this.#emit(Op.GetUpvalue, target, expression.index)
        return
      case 'global':
        this.#emit(Op.GetGlobal, target, this.#constant(expression.name))
        return
      case 'index': {
        const free = this.#free
        const object = this.#operand(expression.object)
        const key = this.#operand(expression.key)
        this.#line = expression.line
        this.#nameOperand(this.#emit(Op.Get, target, object, key), 0, expression.object)
        this.#free = free
        return
      }
      case 'group':
        return this.#into(expression.inner, target)
      case 'binary':
        return this.#binary(expression, target)
      case 'unary': {
        const free = this.#free
        const operand = this.#operand(expression.operand)
        this.#line = expression.line
        const op = expression.operator === '-' ? Op.Negate : expression.operator === 'not' ? Op.Not : Op.Length
        this.#nameOperand(this.#emit(op, target, operand), 0, expression.operand)
        this.#free = free
        return
      }
      case 'and':
      case 'or':
        return this.#choice(expression, target)
      case 'table':
        return this.#table(expression, target)
    }
  }

  /** `a and b`, `a or b` as values. The target may be a local that the right side still reads, so the value is made elsewhere. */
  #choice(expression: Expression & { kind: 'and' | 'or' }, target: number): void {
    const free = this.#free
    const register = target >= free - 1 ? target : this.#take()
    this.#into(expression.left, register)
    const exit = this.#emit(Op.Test, register, expression.kind === 'or' ? 1 : 0)
    this.#into(expression.right, register)
    this.#patch(exit, this.#here)
    if (register !== target) this.#emit(Op.Move, target, register)
    this.#free = free
  }

  #binary(expression: Expression & { kind: 'binary' }, target: number): void {
    const { operator, left, right, line } = expression
    const arithmetic = arithmeticOps[operator]
    const free = this.#free
    if (arithmetic !== undefined) {
      const one = this.#operand(left)
      const other = this.#operand(right)
      this.#line = line
      const at = this.#emit(arithmetic, target, one, other)
      this.#nameOperand(at, 0, left)
      this.#nameOperand(at, 1, right)
      this.#free = free
      return
    }
    if (operator === '..') return this.#concat(expression, target)
    // A comparison as a value.
    const register = target >= free - 1 ? target : this.#take()
    const exits = this.#jumpUnless(expression)
    this.#emit(Op.Boolean, register, 1)
    const end = this.#emit(Op.Jump)
    this.#patchAll(exits)
    this.#emit(Op.Boolean, register, 0)
    this.#patch(end, this.#here)
    if (register !== target) this.#emit(Op.Move, target, register)
    this.#free = free
  }

  /** A chain of `..` is one instruction. */
  #concat(expression: Expression & { kind: 'binary' }, target: number): void {
    const parts: Expression[] = []
    let rest: Expression = expression
    while (rest.kind === 'binary' && rest.operator === '..') {
      parts.push(rest.left)
      rest = rest.right
    }
    parts.push(rest)
    const free = this.#free
    const first = this.#take(parts.length)
    for (const [index, part] of parts.entries()) this.#into(part, first + index)
    this.#line = expression.line
    const at = this.#emit(Op.Concat, target, first, first + parts.length - 1)
    for (const [index, part] of parts.entries()) {
      const name = nameOf(part)
      if (name !== null) this.#names.set(partKey(at, index), name)
    }
    this.#free = free
  }

  /** Jumps that are taken when the condition is not true. */
  #jumpUnless(condition: Expression): number[] {
    const free = this.#free
    const jumps = this.#conditional(condition, false)
    this.#free = free
    return jumps
  }

  /** Jumps taken when the condition is as true as `when`; else it goes on behind. */
  #conditional(condition: Expression, when: boolean): number[] {
    this.#line = condition.line
    if (condition.kind === 'group') return this.#conditional(condition.inner, when)
    if (condition.kind === 'unary' && condition.operator === 'not') return this.#conditional(condition.operand, !when)
    if (condition.kind === 'and' || condition.kind === 'or') {
      const short = (condition.kind === 'or') === when
      if (short) return [...this.#conditional(condition.left, when), ...this.#conditional(condition.right, when)]
      const skip = this.#conditional(condition.left, !when)
      const jumps = this.#conditional(condition.right, when)
      this.#patchAll(skip)
      return jumps
    }
    const comparison = condition.kind === 'binary' ? comparisons[condition.operator] : undefined
    if (condition.kind === 'binary' && comparison !== undefined) {
      const { left, right } = condition
      const one = this.#operand(comparison.swapped ? right : left)
      const other = this.#operand(comparison.swapped ? left : right)
      this.#line = condition.line
      const positive = when !== comparison.negated
      return [this.#emit(positive ? comparison.op : comparison.op + 1, one, other)]
    }
    if (condition.kind === 'true' || condition.kind === 'constant') return when ? [this.#emit(Op.Jump)] : []
    if (condition.kind === 'false' || condition.kind === 'nil') return when ? [] : [this.#emit(Op.Jump)]
    const register = this.#operand(condition)
    return [this.#emit(Op.Test, register, when ? 1 : 0)]
  }

  #table({ items }: Expression & { kind: 'table' }, target: number): void {
    const free = this.#free
    // The target may be a local that the items still read.
    const register = target >= free - 1 ? target : this.#take()
    const table = register === free - 1 ? register : this.#take()
    this.#emit(Op.NewTable, table)
    let stored = 0
    let waiting = 0
    const flush = (open: boolean): void => {
      if (waiting === 0 && !open) return
      this.#emit(Op.SetList, table, open ? -1 : waiting, stored)
      stored += waiting
      waiting = 0
      this.#free = table + 1
    }
    for (const [index, { key, value }] of items.entries()) {
      if (key !== null) {
        const before = this.#free
        const keyOperand = this.#operand(key)
        const valueOperand = this.#operand(value)
        this.#emit(Op.Set, table, keyOperand, valueOperand)
        this.#free = before
        continue
      }
      const slot = this.#take()
      if (index === items.length - 1 && isMulti(value)) {
        this.#multi(value, slot, -1)
        flush(true)
        break
      }
      this.#into(value, slot)
      if (++waiting === 50) flush(false)
    }
    flush(false)
    if (table !== target) this.#emit(Op.Move, target, table)
    this.#free = free
  }

  #closure(body: FunctionBody, target: number): void {
    const prototype = new FunctionCompiler(body, this.#source).finish()
    this.#emit(Op.Closure, target, this.#prototypes.push(prototype) - 1)
  }

  /** A call or `...`: so many values from a register on; negative: all. */
  #multi(expression: Expression, target: number, count: number): void {
    if (expression.kind === 'vararg') {
      this.#emit(Op.Vararg, target, count)
      return
    }
    const free = this.#free
    if (target === free - 1 || target >= free) return this.#call(expression, target, count)
    if (count === 1) {
      const register = this.#take()
      this.#call(expression, register, 1)
      this.#emit(Op.Move, target, register)
      this.#free = free
      return
    }
    // So many registers were taken for the results; the call uses them.
    this.#free = target + 1
    this.#call(expression, target, count)
    this.#free = free
  }

  /** The function goes into the register, which is the last one taken. */
  #call(expression: Expression, register: number, results: number, tail = false): void {
    const free = Math.max(this.#free, register + 1)
    this.#free = register + 1
    let open = false
    let given = 0
    if (expression.kind === 'method') {
      this.#take()
      this.#free = register + 2
      const inner = this.#free
      const object = this.#operand(expression.object)
      this.#line = expression.line
      const self = this.#emit(Op.Self, register, object, this.#constant(expression.name))
      this.#nameOperand(self, 0, expression.object)
      this.#free = inner
      open = this.#openList(expression.args)
      given = expression.args.length + 1
    } else if (expression.kind === 'call') {
      this.#into(expression.callee, register)
      open = this.#openList(expression.args)
      given = expression.args.length
    }
    this.#line = expression.line
    const at = this.#emit(tail ? Op.TailCall : Op.Call, register, open ? -1 : given, results)
    if (expression.kind === 'method') this.#names.set(nameKey(at, 0), `method '${expression.name}'`)
    else if (expression.kind === 'call') this.#nameOperand(at, 0, expression.callee)
    this.#free = free
  }

  #nameOperand(instruction: number, operand: 0 | 1, expression: Expression): void {
    const name = nameOf(expression)
    if (name !== null) this.#names.set(nameKey(instruction, operand), name)
  }
}

const arithmeticOps: Readonly<Record<string, number>> = {
  '+': Op.Add,
  '-': Op.Subtract,
  '*': Op.Multiply,
  '/': Op.Divide,
  '%': Op.Modulo,
  '^': Op.Power,
}

/** The op that jumps when it holds; the next one jumps when it does not. */
const comparisons: Readonly<Record<string, { op: number; swapped: boolean; negated: boolean }>> = {
  '==': { op: Op.Equal, swapped: false, negated: false },
  '~=': { op: Op.Equal, swapped: false, negated: true },
  '<': { op: Op.Less, swapped: false, negated: false },
  '>': { op: Op.Less, swapped: true, negated: false },
  '<=': { op: Op.LessEqual, swapped: false, negated: false },
  '>=': { op: Op.LessEqual, swapped: true, negated: false },
}

/** It reads all that it needs before it writes its result: so it may be made in the register of a local that it reads. */
function isOneStep(expression: Expression): boolean {
  const { kind } = expression
  if (kind === 'binary') return comparisons[expression.operator] === undefined
  return !['call', 'method', 'and', 'or', 'table', 'group'].includes(kind)
}

const isMulti = ({ kind }: Expression): boolean => kind === 'call' || kind === 'method' || kind === 'vararg'

function nameOf(expression: Expression): string | null {
  switch (expression.kind) {
    case 'local':
      return `local '${expression.local.name}'`
    case 'upvalue':
      return `upvalue '${expression.name}'`
    case 'global':
      return `global '${expression.name}'`
    case 'index':
      return expression.key.kind === 'constant' && typeof expression.key.value === 'string'
        ? `field '${expression.key.value}'`
        : null
    case 'method':
      return `method '${expression.name}'`
    default:
      return null
  }
}
