/**
 * Selectors: the conditions of SQL-92 over a record's headers and attributes, as message selectors have them (JMS 2.0, section 3.8.1). Parsed by
 * recursive descent, compiled once to closures, evaluated with three-valued logic; evaluation is total: it never throws.
 *
 *   condition  = term { OR term }        term = factor { AND factor }        factor = [ NOT ] factor | predicate
 *   predicate  = sum [ ( = | <> | != | < | <= | > | >= ) sum | [ NOT ] BETWEEN sum AND sum | [ NOT ] IN ( literal { , literal } )
 *                    | [ NOT ] LIKE string [ ESCAPE string ] | IS [ NOT ] NULL ]
 *   sum        = product { ( + | - ) product }      product = sign { ( * | / ) sign }      sign = [ + | - ] sign | primary
 *   primary    = string | number | TRUE | FALSE | name | "name" | ( condition )
 *
 * Values are strings, exact integers (64 bits, as bigint), floating-point numbers, booleans, or unknown: a header that is not there, null, or of
 * a type that is none of these (which IS NULL tells apart). A comparison of unlike types is false. Strings compare by code unit.
 */
import { CoreError } from './errors.ts'
import { place, reserved, type Token, tokens, wrong } from './selector-tokens.ts'
import {
  add,
  atLeast,
  atMost,
  type Comparison,
  calculate,
  comparisons,
  conjunction,
  divide,
  equal,
  isLike,
  likeParts,
  minus,
  multiply,
  negated,
  numberOrUnknown,
  type Operator,
  opaque,
  type SelectorValue,
  subtract,
  type Truth,
  truth,
  type Value,
} from './selector-values.ts'

/** Gets a value out of `Source`, by a name that was checked when the selector was compiled. */
export type NameResolver<Source> = (name: string) => ((source: Source) => Value) | string

const lengthMax = 8192
const depthMax = 64

type Evaluate<Source> = (source: Source) => Value

/** What an expression may be used as. */
interface Node<Source> {
  readonly kind: 'condition' | 'value' | 'either'
  readonly evaluate: Evaluate<Source>
}

/**
 * Whether a record matches: only when the condition is true, not when it is unknown. `resolve` answers how to get a name's value, or why there is
 * no such name. Throws Invalid, with the position (from 1) of what is wrong.
 */
export function compileSelector<Source>(text: string, resolve: NameResolver<Source>): (source: Source) => boolean {
  if (text.length > lengthMax) throw new CoreError('Invalid', `a selector has at most ${lengthMax} characters`)
  const { evaluate } = new Parser(text, resolve).parse()
  return (source) => evaluate(source) === true
}

class Parser<Source> {
  readonly #text: string
  readonly #resolve: NameResolver<Source>
  readonly #tokens: readonly Token[]
  #next = 0
  #depth = 0

  constructor(text: string, resolve: NameResolver<Source>) {
    this.#text = text
    this.#resolve = resolve
    this.#tokens = tokens(text)
  }

  parse(): Node<Source> {
    const node = this.#condition(this.#peek())
    const rest = this.#peek()
    if (rest.kind !== 'end') throw wrong(rest, 'the end or an operator')
    return node
  }

