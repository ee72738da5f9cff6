/**
 * RabbitMQ's patterns (PCRE, searched for anywhere in a name) ⇄ the broker's permissions (JavaScript, the whole name). What PCRE alone has is
 * translated where JavaScript says the same otherwise, and refused where it has no word for it: it would silently match something else.
 */
import { badRequest } from './errors.ts'

const anywhere = ['[^]*(?:', ')[^]*'] as const

/** A permission's pattern for the broker. */
export function toWhole(pattern: string): string {
  // An empty pattern allows nothing, on both sides; the most common one stays readable.
  if (pattern === '' || pattern === '.*') return pattern
  return anywhere.join(javaScriptOf(pattern))
}

/** The way back: what {@link toWhole} made as it was, any other so that it means the same. */
export function fromWhole(pattern: string): string {
  if (pattern === '' || pattern === '.*') return pattern
  if (pattern.startsWith(anywhere[0]) && pattern.endsWith(anywhere[1]))
    return pattern.slice(anywhere[0].length, -anywhere[1].length)
  return `^(?:${pattern})$`
}

/** Escapes that JavaScript reads as PCRE does. */
const sameEscapes = 'dDwWsSbBnrtfv0123456789xcu'
const escapes: Readonly<Record<string, string>> = { A: '^', z: '$', Z: '(?=\\n?$)', h: '[ \\t]', e: '\\x1b', a: '\\x07' }
const classes: Readonly<Record<string, string>> = {
  alpha: 'A-Za-z',
  digit: '0-9',
  alnum: 'A-Za-z0-9',
  upper: 'A-Z',
  lower: 'a-z',
  space: '\\s',
  word: '\\w',
  xdigit: '0-9A-Fa-f',
  punct: '!-\\/:-@\\[-`{-~',
}

/** Throws an ApiError for what is no regular expression, or none that JavaScript can say. */
export function javaScriptOf(pattern: string): string {
  const insensitive = pattern.startsWith('(?i)')
  const source = insensitive ? pattern.slice(4) : pattern
  const translated = source
    .replace(/\\(.)/gs, (whole, letter: string) => {
      if (!/[A-Za-z0-9]/.test(letter) || sameEscapes.includes(letter)) return whole
      const known = escapes[letter]
      if (known === undefined) throw badRequest(`pattern ${pattern}: ${whole} is not supported here`)
      return known
    })
    .replace(/\[:(\^?)(\w+):\]/g, (whole, not: string, name: string) => {
      const known = classes[name]
      if (known === undefined || not !== '') throw badRequest(`pattern ${pattern}: ${whole} is not supported here`)
      return known
    })
  const result = insensitive ? `(?i:${translated})` : translated
  try {
    new RegExp(result)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message.replace(/^.*: /, '') : ''
    throw badRequest(`pattern should be regular expression but is invalid: ${pattern} (${why})`)
  }
  return result
}
