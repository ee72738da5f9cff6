/** JSON objects that stand one after the other, with or without white space between them: the text of each. */
import { unprocessable } from './errors.ts'

export const recordsMax = 10_000

export function splitJson(text: string): string[] {
  const found: string[] = []
  let from = -1
  let depth = 0
  let inString = false
  for (let at = 0; at < text.length; at++) {
    const character = text[at]
    if (inString) {
      if (character === '\\') at++
      else if (character === '"') inString = false
    } else if (character === '"') inString = true
    else if (character === '{' || character === '[') {
      if (depth++ === 0) from = at
    } else if (character === '}' || character === ']') {
      if (--depth < 0) throw unprocessable('the body is no JSON')
      if (depth > 0) continue
      found.push(text.slice(from, at + 1))
      if (found.length > recordsMax) throw unprocessable(`a request holds at most ${recordsMax} records`)
    } else if (depth === 0 && !/[\s,]/.test(character ?? '')) throw unprocessable('the body is no sequence of JSON objects')
  }
  if (depth > 0 || inString) throw unprocessable('the body ends too early')
  return found
}
