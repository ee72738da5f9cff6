/** The words of a selector: names, literals and symbols, each with its place. Errors name the position, counted from 1. */
import { CoreError } from './errors.ts'
import type { SelectorValue } from './selector-values.ts'

export interface Token {
  readonly kind: 'name' | 'quoted' | 'string' | 'number' | 'symbol' | 'end'
  readonly text: string
  readonly at: number
  readonly value?: SelectorValue
}

export const reserved: ReadonlySet<string> = new Set([
  'AND',
  'OR',
  'NOT',
  'BETWEEN',
  'IN',
  'LIKE',
  'ESCAPE',
  'IS',
  'NULL',
  'TRUE',
  'FALSE',
])

const spacePattern = /\s+/y
/** As in Java, with dots for names of several words. */
const namePattern = /[\p{L}\p{Nl}_$][\p{L}\p{Nl}\p{Nd}_$.]*/uy
const numberPattern = /0[xX][0-9a-fA-F]+[lL]?|(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?[lLfFdD]?/y
const symbolPattern = /<>|<=|>=|!=|[=<>+\-*/(),]/y

export function tokens(text: string): Token[] {
  const found: Token[] = []
  let at = 0
  const scan = (pattern: RegExp): string | null => {
    pattern.lastIndex = at
    return pattern.exec(text)?.[0] ?? null
  }
  for (;;) {
    at += scan(spacePattern)?.length ?? 0
    if (at === text.length) break
    const token =
      scanQuoted(text, at) ?? scanNumber(scan(numberPattern), at) ?? scanWord(scan(namePattern), scan(symbolPattern), at)
    if (token === null) throw new CoreError('Invalid', `selector: "${text[at]}" means nothing here, at position ${at + 1}`)
    found.push(token.token)
    at = token.end
  }
  found.push({ kind: 'end', text: '', at })
  return found
}

interface Scanned {
  readonly token: Token
  readonly end: number
}

/** 'text' and "name"; a quote within is doubled. */
function scanQuoted(text: string, at: number): Scanned | null {
  const quote = text[at]
  if (quote !== "'" && quote !== '"') return null
  let content = ''
  for (let from = at + 1; ; ) {
    const end = text.indexOf(quote, from)
    if (end < 0) throw new CoreError('Invalid', `selector: the quote at position ${at + 1} is not closed`)
    content += text.slice(from, end)
    if (text[end + 1] !== quote) {
      const token: Token =
        quote === "'" ? { kind: 'string', text: content, at, value: content } : { kind: 'quoted', text: content, at }
      return { token, end: end + 1 }
    }
    content += quote
    from = end + 2
  }
}

function scanNumber(text: string | null, at: number): Scanned | null {
  if (text === null) return null
  const exact = /^(?:0[xX][0-9a-fA-F]+|\d+)[lL]?$/.test(text)
  let value: bigint | number
  if (exact) {
    value = BigInt(text.replace(/[lL]$/, ''))
    if (BigInt.asIntN(64, value) !== value)
      throw new CoreError('Invalid', `selector: ${text} does not fit into 64 bits, at position ${at + 1}`)
  } else {
    if (/[lL]$/.test(text)) throw new CoreError('Invalid', `selector: ${text} is no integer, at position ${at + 1}`)
    value = Number(text.replace(/[fFdD]$/, ''))
  }
  return { token: { kind: 'number', text, at, value }, end: at + text.length }
}

function scanWord(name: string | null, symbol: string | null, at: number): Scanned | null {
  const text = name ?? symbol
  if (text === null) return null
  return { token: { kind: name === null ? 'symbol' : 'name', text, at }, end: at + text.length }
}

export const place = (token: Token): string => (token.kind === 'end' ? ', at the end' : `, at position ${token.at + 1}`)

export function wrong(token: Token, wanted: string): CoreError {
  const found = token.kind === 'end' ? '' : `, not "${token.text}"`
  return new CoreError('Invalid', `selector: ${wanted} is wanted${found}${place(token)}`)
}