  #peek(): Token {
    return this.#tokens[this.#next] as Token // the last one is the end, and is never passed
  }

  #take(): Token {
    const token = this.#peek()
    if (token.kind !== 'end') this.#next++
    return token
  }

  /** Takes the word (a name that is not quoted, in any case) or the symbol, if it is next. */
  #accept(word: string): boolean {
    const token = this.#peek()
    const found = token.kind === 'name' ? token.text.toUpperCase() === word : token.kind === 'symbol' && token.text === word
    if (found) this.#next++
    return found
  }

  #expect(word: string): void {
    if (!this.#accept(word)) throw wrong(this.#peek(), word)
  }

  #nested<T>(parse: () => T): T {
    if (++this.#depth > depthMax) throw new CoreError('Invalid', `selector: nested deeper than ${depthMax}${place(this.#peek())}`)
    const result = parse()
    this.#depth--
    return result
  }

  #condition(from: Token): Node<Source> {
    const node = this.#or()
    if (node.kind === 'value') throw new CoreError('Invalid', `selector: a condition is wanted, this is a value${place(from)}`)
    return node
  }

  #or(): Node<Source> {
    const from = this.#peek()
    let left = this.#and()
    while (this.#accept('OR'))
      left = either(
        asCondition(left, from),
        this.#checked(() => this.#and()),
      )
    return left
  }

  #and(): Node<Source> {
    const from = this.#peek()
    let left = this.#not()
    while (this.#accept('AND'))
      left = both(
        asCondition(left, from),
        this.#checked(() => this.#not()),
      )
    return left
  }

  #checked(parse: () => Node<Source>): Node<Source> {
    const from = this.#peek()
    return asCondition(parse(), from)
  }

  #not(): Node<Source> {
    if (!this.#accept('NOT')) return this.#predicate()
    const { evaluate } = this.#checked(() => this.#nested(() => this.#not()))
    return { kind: 'condition', evaluate: (source) => negated(evaluate(source)) }
  }

  #predicate(): Node<Source> {
    const from = this.#peek()
    const left = this.#sum()
    const operator = this.#peek()
    if (operator.kind === 'symbol' && Object.hasOwn(comparisons, operator.text)) {
      this.#take()
      const right = this.#operand()
      const compare = comparisons[operator.text] as Comparison // has it
      const { evaluate } = asValue(left, from)
      return { kind: 'condition', evaluate: (source) => compare(evaluate(source), right(source)) }
    }
    if (this.#accept('IS')) {
      const not = this.#accept('NOT')
      this.#expect('NULL')
      const { evaluate } = asValue(left, from)
      return { kind: 'condition', evaluate: (source) => (evaluate(source) === null) !== not }
    }
    const not = operator.kind === 'name' && operator.text.toUpperCase() === 'NOT' && this.#accept('NOT')
    if (this.#accept('BETWEEN')) return maybeNot(not, this.#between(asValue(left, from)))
    if (this.#accept('IN')) return maybeNot(not, this.#in(asValue(left, from)))
    if (this.#accept('LIKE')) return maybeNot(not, this.#like(asValue(left, from)))
    if (not) throw wrong(this.#peek(), 'BETWEEN, IN or LIKE')
    return left
  }

  #operandOf(parse: () => Node<Source>): Node<Source> {
    const from = this.#peek()
    return asValue(parse(), from)
  }

  #operand(): Evaluate<Source> {
    return this.#operandOf(() => this.#sum()).evaluate
  }

  #between({ evaluate }: Node<Source>): Evaluate<Source> {
    const low = this.#operand()
    this.#expect('AND')
    const high = this.#operand()
    return (source) => {
      const value = evaluate(source)
      return conjunction(atLeast(value, low(source)), atMost(value, high(source)))
    }
  }

  #in({ evaluate }: Node<Source>): Evaluate<Source> {
    this.#expect('(')
    const values: SelectorValue[] = []
    do {
      const negative = this.#accept('-')
      const token = this.#take()
      if (token.value === undefined || (negative && token.kind !== 'number')) throw wrong(token, 'a string or a number')
      values.push(negative ? minus(token.value) : token.value)
    } while (this.#accept(','))
    this.#expect(')')
    const texts = new Set(values.filter((value) => typeof value === 'string'))
    const others = values.filter((value) => typeof value !== 'string')
    return (source) => {
      const value = evaluate(source)
      if (value === null || value === opaque) return null
      return typeof value === 'string' ? texts.has(value) : others.some((other) => equal(value, other) === true)
    }
  }

  #like({ evaluate }: Node<Source>): Evaluate<Source> {
    const pattern = this.#take()
    if (pattern.kind !== 'string') throw wrong(pattern, 'a pattern in quotes')
    let escapeCharacter: string | null = null
    if (this.#accept('ESCAPE')) {
      const token = this.#take()
      if (token.kind !== 'string' || [...token.text].length !== 1) throw wrong(token, 'one character in quotes')
      escapeCharacter = token.text
    }
    const parts = likeParts(pattern.text, escapeCharacter)
    if (parts === null) throw new CoreError('Invalid', `selector: the pattern ends with its escape character${place(pattern)}`)
    return (source) => {
      const value = evaluate(source)
      if (value === null || value === opaque) return null
      return typeof value === 'string' && isLike([...value], parts)
    }
  }

  #sum(): Node<Source> {
    const from = this.#peek()
    let left = this.#product()
    for (;;) {
      const operator = this.#accept('+') ? add : this.#accept('-') ? subtract : null
      if (operator === null) return left
      left = arithmetic(
        operator,
        asValue(left, from),
        this.#operandOf(() => this.#product()),
      )
    }
  }

  #product(): Node<Source> {
    const from = this.#peek()
    let left = this.#sign()
    for (;;) {
      const operator = this.#accept('*') ? multiply : this.#accept('/') ? divide : null
      if (operator === null) return left
      left = arithmetic(
        operator,
        asValue(left, from),
        this.#operandOf(() => this.#sign()),
      )
    }
  }

  #sign(): Node<Source> {
    const negative = this.#accept('-')
    if (!negative && !this.#accept('+')) return this.#primary()
    const { evaluate } = this.#operandOf(() => this.#nested(() => this.#sign()))
    return {
      kind: 'value',
      evaluate: negative ? (source) => minus(evaluate(source)) : (source) => numberOrUnknown(evaluate(source)),
    }
  }

  #primary(): Node<Source> {
    if (this.#accept('(')) {
      const node = this.#nested(() => this.#or())
      this.#expect(')')
      return node
    }
    const token = this.#take()
    const word = token.kind === 'name' ? token.text.toUpperCase() : ''
    if (word === 'TRUE' || word === 'FALSE') return { kind: 'either', evaluate: () => word === 'TRUE' }
    if (token.kind === 'quoted' || (token.kind === 'name' && !reserved.has(word))) return this.#name(token)
    const { value } = token
    if (value === undefined) throw wrong(token, 'a value')
    return { kind: 'value', evaluate: () => value }
  }

  #name(token: Token): Node<Source> {
    const found = this.#resolve(token.text)
    if (typeof found === 'string') throw new CoreError('Invalid', `selector: ${found}${place(token)}`)
    return { kind: 'either', evaluate: found }
  }
}

