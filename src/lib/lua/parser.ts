/** The grammar of Lua 5.1: a source becomes a tree in which every name is known to be a local, an upvalue or a global. */
import { Lexer, type Token } from './lexer.ts'
import type { LuaError } from './value.ts'

export interface Local {
  readonly name: string
  /** An inner function sees it: it lives in a cell. */
  captured: boolean
  register: number
}

export type Expression = { readonly line: number } & (
  | { readonly kind: 'nil' | 'true' | 'false' | 'vararg' }
  | { readonly kind: 'constant'; readonly value: number | string }
  | { readonly kind: 'function'; readonly body: FunctionBody }
  | { readonly kind: 'local'; readonly local: Local }
  | { readonly kind: 'upvalue'; readonly index: number; readonly name: string }
  | { readonly kind: 'global'; readonly name: string }
  | { readonly kind: 'index'; readonly object: Expression; readonly key: Expression }
  | { readonly kind: 'call'; readonly callee: Expression; readonly args: readonly Expression[] }
  | { readonly kind: 'method'; readonly object: Expression; readonly name: string; readonly args: readonly Expression[] }
  | { readonly kind: 'binary'; readonly operator: string; readonly left: Expression; readonly right: Expression }
  | { readonly kind: 'and' | 'or'; readonly left: Expression; readonly right: Expression }
  | { readonly kind: 'unary'; readonly operator: string; readonly operand: Expression }
  | { readonly kind: 'table'; readonly items: readonly TableItem[] }
  | { readonly kind: 'group'; readonly inner: Expression }
)

export interface TableItem {
  /** null: the next of the list. */
  readonly key: Expression | null
  readonly value: Expression
}

export type Statement = { readonly line: number } & (
  | { readonly kind: 'call'; readonly call: Expression }
  | { readonly kind: 'local'; readonly locals: readonly Local[]; readonly values: readonly Expression[] }
  | { readonly kind: 'localFunction'; readonly local: Local; readonly body: FunctionBody }
  | { readonly kind: 'assign'; readonly targets: readonly Expression[]; readonly values: readonly Expression[] }
  | { readonly kind: 'do'; readonly body: Block }
  | { readonly kind: 'while'; readonly condition: Expression; readonly body: Block }
  | { readonly kind: 'repeat'; readonly body: Block; readonly condition: Expression }
  | {
      readonly kind: 'if'
      readonly arms: readonly { readonly condition: Expression; readonly body: Block }[]
      readonly other: Block | null
    }
  | {
      readonly kind: 'for'
      readonly local: Local
      readonly start: Expression
      readonly stop: Expression
      readonly step: Expression | null
      readonly body: Block
    }
  | { readonly kind: 'forIn'; readonly locals: readonly Local[]; readonly values: readonly Expression[]; readonly body: Block }
  | { readonly kind: 'return'; readonly values: readonly Expression[] }
  | { readonly kind: 'break' }
)

export interface Block {
  readonly statements: readonly Statement[]
}

export interface FunctionBody {
  readonly line: number
  readonly parameters: readonly Local[]
  readonly isVararg: boolean
  readonly block: Block
  readonly upvalues: readonly { readonly fromParent: boolean; readonly index: number; readonly local: Local | null }[]
}

interface UpvalueSource {
  readonly name: string
  readonly fromParent: boolean
  index: number
  readonly local: Local | null
}

class FunctionScope {
  readonly parent: FunctionScope | null
  readonly scopes: Map<string, Local>[] = []
  readonly upvalues: UpvalueSource[] = []
  isVararg = false
  loops = 0
  locals = 0

  constructor(parent: FunctionScope | null) {
    this.parent = parent
  }

  find(name: string): Local | null {
    for (let at = this.scopes.length - 1; at >= 0; at--) {
      const local = this.scopes[at]?.get(name)
      if (local !== undefined) return local
    }
    return null
  }

  /** The upvalue of that name, or -1 when it is a global. */
  upvalue(name: string): number {
    const present = this.upvalues.findIndex((each) => each.name === name)
    if (present >= 0) return present
    if (this.parent === null) return -1
    const local = this.parent.find(name)
    if (local !== null) {
      local.captured = true
      return this.upvalues.push({ name, fromParent: true, index: 0, local }) - 1
    }
    const index = this.parent.upvalue(name)
    return index < 0 ? -1 : this.upvalues.push({ name, fromParent: false, index, local: null }) - 1
  }
}

