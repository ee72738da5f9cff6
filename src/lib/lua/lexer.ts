/** Words of Lua 5.1. The source is bytes as latin1. */
import { LuaError } from './value.ts'

export interface Token {
  /** A name, number, string, the end, or else the word or sign itself. */
  kind: string
  text: string
  number: number
  line: number
}

const keywords = new Set(
  'and break do else elseif end false for function if in local nil not or repeat return then true until while'.split(' '),
)
const signs = ['...', '..', '==', '~=', '<=', '>=']

const escapes: Readonly<Record<string, string>> = { a: '\x07', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' }

export class Lexer {
  readonly #source: string
  readonly name: string
  #at = 0
  line = 1

  constructor(source: string, name: string) {
    this.#source = source
    this.name = name
    // A first line that begins with # is for shells.
    if (source.startsWith('#')) while (this.#at < source.length && source[this.#at] !== '\n') this.#at++
  }

  error(message: string, near?: string): LuaError {
    return new LuaError(`${this.name}:${this.line}: ${message}${near === undefined ? '' : ` near '${near}'`}`)
  }

  next(): Token {
    this.#skip()
    const source = this.#source
    const at = this.#at
    const char = source[at]
    if (char === undefined) return this.#token('<eof>', '<eof>')
    if (/[A-Za-z_]/.test(char)) return this.#word()
    if (/\d/.test(char) || (char === '.' && /\d/.test(source[at + 1] ?? ''))) return this.#number()
    if (char === '"' || char === "'") return this.#string(char)
    if (char === '[') {
      const level = this.#longLevel()
      if (level >= 0) return { ...this.#token('string', ''), text: this.#long(level, 'string') }
    }
    for (const sign of signs) {
      if (!source.startsWith(sign, at)) continue
      this.#at += sign.length
      return this.#token(sign, sign)
    }
    if (!'+-*/%^#<>=(){}[];:,.'.includes(char)) throw this.error('unexpected symbol', char)
    this.#at++
    return this.#token(char, char)
  }

  #token(kind: string, text: string, number = 0): Token {
    return { kind, text, number, line: this.line }
  }

  #skip(): void {
    const source = this.#source
    for (;;) {
      const char = source[this.#at]
      if (char === '\n') this.line++
      else if (char === '-' && source[this.#at + 1] === '-') {
        this.#at += 2
        const level = source[this.#at] === '[' ? this.#longLevel() : -1
        if (level >= 0) this.#long(level, 'comment')
        else while (this.#at < source.length && source[this.#at] !== '\n') this.#at++
        continue
      } else if (char === undefined || !' \t\r\v\f'.includes(char)) return
      this.#at++
    }
  }

  #word(): Token {
    const from = this.#at
    while (/[A-Za-z0-9_]/.test(this.#source[this.#at] ?? '')) this.#at++
    const text = this.#source.slice(from, this.#at)
    return this.#token(keywords.has(text) ? text : 'name', text)
  }

  #number(): Token {
    const from = this.#at
    const source = this.#source
    while (
      /[0-9A-Za-z_.]/.test(source[this.#at] ?? '') ||
      (/[+-]/.test(source[this.#at] ?? '') && /e/i.test(source[this.#at - 1] ?? '') && !/^0x/i.test(source.slice(from, from + 2)))
    )
      this.#at++
    const text = source.slice(from, this.#at)
    const isHex = /^0x[0-9a-f]+$/i.test(text)
    if (!isHex && !/^(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text)) throw this.error('malformed number', text)
    return this.#token('number', text, isHex ? Number.parseInt(text.slice(2), 16) : Number(text))
  }

  #string(quote: string): Token {
    const source = this.#source
    let text = ''
    this.#at++
    for (;;) {
      const char = source[this.#at]
      if (char === undefined) throw this.error('unfinished string', '<eof>')
      if (char === '\n' || char === '\r') throw this.error('unfinished string', quote + text)
      this.#at++
      if (char === quote) return this.#token('string', text)
      text += char === '\\' ? this.#escape(quote + text) : char
    }
  }

  #escape(soFar: string): string {
    const source = this.#source
    const char = source[this.#at++]
    if (char === undefined) throw this.error('unfinished string', '<eof>')
    if (char === '\n' || char === '\r') {
      if (source[this.#at] !== char && /[\n\r]/.test(source[this.#at] ?? '')) this.#at++
      this.line++
      return '\n'
    }
    const digits = /^\d{1,3}/.exec(source.slice(this.#at - 1, this.#at + 2))
    if (digits === null) return escapes[char] ?? char
    const code = Number(digits[0])
    if (code > 255) throw this.error('escape sequence too large', soFar)
    this.#at += digits[0].length - 1
    return String.fromCharCode(code)
  }

  /** How many equal signs a long bracket has that begins here; -1: it is none. */
  #longLevel(): number {
    let at = this.#at + 1
    while (this.#source[at] === '=') at++
    return this.#source[at] === '[' ? at - this.#at - 1 : -1
  }

  #long(level: number, what: string): string {
    const source = this.#source
    let from = this.#at + level + 2
    if (source[from] === '\r') from++
    if (source[from] === '\n') from++
    const close = `]${'='.repeat(level)}]`
    const end = source.indexOf(close, this.#at + level + 2)
    if (end < 0) throw this.error(`unfinished long ${what}`, '<eof>')
    for (let at = this.#at; at < end; at++) if (source[at] === '\n') this.line++
    this.#at = end + close.length
    return source.slice(Math.min(from, end), end).replaceAll('\r\n', '\n')
  }
}
