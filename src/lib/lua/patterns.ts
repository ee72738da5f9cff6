/** Patterns of Lua 5.1 (section 5.4.1 of its manual): matched by trying, with as many steps back as a pattern asks for, within limits. */
import { LuaError } from './value.ts'

export interface Matched {
  readonly start: number
  readonly end: number
  /** Text, or a position for `()`. */
  readonly captures: readonly (string | number)[]
}

const capturesMax = 32
/** Nested tries, and all tries of one match. */
const depthMax = 200
const stepsMax = 50_000_000

interface Capture {
  start: number
  /** -1: still open; -2: a position. */
  length: number
}

/** Tries to match at one place. */
export function match(text: string, pattern: string, start: number): Matched | null {
  const matcher = new Matcher(text, pattern)
  const end = matcher.match(start, 0)
  return end < 0 ? null : { start, end, captures: matcher.captured() }
}

class Matcher {
  readonly #text: string
  readonly #pattern: string
  readonly #captures: Capture[] = []
  #depth = 0
  #steps = 0

  constructor(text: string, pattern: string) {
    this.#text = text
    this.#pattern = pattern
  }

  captured(): (string | number)[] {
    return this.#captures.map(({ start, length }) => {
      if (length === -1) throw new LuaError('unfinished capture')
      return length === -2 ? start + 1 : this.#text.slice(start, start + length)
    })
  }

  /** Where the pattern from `p` on ends when it begins at `s`; -1: it does not match. */
  match(from: number, fromPattern: number): number {
    if (++this.#depth > depthMax) throw new LuaError('pattern too complex')
    try {
      return this.#match(from, fromPattern)
    } finally {
      this.#depth--
    }
  }

  #match(from: number, fromPattern: number): number {
    const text = this.#text
    const pattern = this.#pattern
    let s = from
    let p = fromPattern
    while (p < pattern.length) {
      if (++this.#steps > stepsMax) throw new LuaError('pattern too complex')
      const char = pattern[p]
      if (char === '(') return pattern[p + 1] === ')' ? this.#open(s, p + 2, -2) : this.#open(s, p + 1, -1)
      if (char === ')') return this.#close(s, p + 1)
      if (char === '$' && p + 1 === pattern.length) return s === text.length ? s : -1
      if (char === '%' && pattern[p + 1] === 'b') {
        s = this.#balanced(s, p + 2)
        if (s < 0) return -1
        p += 4
        continue
      }
      if (char === '%' && pattern[p + 1] === 'f') {
        p += 2
        if (pattern[p] !== '[') throw new LuaError("missing '[' after '%f' in pattern")
        const end = this.#classEnd(p)
        if (this.#inSet(s === 0 ? '\0' : (text[s - 1] as string), p, end - 1)) return -1
        if (!this.#inSet(text[s] ?? '\0', p, end - 1)) return -1
        p = end
        continue
      }
      if (char === '%' && /\d/.test(pattern[p + 1] ?? '')) {
        s = this.#again(s, pattern[p + 1] as string)
        if (s < 0) return -1
        p += 2
        continue
      }
      const end = this.#classEnd(p)
      const suffix = pattern[end]
      if (suffix === '?') {
        if (this.#single(s, p, end)) {
          const found = this.match(s + 1, end + 1)
          if (found >= 0) return found
        }
        p = end + 1
        continue
      }
      if (suffix === '*') return this.#longest(s, p, end)
      if (suffix === '+') return this.#single(s, p, end) ? this.#longest(s + 1, p, end) : -1
      if (suffix === '-') return this.#shortest(s, p, end)
      if (!this.#single(s, p, end)) return -1
      s++
      p = end
    }
    return s
  }

  #open(s: number, p: number, length: number): number {
    if (this.#captures.length >= capturesMax) throw new LuaError('too many captures')
    this.#captures.push({ start: s, length })
    const found = this.match(s, p)
    if (found < 0) this.#captures.pop()
    return found
  }

  #close(s: number, p: number): number {
    const open = this.#captures.findLast(({ length }) => length === -1)
    if (open === undefined) throw new LuaError('invalid pattern capture')
    open.length = s - open.start
    const found = this.match(s, p)
    if (found < 0) open.length = -1
    return found
  }

  #again(s: number, digit: string): number {
    const capture = this.#captures[Number(digit) - 1]
    if (capture === undefined || capture.length < 0) throw new LuaError('invalid capture index')
    const text = this.#text.slice(capture.start, capture.start + capture.length)
    return this.#text.startsWith(text, s) ? s + text.length : -1
  }

  #balanced(s: number, p: number): number {
    const open = this.#pattern[p]
    const close = this.#pattern[p + 1]
    if (open === undefined || close === undefined) throw new LuaError('unbalanced pattern')
    if (this.#text[s] !== open) return -1
    let depth = 1
    for (let at = s + 1; at < this.#text.length; at++) {
      if (this.#text[at] === close) {
        if (--depth === 0) return at + 1
      } else if (this.#text[at] === open) depth++
    }
    return -1
  }

  #longest(s: number, p: number, end: number): number {
    let count = 0
    while (this.#single(s + count, p, end)) count++
    for (; count >= 0; count--) {
      if (++this.#steps > stepsMax) throw new LuaError('pattern too complex')
      const found = this.match(s + count, end + 1)
      if (found >= 0) return found
    }
    return -1
  }

  #shortest(s: number, p: number, end: number): number {
    for (let at = s; ; at++) {
      if (++this.#steps > stepsMax) throw new LuaError('pattern too complex')
      const found = this.match(at, end + 1)
      if (found >= 0) return found
      if (!this.#single(at, p, end)) return -1
    }
  }

  /** Behind the class that begins at `p`. */
  #classEnd(p: number): number {
    const pattern = this.#pattern
    if (pattern[p] === '%') {
      if (p + 1 >= pattern.length) throw new LuaError("malformed pattern (ends with '%')")
      return p + 2
    }
    if (pattern[p] !== '[') return p + 1
    let at = p + 1
    if (pattern[at] === '^') at++
    do {
      if (at >= pattern.length) throw new LuaError("malformed pattern (missing ']')")
      if (pattern[at++] === '%' && at < pattern.length) at++
    } while (pattern[at] !== ']')
    return at + 1
  }

  #single(s: number, p: number, end: number): boolean {
    const char = this.#text[s]
    if (char === undefined) return false
    switch (this.#pattern[p]) {
      case '.':
        return true
      case '%':
        return inClass(char, this.#pattern[p + 1] as string)
      case '[':
        return this.#inSet(char, p, end - 1)
      default:
        return this.#pattern[p] === char
    }
  }

  /** `p` is at `[`, `last` at `]`. */
  #inSet(char: string, p: number, last: number): boolean {
    const pattern = this.#pattern
    let at = p + 1
    const negated = pattern[at] === '^'
    if (negated) at++
    for (; at < last; at++) {
      if (pattern[at] === '%') {
        at++
        if (inClass(char, pattern[at] as string)) return !negated
      } else if (pattern[at + 1] === '-' && at + 2 < last) {
        if ((pattern[at] as string) <= char && char <= (pattern[at + 2] as string)) return !negated
        at += 2
      } else if (pattern[at] === char) return !negated
    }
    return negated
  }
}

function inClass(char: string, name: string): boolean {
  const code = char.charCodeAt(0)
  let found: boolean
  switch (name.toLowerCase()) {
    case 'a':
      found = isAlpha(code)
      break
    case 'd':
      found = isDigit(code)
      break
    case 'l':
      found = code >= 97 && code <= 122
      break
    case 's':
      found = code === 32 || (code >= 9 && code <= 13)
      break
    case 'u':
      found = code >= 65 && code <= 90
      break
    case 'w':
      found = isAlpha(code) || isDigit(code)
      break
    case 'x':
      found = isDigit(code) || (code >= 65 && code <= 70) || (code >= 97 && code <= 102)
      break
    case 'p':
      found = code > 32 && code < 127 && !isAlpha(code) && !isDigit(code)
      break
    case 'c':
      found = code < 32 || code === 127
      break
    case 'z':
      found = code === 0
      break
    default:
      return name === char
  }
  return name >= 'a' ? found : !found
}

const isAlpha = (code: number): boolean => (code >= 65 && code <= 90) || (code >= 97 && code <= 122)
const isDigit = (code: number): boolean => code >= 48 && code <= 57