/** By operator: how strongly it binds to the left and to the right. */
const priorities: Readonly<Record<string, readonly [left: number, right: number]>> = {
  or: [1, 1],
  and: [2, 2],
  '<': [3, 3],
  '>': [3, 3],
  '<=': [3, 3],
  '>=': [3, 3],
  '~=': [3, 3],
  '==': [3, 3],
  '..': [5, 4],
  '+': [6, 6],
  '-': [6, 6],
  '*': [7, 7],
  '/': [7, 7],
  '%': [7, 7],
  '^': [10, 9],
}
const unaryPriority = 8
/** How deep one thing may stand in another. */
const depthMax = 200
const localsMax = 200
const upvaluesMax = 60

export class Parser {
  readonly #lexer: Lexer
  #token: Token
  #ahead: Token | null = null
  #function: FunctionScope = new FunctionScope(null)
  #depth = 0

  constructor(source: string, name: string) {
    this.#lexer = new Lexer(source, name)
    this.#token = this.#lexer.next()
  }

  chunk(): FunctionBody {
    this.#function.isVararg = true
    const block = this.#block(() => undefined)
    if (this.#token.kind !== '<eof>') throw this.#unexpected("'<eof>' expected")
    return { line: 0, parameters: [], isVararg: true, block, upvalues: [] }
  }

  // --------------------------------------------------------------------------------------------------------------------- words

  #advance(): Token {
    const token = this.#token
    this.#token = this.#ahead ?? this.#lexer.next()
    this.#ahead = null
    return token
  }

