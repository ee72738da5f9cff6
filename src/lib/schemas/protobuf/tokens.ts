/** The words of a .proto file, comments and white space left out. */
import { InvalidSchema } from '../schema.ts'

const token =
  /\s+|\/\/[^\n]*|\/\*[\s\S]*?\*\/|([A-Za-z_][\w]*(?:\.[A-Za-z_]\w*)*|\.[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)|(0[xX][0-9a-fA-F]+|\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)|("(?:[^"\\\n]|\\[^\n])*"|'(?:[^'\\\n]|\\[^\n])*')|([{}[\]()<>=;,:+\-/.])/y

export class Tokens {
  readonly #words: string[] = []
  #at = 0

  constructor(text: string) {
    token.lastIndex = 0
    while (token.lastIndex < text.length) {
      const from = token.lastIndex
      const found = token.exec(text)
      if (found === null)
        throw new InvalidSchema(`line ${lineOf(text, from)}: unexpected ${JSON.stringify(text.slice(from, from + 10))}`)
      const word = found[1] ?? found[2] ?? found[3] ?? found[4]
      if (word !== undefined) this.#words.push(word)
    }
  }

  get done(): boolean {
    return this.#at >= this.#words.length
  }

  /** The next word, '' at the end. */
  peek(ahead = 0): string {
    return this.#words[this.#at + ahead] ?? ''
  }

  next(): string {
    const word = this.#words[this.#at]
    if (word === undefined) throw new InvalidSchema('the text ends too early')
    this.#at++
    return word
  }

  /** Takes the next word if it is this one. */
  take(word: string): boolean {
    if (this.peek() !== word) return false
    this.#at++
    return true
  }

  expect(word: string): void {
    const found = this.next()
    if (found !== word) throw new InvalidSchema(`expected ${word}, not ${found}`)
  }

  name(): string {
    const word = this.next()
    if (!/^[A-Za-z_]\w*$/.test(word)) throw new InvalidSchema(`${word} is no name`)
    return word
  }

  /** With dots, also a leading one. */
  fullName(): string {
    const word = this.next()
    if (!/^\.?[A-Za-z_][\w.]*$/.test(word)) throw new InvalidSchema(`${word} is no name`)
    return word
  }

  integer(): number {
    const sign = this.take('-') ? -1 : 1
    const word = this.next()
    if (!/^(0[xX][0-9a-fA-F]+|\d+)$/.test(word)) throw new InvalidSchema(`${word} is no whole number`)
    // A leading zero means octal.
    return sign * Number(/^0\d/.test(word) ? `0o${word.slice(1)}` : word)
  }

  text(): string {
    let text = ''
    do text += this.next()
    while (/^["']/.test(this.peek()))
    if (!/^["']/.test(text)) throw new InvalidSchema(`${text} is no string`)
    return text.slice(1, -1)
  }
}

const lineOf = (text: string, at: number): number => text.slice(0, at).split('\n').length