// ----------------------------------------------------------------------------------------------------------------------- nodes

function both<Source>(left: Node<Source>, right: Node<Source>): Node<Source> {
  const evaluate = (source: Source): Truth => {
    const first = truth(left.evaluate(source))
    return first === false ? false : conjunction(first, truth(right.evaluate(source)))
  }
  return { kind: 'condition', evaluate }
}

function either<Source>(left: Node<Source>, right: Node<Source>): Node<Source> {
  const evaluate = (source: Source): Truth => {
    const first = truth(left.evaluate(source))
    if (first === true) return true
    const second = truth(right.evaluate(source))
    return second === true ? true : first === null || second === null ? null : false
  }
  return { kind: 'condition', evaluate }
}

function maybeNot<Source>(not: boolean, evaluate: Evaluate<Source>): Node<Source> {
  return { kind: 'condition', evaluate: not ? (source) => negated(evaluate(source)) : evaluate }
}

function asCondition<Source>(node: Node<Source>, from: Token): Node<Source> {
  if (node.kind === 'value') throw new CoreError('Invalid', `selector: a condition is wanted, this is a value${place(from)}`)
  return node
}

function asValue<Source>(node: Node<Source>, from: Token): Node<Source> {
  if (node.kind === 'condition') throw new CoreError('Invalid', `selector: a value is wanted, this is a condition${place(from)}`)
  return node
}

function arithmetic<Source>(operator: Operator, left: Node<Source>, right: Node<Source>): Node<Source> {
  return { kind: 'value', evaluate: (source) => calculate(operator, left.evaluate(source), right.evaluate(source)) }
}