  #peek(): Token {
    this.#ahead ??= this.#lexer.next()
    return this.#ahead
  }

  #accept(kind: string): boolean {
    if (this.#token.kind !== kind) return false
    this.#advance()
    return true
  }

  #expect(kind: string): Token {
    if (this.#token.kind !== kind) throw this.#unexpected(`'${kind}' expected`)
    return this.#advance()
  }

  /** The end of something that began in another line says so. */
  #expectEnd(kind: string, opened: string, line: number): void {
    if (this.#token.kind === kind) {
      this.#advance()
      return
    }
    const where = line === this.#token.line ? '' : ` (to close '${opened}' at line ${line})`
    throw this.#unexpected(`'${kind}' expected${where}`)
  }

  #name(): string {
    if (this.#token.kind !== 'name') throw this.#unexpected('<name> expected')
    return this.#advance().text
  }

  #unexpected(message: string): LuaError {
    this.#lexer.line = this.#token.line
    return this.#lexer.error(message, this.#token.text)
  }

  #enter(): void {
    if (++this.#depth > depthMax) throw this.#lexer.error('chunk has too many syntax levels')
  }

  // -------------------------------------------------------------------------------------------------------------------- blocks

  /** `declare` runs in the block's scope, before its statements. */
  #block(declare: () => void): Block {
    this.#enter()
    this.#function.scopes.push(new Map())
    const locals = this.#function.locals
    declare()
    const statements: Statement[] = []
    while (!this.#atBlockEnd()) {
      const statement = this.#statement()
      this.#accept(';')
      statements.push(statement)
      if (statement.kind === 'return' || statement.kind === 'break') break
    }
    this.#function.scopes.pop()
    this.#function.locals = locals
    this.#depth--
    return { statements }
  }

  #atBlockEnd(): boolean {
    return ['<eof>', 'end', 'else', 'elseif', 'until'].includes(this.#token.kind)
  }

  #declare(name: string): Local {
    if (++this.#function.locals > localsMax) throw this.#lexer.error(`too many local variables (limit is ${localsMax})`)
    const local = { name, captured: false, register: -1 }
    this.#function.scopes.at(-1)?.set(name, local)
    return local
  }

  #statement(): Statement {
    const { line, kind } = this.#token
    switch (kind) {
      case 'if':
        return this.#if(line)
      case 'while': {
        this.#advance()
        const condition = this.#expression()
        this.#expect('do')
        const body = this.#loop()
        this.#expectEnd('end', 'while', line)
        return { kind: 'while', line, condition, body }
      }
      case 'do': {
        this.#advance()
        const body = this.#block(() => undefined)
        this.#expectEnd('end', 'do', line)
        return { kind: 'do', line, body }
      }
      case 'for':
        return this.#for(line)
      case 'repeat':
        return this.#repeat(line)
      case 'function':
        return this.#functionStatement(line)
      case 'local':
        return this.#local(line)
      case 'return':
        return this.#return(line)
      case 'break':
        this.#advance()
        if (this.#function.loops === 0) throw this.#unexpected('no loop to break')
        return { kind: 'break', line }
      default:
        return this.#expressionStatement(line)
    }
  }

  #loop(declare: () => void = () => undefined): Block {
    this.#function.loops++
    const body = this.#block(declare)
    this.#function.loops--
    return body
  }

  #if(line: number): Statement {
    const arms: { condition: Expression; body: Block }[] = []
    let other: Block | null = null
    do {
      this.#advance()
      const condition = this.#expression()
      this.#expect('then')
      arms.push({ condition, body: this.#block(() => undefined) })
    } while (this.#token.kind === 'elseif')
    if (this.#accept('else')) other = this.#block(() => undefined)
    this.#expectEnd('end', 'if', line)
    return { kind: 'if', line, arms, other }
  }

  #for(line: number): Statement {
    this.#advance()
    const first = this.#name()
    if (this.#accept('=')) {
      const start = this.#expression()
      this.#expect(',')
      const stop = this.#expression()
      const step = this.#accept(',') ? this.#expression() : null
      this.#expect('do')
      let local: Local | null = null
      const body = this.#loop(() => {
        local = this.#declare(first)
      })
      this.#expectEnd('end', 'for', line)
      return { kind: 'for', line, local: local as unknown as Local, start, stop, step, body } // declared by the block
    }
    const names = [first]
    while (this.#accept(',')) names.push(this.#name())
    this.#expect('in')
    const values = this.#expressions()
    this.#expect('do')
    let locals: Local[] = []
    const body = this.#loop(() => {
      locals = names.map((name) => this.#declare(name))
    })
    this.#expectEnd('end', 'for', line)
    return { kind: 'forIn', line, locals, values, body }
  }

  /** The condition sees the locals of the body. */
  #repeat(line: number): Statement {
    this.#advance()
    this.#function.loops++
    this.#enter()
    this.#function.scopes.push(new Map())
    const statements: Statement[] = []
    while (!this.#atBlockEnd()) {
      const statement = this.#statement()
      this.#accept(';')
      statements.push(statement)
      if (statement.kind === 'return' || statement.kind === 'break') break
    }
    this.#function.loops--
    this.#expectEnd('until', 'repeat', line)
    const condition = this.#expression()
    this.#function.scopes.pop()
    this.#depth--
    return { kind: 'repeat', line, body: { statements }, condition }
  }

  #functionStatement(line: number): Statement {
    this.#advance()
    let target = this.#variable(this.#name(), line)
    let isMethod = false
    while (this.#token.kind === '.' || this.#token.kind === ':') {
      isMethod = this.#advance().kind === ':'
      target = { kind: 'index', line, object: target, key: { kind: 'constant', line, value: this.#name() } }
      if (isMethod) break
    }
    const body = this.#functionBody(line, isMethod)
    return { kind: 'assign', line, targets: [target], values: [{ kind: 'function', line, body }] }
  }

  #local(line: number): Statement {
    this.#advance()
    if (this.#accept('function')) {
      const local = this.#declare(this.#name())
      return { kind: 'localFunction', line, local, body: this.#functionBody(line, false) }
    }
    const names = [this.#name()]
    while (this.#accept(',')) names.push(this.#name())
    const values = this.#accept('=') ? this.#expressions() : []
    // Visible behind the statement only.
    return { kind: 'local', line, locals: names.map((name) => this.#declare(name)), values }
  }

  #return(line: number): Statement {
    this.#advance()
    const values = this.#atBlockEnd() || this.#token.kind === ';' ? [] : this.#expressions()
    return { kind: 'return', line, values }
  }

  #expressionStatement(line: number): Statement {
    const first = this.#suffixed()
    if (this.#token.kind === '=' || this.#token.kind === ',') {
      const targets = [first]
      while (this.#accept(',')) targets.push(this.#suffixed())
      for (const { kind } of targets)
        if (!['local', 'upvalue', 'global', 'index'].includes(kind)) throw this.#unexpected('syntax error')
      this.#expect('=')
      return { kind: 'assign', line, targets, values: this.#expressions() }
    }
    if (first.kind !== 'call' && first.kind !== 'method') throw this.#unexpected('syntax error')
    return { kind: 'call', line, call: first }
  }

  // --------------------------------------------------------------------------------------------------------------- expressions

  #expressions(): Expression[] {
    const found = [this.#expression()]
    while (this.#accept(',')) found.push(this.#expression())
    return found
  }

  #expression(limit = 0): Expression {
    this.#enter()
    let left = this.#unaryOrSimple()
    for (;;) {
      const operator = this.#token.kind
      const priority = priorities[operator]
      if (priority === undefined || priority[0] <= limit) break
      const { line } = this.#advance()
      const right = this.#expression(priority[1])
      left =
        operator === 'and' || operator === 'or'
          ? { kind: operator, line, left, right }
          : { kind: 'binary', line, operator, left, right }
    }
    this.#depth--
    return left
  }

  #unaryOrSimple(): Expression {
    const { kind, line } = this.#token
    if (kind === 'not' || kind === '-' || kind === '#') {
      this.#advance()
      const operand = this.#expression(unaryPriority)
      if (kind === '-' && operand.kind === 'constant' && typeof operand.value === 'number')
        return { kind: 'constant', line, value: -operand.value }
      return { kind: 'unary', line, operator: kind, operand }
    }
    return this.#simple()
  }

  #simple(): Expression {
    const { kind, line, text, number } = this.#token
    switch (kind) {
      case 'number':
        this.#advance()
        return { kind: 'constant', line, value: number }
      case 'string':
        this.#advance()
        return { kind: 'constant', line, value: text }
      case 'nil':
      case 'true':
      case 'false':
        this.#advance()
        return { kind, line }
      case '...':
        this.#advance()
        if (!this.#function.isVararg) throw this.#unexpected("cannot use '...' outside a vararg function")
        return { kind: 'vararg', line }
      case '{':
        return this.#table()
      case 'function':
        this.#advance()
        return { kind: 'function', line, body: this.#functionBody(line, false) }
      default:
        return this.#suffixed()
    }
  }

  #variable(name: string, line: number): Expression {
    const local = this.#function.find(name)
    if (local !== null) return { kind: 'local', line, local }
    const index = this.#function.upvalue(name)
    if (this.#function.upvalues.length > upvaluesMax) throw this.#lexer.error(`function has more than ${upvaluesMax} upvalues`)
    return index < 0 ? { kind: 'global', line, name } : { kind: 'upvalue', line, index, name }
  }

  #suffixed(): Expression {
    let { line } = this.#token
    let found: Expression
    if (this.#accept('(')) {
      const inner = this.#expression()
      this.#expectEnd(')', '(', line)
      found = { kind: 'group', line, inner }
    } else if (this.#token.kind === 'name') found = this.#variable(this.#advance().text, line)
    else throw this.#unexpected('unexpected symbol')
    for (;;) {
      ;({ line } = this.#token)
      switch (this.#token.kind) {
        case '.':
          this.#advance()
          found = { kind: 'index', line, object: found, key: { kind: 'constant', line, value: this.#name() } }
          break
        case '[': {
          this.#advance()
          const key = this.#expression()
          this.#expect(']')
          found = { kind: 'index', line, object: found, key }
          break
        }
        case ':': {
          this.#advance()
          const name = this.#name()
          found = { kind: 'method', line, object: found, name, args: this.#arguments() }
          break
        }
        case '(':
        case 'string':
        case '{':
          found = { kind: 'call', line, callee: found, args: this.#arguments() }
          break
        default:
          return found
      }
    }
  }

  #arguments(): Expression[] {
    const { kind, line, text } = this.#token
    if (kind === 'string') {
      this.#advance()
      return [{ kind: 'constant', line, value: text }]
    }
    if (kind === '{') return [this.#table()]
    if (kind !== '(') throw this.#unexpected('function arguments expected')
    this.#advance()
    if (this.#accept(')')) return []
    const args = this.#expressions()
    this.#expectEnd(')', '(', line)
    return args
  }

  #table(): Expression {
    const { line } = this.#expect('{')
    const items: TableItem[] = []
    while (this.#token.kind !== '}') {
      if (this.#token.kind === '[') {
        this.#advance()
        const key = this.#expression()
        this.#expect(']')
        this.#expect('=')
        items.push({ key, value: this.#expression() })
      } else if (this.#token.kind === 'name' && this.#peek().kind === '=') {
        const key: Expression = { kind: 'constant', line: this.#token.line, value: this.#advance().text }
        this.#advance()
        items.push({ key, value: this.#expression() })
      } else items.push({ key: null, value: this.#expression() })
      if (!this.#accept(',') && !this.#accept(';')) break
    }
    this.#expectEnd('}', '{', line)
    return { kind: 'table', line, items }
  }

  #functionBody(line: number, isMethod: boolean): FunctionBody {
    const scope = new FunctionScope(this.#function)
    this.#function = scope
    this.#expect('(')
    const names: string[] = isMethod ? ['self'] : []
    if (this.#token.kind !== ')') {
      do {
        if (this.#accept('...')) {
          scope.isVararg = true
          break
        }
        names.push(this.#name())
      } while (this.#accept(','))
    }
    this.#expect(')')
    let parameters: Local[] = []
    const block = this.#block(() => {
      parameters = names.map((name) => this.#declare(name))
    })
    this.#expectEnd('end', 'function', line)
    this.#function = scope.parent as FunctionScope // it was made with one
    return { line, parameters, isVararg: scope.isVararg, block, upvalues: scope.upvalues }
  }
}
