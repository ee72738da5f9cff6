/** Patterns of keys in ACL rules, and the regular expressions of the broker's permissions that say the same. */

/** The whole of a name matches the expression; null: a set in brackets, which is not translated. */
export function expressionOf(globs: readonly string[]): string | null {
  const found = globs.map(expressionOfOne)
  return found.includes(null) ? null : found.join('|')
}

function expressionOfOne(glob: string): string | null {
  let expression = ''
  const chars = [...glob]
  for (let at = 0; at < chars.length; at++) {
    const char = chars[at] as string // at < length
    if (char === '[') return null
    if (char === '*') expression += '.*'
    else if (char === '?') expression += '.'
    else expression += quote(char === '\\' ? (chars[++at] ?? '\\') : char)
  }
  return expression
}

const quote = (char: string): string => (/[\\^$.*+?()[\]{}|/]/.test(char) ? `\\${char}` : char)

/** The patterns that say what an expression does; null where none do. */
export function globsOf(expression: string): string[] | null {
  if (expression === '' || expression === '^$') return []
  const globs = ['']
  const add = (text: string): void => {
    globs.push((globs.pop() ?? '') + text)
  }
  const chars = [...expression]
  for (let at = 0; at < chars.length; at++) {
    const char = chars[at] as string // at < length
    const next = chars[at + 1]
    if (char === '|') globs.push('')
    else if (char === '.' && next === '*') {
      add('*')
      at++
    } else if (char === '.') add('?')
    else if (char === '\\' && next !== undefined && /[^\p{L}\p{N}]/u.test(next)) {
      add(literal(next))
      at++
    } else if (/[\\^$*+?()[\]{}]/.test(char)) return null
    else add(literal(char))
  }
  return globs
}

const literal = (char: string): string => (/[\\*?[]/.test(char) ? `\\${char}` : char)
