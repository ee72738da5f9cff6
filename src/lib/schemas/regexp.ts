/** Regular expressions of strangers: by RE2, which takes time in proportion to the text. What RE2 has not (look-around, back references) is refused. */
import { RE2JS } from 're2js'
import { InvalidSchema } from './schema.ts'

export interface RegExpLike {
  test(text: string): boolean
}

const compiledMax = 1000
const compiled = new Map<string, RegExpLike>()

export function safeRegExp(pattern: string): RegExpLike {
  const known = compiled.get(pattern)
  if (known !== undefined) return known
  const expression = compile(pattern)
  const made = { test: (text: string) => expression.matcher(text).find() }
  if (compiled.size >= compiledMax) compiled.clear()
  compiled.set(pattern, made)
  return made
}

function compile(pattern: string): RE2JS {
  try {
    return RE2JS.compile(pattern)
  } catch (cause) {
    throw new InvalidSchema(`the pattern ${pattern} is refused: ${cause instanceof Error ? cause.message : String(cause)}`)
  }
}
