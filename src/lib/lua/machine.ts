/**
 * Runs compiled Lua. A thread's frames and registers are data, so a script can stop in the middle: a native function that has to wait says so, or the budget of
 * instructions is used up; {@link Machine.resume} goes on. Functions that the library calls in the middle of its own work (comparing in
 * table.sort, replacing in string.gsub, metamethods) run to their end: nothing in them can wait, as nothing in them can yield in Lua 5.1.
 */
import { nameKey, Op } from './compiler.ts'
import { calculate, Operators, toNumber } from './operators.ts'
import {
  type Cell,
  type Coroutine,
  LuaError,
  LuaFunction,
  LuaTable,
  type LuaValue,
  type Prototype,
  suspended,
  typeName,
  UnplacedError,
} from './value.ts'

const framesMax = 16_000
const nestingMax = 180

interface Frame {
  readonly closure: LuaFunction
  readonly prototype: Prototype
  /** The next instruction, and the one that runs or waits for what it called. */
  pc: number
  at: number
  readonly base: number
  /** Where results go, and how many are wanted; negative: all. */
  readonly returnTo: number
  readonly results: number
  readonly varargs: readonly LuaValue[]
  /** A loop has called its iterator, and goes on with the results. */
  iterating: boolean
}

/** A protected call: where its outcome goes. Errors end there. */
interface Protection {
  readonly handler: LuaValue
  readonly returnTo: number
  readonly results: number
  /** How many frames there were before. */
  readonly depth: number
}

export class Thread {
  readonly frames: Frame[] = []
  readonly stack: LuaValue[] = []
  top = 0
  readonly protections: Protection[] = []
  status: 'suspended' | 'running' | 'normal' | 'dead' = 'suspended'
  /** The function it begins with. */
  start: LuaValue
  /** Who resumed it. */
  parent: Thread | null = null
  /** Errors in it are errors of who resumed it. */
  isWrapped = false
  /** Where results of what it waits for go. */
  waiting: { returnTo: number; results: number } | null = null

  constructor(start: LuaValue) {
    this.start = start
  }
}

export type Outcome =
  | { readonly kind: 'done'; readonly values: readonly LuaValue[] }
  | { readonly kind: 'waiting' }
  | { readonly kind: 'paused' }

export interface MachineHost {
  /** The budget of instructions is used up. `pause`: stop here and tell whoever runs it; a number is the next budget. May throw a LuaError. */
  exhausted(mayPause: boolean): number | 'pause'
}

export class Machine extends Operators {
  readonly globals = new LuaTable()
  readonly #host: MachineHost
  #thread: Thread
  #budget: number
  #nesting = 0
  /** What a native of the machine itself asks for instead of results. */
  #request: (() => void) | null = null

  constructor(host: MachineHost, budget: number) {
    super()
    this.#host = host
    this.#budget = budget
    this.#thread = new Thread(undefined)
  }

  get thread(): Thread {
    return this.#thread
  }

  function(prototype: Prototype): LuaFunction {
    return new LuaFunction(prototype, [], null, '?', this.globals)
  }

  native(name: string, run: (args: readonly LuaValue[]) => readonly LuaValue[] | typeof suspended): LuaFunction {
    return new LuaFunction(null, [], run, name, this.globals)
  }

  // ------------------------------------------------------------------------------------------------------- running from outside

  /** Begins a function in a new main thread. */
  begin(callee: LuaFunction, args: readonly LuaValue[]): Outcome {
    const thread = new Thread(callee)
    this.#thread = thread
    thread.status = 'running'
    thread.stack.push(callee, ...args)
    return this.#guarded(() => this.#enter(thread, 0, args.length, 0, -1))
  }

  /** Goes on: with what it waited for, or after a pause. */
  resume(values: readonly LuaValue[] | LuaError): Outcome {
    const thread = this.#thread
    return this.#guarded(() => {
      const { waiting } = thread
      thread.waiting = null
      if (values instanceof LuaError) throw values
      if (waiting !== null) this.#deliver(thread, waiting.returnTo, waiting.results, values)
    })
  }

  #guarded(first: () => void): Outcome {
    let start: (() => void) | null = first
    for (;;) {
      try {
        start?.()
        start = null
        return this.#run(this.#thread, -1)
      } catch (cause) {
        start = null
        this.#unwind(cause, this.#thread)
      }
    }
  }

  /** Calls a function to its end from within a native one. */
  override call(callee: LuaValue, args: readonly LuaValue[]): readonly LuaValue[] {
    const thread = this.#thread
    const at = placeAbove(thread)
    if (callee instanceof LuaFunction && callee.native !== null) {
      const results = callee.native(args)
      if (results === suspended) throw new LuaError(acrossBoundary)
      if (this.#request === null) return results
      this.#pendingCall = { returnTo: at, results: -1 }
      return this.#callNested(thread, at, () => undefined)
    }
    return this.#callNested(thread, at, () => {
      const { stack } = thread
      stack[at] = callee
      for (let index = 0; index < args.length; index++) stack[at + 1 + index] = args[index]
      this.#enter(thread, at, args.length, at, -1)
    })
  }

  #callNested(thread: Thread, at: number, begin: () => void): readonly LuaValue[] {
    if (this.#nesting >= nestingMax) throw new LuaError('stack overflow')
    const { frames, protections, top } = thread
    const depth = frames.length
    const protectedBefore = protections.length
    this.#nesting++
    try {
      let start: (() => void) | null = begin
      for (;;) {
        try {
          start?.()
          start = null
          this.#run(thread, depth)
          return thread.stack.slice(at, thread.top)
        } catch (cause) {
          start = null
          // Protected calls, and coroutines, that began within end it within.
          if (this.#thread === thread && protections.length <= protectedBefore) throw cause
          this.#unwind(cause, this.#thread)
        }
      }
    } finally {
      this.#nesting--
      frames.length = Math.min(frames.length, depth)
      protections.length = Math.min(protections.length, protectedBefore)
      this.#request = null
      thread.top = top
    }
  }

  /** The innermost protected call gets the error; without one it is thrown. */
  #unwind(cause: unknown, thread: Thread): void {
    const error = cause instanceof UnplacedError ? this.error(cause.message) : asLuaError(cause)
    const protection = thread.protections.pop()
    if (protection === undefined) {
      if (thread.parent === null) throw error
      return this.#endCoroutine(thread, error)
    }
    let value: LuaValue = error.value
    if (protection.handler !== undefined) {
      try {
        ;[value] = this.call(protection.handler, [value])
      } catch (again) {
        value = asLuaError(again).value
      }
    }
    thread.frames.length = protection.depth
    this.#deliver(thread, protection.returnTo, protection.results, [false, value])
  }

  /** Puts results where a call wants them. */
  #deliver(thread: Thread, returnTo: number, results: number, values: readonly LuaValue[]): void {
    if (results === protectedResults) return this.#finishProtected(thread, values)
    const { stack } = thread
    const count = results < 0 ? values.length : results
    for (let index = 0; index < count; index++) stack[returnTo + index] = values[index]
    if (results < 0) thread.top = returnTo + count
  }

  // ------------------------------------------------------------------------------------------------------------------- calling

  /** Calls stack[at] with arguments behind it. A native one is done when this returns, or has made a request. */
  #enter(thread: Thread, at: number, given: number, returnTo: number, results: number): void {
    const { stack } = thread
    let callee = stack[at]
    let count = given
    if (!(callee instanceof LuaFunction)) {
      const handler = this.metamethod(callee, '__call')
      if (!(handler instanceof LuaFunction)) throw this.error(`attempt to call ${this.#describe(thread, callee)}`)
      for (let index = count; index >= 0; index--) stack[at + 1 + index] = stack[at + index]
      stack[at] = callee = handler
      count++
    }
    const { prototype, native } = callee
    if (prototype === null) {
      const args = stack.slice(at + 1, at + 1 + count)
      const values = (native as NonNullable<typeof native>)(args) // one of both is there
      if (values === suspended) thread.waiting = { returnTo, results }
      else if (this.#request === null) this.#deliver(thread, returnTo, results, values)
      else this.#pendingCall = { returnTo, results }
      return
    }
    if (thread.frames.length >= framesMax) throw this.error('stack overflow')
    const base = at + 1
    let varargs: readonly LuaValue[] = noValues
    if (prototype.isVararg && count > prototype.parameters) varargs = stack.slice(base + prototype.parameters, base + count)
    for (let index = count; index < prototype.parameters; index++) stack[base + index] = undefined
    thread.frames.push({ closure: callee, prototype, pc: 0, at: 0, base, returnTo, results, varargs, iterating: false })
  }

  #pendingCall: { returnTo: number; results: number } | null = null

  // -------------------------------------------------------------------------------- what pcall and coroutines do to the machine

  /** As a native: pcall and xpcall. */
  protectedCall(callee: LuaValue, args: readonly LuaValue[], handler: LuaValue): readonly LuaValue[] {
    this.#request = () => {
      const thread = this.#thread
      const { returnTo, results } = this.#takePending()
      const at = placeAbove(thread)
      thread.protections.push({ handler, returnTo, results, depth: thread.frames.length })
      thread.stack[at] = callee
      for (let index = 0; index < args.length; index++) thread.stack[at + 1 + index] = args[index]
      this.#enter(thread, at, args.length, at, protectedResults)
    }
    return noValues
  }

  #takePending(): { returnTo: number; results: number } {
    const pending = this.#pendingCall as { returnTo: number; results: number } // set by #enter
    this.#pendingCall = null
    return pending
  }

  #finishProtected(thread: Thread, values: readonly LuaValue[]): void {
    const protection = thread.protections.pop() as Protection // pushed when it began
    this.#deliver(thread, protection.returnTo, protection.results, [true, ...values])
  }

  /** As a native: coroutine.resume. */
  resumeCoroutine(coroutine: Coroutine, args: readonly LuaValue[], wrapped: boolean): readonly LuaValue[] {
    const target = coroutine.thread as Thread // made by this machine
    if (target.status !== 'suspended') {
      const message = `cannot resume ${target.status === 'dead' ? 'dead' : 'non-suspended'} coroutine`
      if (wrapped) throw this.error(message)
      return [false, message]
    }
    this.#request = () => {
      const parent = this.#thread
      parent.status = 'normal'
      parent.waiting = this.#takePending()
      target.parent = parent
      target.isWrapped = wrapped
      target.status = 'running'
      this.#thread = target
      if (target.frames.length === 0 && target.start !== undefined) {
        const callee = target.start
        target.start = undefined
        target.stack[0] = callee
        for (let index = 0; index < args.length; index++) target.stack[1 + index] = args[index]
        this.#enter(target, 0, args.length, 0, -1)
        return
      }
      const { waiting } = target
      target.waiting = null
      if (waiting !== null) this.#deliver(target, waiting.returnTo, waiting.results, args)
    }
    return noValues
  }

  /** As a native: coroutine.yield. */
  yieldCoroutine(values: readonly LuaValue[]): readonly LuaValue[] {
    if (this.#thread.parent === null) throw this.error('attempt to yield from outside a coroutine')
    if (this.#nesting > 0) throw this.error(acrossBoundary)
    this.#request = () => {
      const thread = this.#thread
      thread.waiting = this.#takePending()
      thread.status = 'suspended'
      this.#backToParent(thread, [true, ...values])
    }
    return noValues
  }

  #endCoroutine(thread: Thread, outcome: readonly LuaValue[] | LuaError): void {
    thread.status = 'dead'
    thread.frames.length = 0
    if (!(outcome instanceof LuaError)) return this.#backToParent(thread, [true, ...outcome])
    if (!thread.isWrapped) return this.#backToParent(thread, [false, outcome.value])
    const parent = thread.parent as Thread // callers know that it has one
    parent.waiting = null
    parent.status = 'running'
    this.#thread = parent
    thread.parent = null
    this.#unwind(outcome, parent)
  }

  #backToParent(thread: Thread, values: readonly LuaValue[]): void {
    const parent = thread.parent as Thread // callers know that it has one
    const { waiting } = parent
    parent.waiting = null
    parent.status = 'running'
    thread.parent = null
    this.#thread = parent
    if (waiting !== null) this.#deliver(parent, waiting.returnTo, waiting.results, thread.isWrapped ? values.slice(1) : values)
  }

  // ------------------------------------------------------------------------------------------------------------------- running

  /** Runs until the frames are as few as `floor`, something waits, or the budget is used up. */
  #run(owner: Thread, floor: number): Outcome {
    for (;;) {
      const thread = this.#thread
      if (thread.waiting !== null) {
        if (this.#nesting === 0) return { kind: 'waiting' }
        thread.waiting = null
        throw new LuaError(acrossBoundary)
      }
      if (this.#request !== null) {
        const request = this.#request
        this.#request = null
        request()
        continue
      }
      const frame = thread.frames.at(-1)
      if (thread === owner && thread.frames.length <= floor) return done
      if (frame === undefined) {
        if (thread.parent === null) return { kind: 'done', values: thread.stack.slice(0, thread.top) }
        this.#endCoroutine(thread, thread.stack.slice(0, thread.top))
        continue
      }
      if (this.#runFrame(thread, frame) === 'pause') return { kind: 'paused' }
    }
  }

  /** Runs one frame until it calls, returns, or gives way. */
  #runFrame(thread: Thread, frame: Frame): 'pause' | 'next' {
    const { stack } = thread
    const { base, prototype, closure } = frame
    const { code, constants } = prototype
    const { upvalues, environment } = closure
    let { pc } = frame
    const value = (operand: number): LuaValue => (operand >= 0 ? stack[base + operand] : constants[~operand])
    for (;;) {
      const at = pc * 4
      const a = code[at + 1] as number // code is whole
      const b = code[at + 2] as number
      const c = code[at + 3] as number
      // Errors and calls find their place by it.
      frame.at = pc
      pc++
      switch (code[at]) {
        case Op.Move:
          stack[base + a] = stack[base + b]
          break
        case Op.Constant:
          stack[base + a] = constants[b]
          break
        case Op.Nil:
          for (let register = a; register <= b; register++) stack[base + register] = undefined
          break
        case Op.Boolean:
          stack[base + a] = b === 1
          break
        case Op.NewCell:
          stack[base + a] = { value: stack[base + a] } as unknown as LuaValue // cells live in registers, seen by these few only
          break
        case Op.GetCell:
          stack[base + a] = (stack[base + b] as unknown as Cell).value
          break
        case Op.SetCell:
          ;(stack[base + a] as unknown as Cell).value = stack[base + b]
          break
        case Op.GetUpvalue:
          stack[base + a] = (upvalues[b] as Cell).value
          break
        case Op.SetUpvalue:
          ;(upvalues[a] as Cell).value = stack[base + b]
          break
        case Op.GetGlobal:
          stack[base + a] =
            environment.metatable === null ? environment.field(constants[b] as string) : this.index(environment, constants[b])
          break
        case Op.SetGlobal:
          if (environment.metatable === null) environment.set(constants[a], stack[base + b])
          else this.setIndex(environment, constants[a], stack[base + b])
          break
        case Op.Get: {
          const object = value(b)
          if (object instanceof LuaTable) {
            const found = object.get(value(c))
            stack[base + a] = found === undefined && object.metatable !== null ? this.index(object, value(c)) : found
          } else stack[base + a] = this.indexOther(object, value(c), prototype, frame.at)
          break
        }
        case Op.Set: {
          const object = value(a)
          if (object instanceof LuaTable && object.metatable === null) object.set(value(b), value(c))
          else if (object instanceof LuaTable) this.setIndex(object, value(b), value(c))
          else this.setOther(object, value(b), value(c), prototype, frame.at)
          break
        }
        case Op.Self: {
          const object = value(b)
          const method =
            object instanceof LuaTable
              ? this.index(object, constants[c])
              : this.indexOther(object, constants[c], prototype, frame.at)
          stack[base + a + 1] = object
          stack[base + a] = method
          break
        }
        case Op.NewTable:
          stack[base + a] = new LuaTable()
          break
        case Op.SetList: {
          const table = stack[base + a] as LuaTable // made just before
          const count = b < 0 ? thread.top - (base + a + 1) : b
          for (let index = 1; index <= count; index++) table.set(c + index, stack[base + a + index])
          break
        }
        case Op.Add: {
          const one = value(b)
          const other = value(c)
          stack[base + a] =
            typeof one === 'number' && typeof other === 'number' ? one + other : this.arithmetic(Op.Add, one, other, frame)
          break
        }
        case Op.Subtract: {
          const one = value(b)
          const other = value(c)
          stack[base + a] =
            typeof one === 'number' && typeof other === 'number' ? one - other : this.arithmetic(Op.Subtract, one, other, frame)
          break
        }
        case Op.Multiply:
        case Op.Divide:
        case Op.Modulo:
        case Op.Power: {
          const one = value(b)
          const other = value(c)
          const op = code[at] as number
          stack[base + a] =
            typeof one === 'number' && typeof other === 'number'
              ? calculate(op, one, other)
              : this.arithmetic(op, one, other, frame)
          break
        }
        case Op.Negate: {
          const operand = value(b)
          stack[base + a] = typeof operand === 'number' ? -operand : this.negate(operand, frame)
          break
        }
        case Op.Not: {
          const operand = value(b)
          stack[base + a] = operand === undefined || operand === false
          break
        }
        case Op.Length:
          stack[base + a] = this.length(value(b), frame)
          break
        case Op.Concat:
          stack[base + a] = this.concatenate(stack, base + b, base + c, frame)
          break
        case Op.Jump:
          if (a < pc && --this.#budget <= 0 && this.#spent(frame, a)) return 'pause'
          pc = a
          break
        case Op.Test: {
          const tested = stack[base + a]
          if ((tested !== undefined && tested !== false) === (b === 1)) {
            if (c < pc && --this.#budget <= 0 && this.#spent(frame, c)) return 'pause'
            pc = c
          }
          break
        }
        case Op.Equal:
        case Op.NotEqual: {
          const one = value(a)
          const other = value(b)
          const equal = one === other || (one instanceof LuaTable && other instanceof LuaTable && this.equalTables(one, other))
          if (equal === (code[at] === Op.Equal)) {
            if (c < pc && --this.#budget <= 0 && this.#spent(frame, c)) return 'pause'
            pc = c
          }
          break
        }
        case Op.Less:
        case Op.NotLess: {
          const one = value(a)
          const other = value(b)
          const less = typeof one === 'number' && typeof other === 'number' ? one < other : this.lessThan(one, other)
          if (less === (code[at] === Op.Less)) {
            if (c < pc && --this.#budget <= 0 && this.#spent(frame, c)) return 'pause'
            pc = c
          }
          break
        }
        case Op.LessEqual:
        case Op.NotLessEqual: {
          const one = value(a)
          const other = value(b)
          const holds = typeof one === 'number' && typeof other === 'number' ? one <= other : this.lessOrEqual(one, other)
          if (holds === (code[at] === Op.LessEqual)) {
            if (c < pc && --this.#budget <= 0 && this.#spent(frame, c)) return 'pause'
            pc = c
          }
          break
        }
        case Op.Call:
        case Op.TailCall: {
          if (--this.#budget <= 0 && this.#spent(frame, frame.at)) return 'pause'
          const given = b < 0 ? thread.top - (base + a + 1) : b
          const depth = thread.frames.length
          const callee = stack[base + a]
          if (code[at] === Op.TailCall && callee instanceof LuaFunction && callee.prototype !== null) {
            // The frame gives its place to the one it calls.
            thread.frames.pop()
            const start = base - 1
            for (let index = 0; index <= given; index++) stack[start + index] = stack[base + a + index]
            this.#enter(thread, start, given, frame.returnTo, frame.results)
            return 'next'
          }
          frame.pc = pc
          this.#enter(thread, base + a, given, base + a, c)
          if (thread.frames.length !== depth || thread.waiting !== null || this.#request !== null) return 'next'
          break
        }
        case Op.Return: {
          const count = b < 0 ? thread.top - (base + a) : b
          thread.frames.pop()
          this.#leave(thread, frame, base + a, count)
          return 'next'
        }
        case Op.Vararg: {
          const { varargs } = frame
          const count = b < 0 ? varargs.length : b
          for (let index = 0; index < count; index++) stack[base + a + index] = varargs[index]
          if (b < 0) thread.top = base + a + count
          break
        }
        case Op.Closure: {
          const inner = prototype.prototypes[b] as Prototype // compiled with it
          const cells = inner.upvalues.map(({ fromParent, index }) =>
            fromParent ? (stack[base + index] as unknown as Cell) : (upvalues[index] as Cell),
          )
          stack[base + a] = new LuaFunction(inner, cells, null, '', environment)
          break
        }
        case Op.ForPrepare: {
          const start = toNumber(stack[base + a])
          const stop = toNumber(stack[base + a + 1])
          const step = toNumber(stack[base + a + 2])
          if (start === undefined) throw this.error("'for' initial value must be a number")
          if (stop === undefined) throw this.error("'for' limit must be a number")
          if (step === undefined) throw this.error("'for' step must be a number")
          if (!(step > 0 ? start <= stop : start >= stop)) {
            pc = b
            break
          }
          stack[base + a] = start
          stack[base + a + 1] = stop
          stack[base + a + 2] = step
          stack[base + a + 3] = start
          break
        }
        case Op.ForLoop: {
          const step = stack[base + a + 2] as number // checked by ForPrepare
          const next = (stack[base + a] as number) + step
          if (!(step > 0 ? next <= (stack[base + a + 1] as number) : next >= (stack[base + a + 1] as number))) break
          stack[base + a] = next
          stack[base + a + 3] = next
          if (--this.#budget <= 0 && this.#spent(frame, b)) return 'pause'
          pc = b
          break
        }
        case Op.ForIn: {
          const iterator = stack[base + a]
          if (frame.iterating) {
            frame.iterating = false
          } else if (iterator instanceof LuaFunction && iterator.native !== null && iterator.name === 'next') {
            const table = stack[base + a + 1]
            if (!(table instanceof LuaTable))
              throw this.error(`bad argument #1 to 'for iterator' (table expected, got ${typeName(table)})`)
            const entry = table.next(stack[base + a + 2])
            for (let index = 0; index < b; index++) stack[base + a + 3 + index] = entry === null ? undefined : entry[index]
          } else {
            const place = base + a + 3
            stack[place] = iterator
            stack[place + 1] = stack[base + a + 1]
            stack[place + 2] = stack[base + a + 2]
            // Comes here again once the iterator has replied.
            frame.iterating = true
            frame.pc = pc - 1
            const depth = thread.frames.length
            this.#enter(thread, place, 2, place, b)
            if (thread.frames.length !== depth || thread.waiting !== null || this.#request !== null) return 'next'
            frame.iterating = false
          }
          if (stack[base + a + 3] === undefined) pc = c
          else stack[base + a + 2] = stack[base + a + 3]
          break
        }
      }
    }
  }

  /** A function has ended with results at `from`. */
  #leave(thread: Thread, frame: Frame, from: number, count: number): void {
    const { stack } = thread
    const { returnTo, results } = frame
    if (results === protectedResults) return this.#finishProtected(thread, stack.slice(from, from + count))
    const wanted = results < 0 ? count : results
    if (from !== returnTo)
      for (let index = 0; index < count && index < wanted; index++) stack[returnTo + index] = stack[from + index]
    for (let index = count; index < wanted; index++) stack[returnTo + index] = undefined
    if (results < 0) thread.top = returnTo + count
  }

  /** True: it stops here, to go on at `pc`. */
  #spent(frame: Frame, pc: number): boolean {
    const next = this.#host.exhausted(this.#nesting === 0)
    if (next === 'pause') {
      this.#budget = 1
      frame.pc = pc
      return true
    }
    this.#budget = next
    return false
  }

  set budget(instructions: number) {
    this.#budget = instructions
  }

  // -------------------------------------------------------------------------------------------------------------------- errors

  /** What is called there, as the code has it. */
  #describe(thread: Thread, callee: LuaValue): string {
    const frame = thread.frames.at(-1)
    const name = frame?.prototype.names.get(nameKey(frame.at, 0))
    return name === undefined ? `a ${typeName(callee)} value` : `${name} (a ${typeName(callee)} value)`
  }

  /** `source:line: ` of the function so many levels up that is not native; empty where there is none. */
  override where(level: number): string {
    const frame = this.#thread.frames.at(-level)
    if (frame === undefined) return ''
    return `${frame.prototype.source}:${frame.prototype.lines[frame.at] ?? 0}: `
  }

  /** The line that runs, for messages of the host. */
  get line(): number {
    const frame = this.#thread.frames.at(-1)
    return frame?.prototype.lines[frame.at] ?? 0
  }
}

const noValues: readonly LuaValue[] = []
const done: Outcome = { kind: 'done', values: noValues }
const acrossBoundary = 'attempt to yield across metamethod/C-call boundary'
/** As the number of wanted results: they go to a protected call. */
const protectedResults = -2

/** What JavaScript itself refuses, in Lua's words. */
export function asLuaError(cause: unknown): LuaError {
  if (cause instanceof LuaError) return cause
  if (cause instanceof RangeError) return new LuaError(/call stack/.test(cause.message) ? 'stack overflow' : 'not enough memory')
  throw cause
}

/** Where a call that is not an instruction's puts its function and arguments: above all that the frame at work uses. */
function placeAbove({ frames }: Thread): number {
  const frame = frames.at(-1)
  return frame === undefined ? 1 : frame.base + frame.prototype.registers + 1
}
