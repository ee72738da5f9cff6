/** The string functions of Lua 5.1, with its patterns. Strings are bytes as latin1. */
import { type Args, type Arguments, install } from './library.ts'
import type { Machine } from './machine.ts'
import { type Matched, match } from './patterns.ts'
import { LuaError, LuaFunction, LuaTable, type LuaValue, shortest, typeName } from './value.ts'

/** Of what string.rep makes. */
const repeatedMax = 256 * 1024 * 1024

export function installStrings(machine: Machine): void {
  const library = new LuaTable()
  install(machine, library, (check) => stringFunctions(machine, check))
  machine.globals.set('string', library)
  machine.stringMetatable = LuaTable.of({ __index: library })
}

function stringFunctions(
  machine: Machine,
  check: (name: string) => Arguments,
): Record<string, (args: Args) => readonly LuaValue[]> {
  const functions: Record<string, (args: Args) => readonly LuaValue[]> = {
    len: (args) => [check('len').string(args, 1).length],
    lower: (args) => [
      check('lower')
        .string(args, 1)
        .replace(/[A-Z]+/g, (part) => part.toLowerCase()),
    ],
    upper: (args) => [
      check('upper')
        .string(args, 1)
        .replace(/[a-z]+/g, (part) => part.toUpperCase()),
    ],
    reverse: (args) => [[...check('reverse').string(args, 1)].reverse().join('')],
    rep: (args) => {
      const text = check('rep').string(args, 1)
      const count = Math.max(0, check('rep').integer(args, 2))
      if (text.length * count > repeatedMax) throw new LuaError(`${machine.where(1)}resulting string too large`)
      return [text.repeat(count)]
    },
    sub: (args) => {
      const text = check('sub').string(args, 1)
      const from = position(check('sub').integer(args, 2, 1), text.length)
      const to = position(check('sub').integer(args, 3, -1), text.length)
      return [text.slice(Math.max(from, 1) - 1, Math.max(0, to))]
    },
    byte: (args) => {
      const text = check('byte').string(args, 1)
      const first = check('byte').integer(args, 2, 1)
      const from = Math.max(1, position(first, text.length))
      const to = Math.min(text.length, position(check('byte').integer(args, 3, first), text.length))
      const bytes: number[] = []
      for (let at = from; at <= to; at++) bytes.push(text.charCodeAt(at - 1))
      return bytes
    },
    char: (args) => {
      const codes = args.map((_, index) => {
        const code = check('char').integer(args, index + 1)
        if (code < 0 || code > 255) throw check('char').error(index + 1, 'invalid value')
        return String.fromCharCode(code)
      })
      return [codes.join('')]
    },
    format: (args) => [format(machine, check('format'), args)],
    find: (args) => find(check('find'), args, true),
    match: (args) => find(check('match'), args, false),
    gmatch: (args) => {
      const text = check('gmatch').string(args, 1)
      const pattern = check('gmatch').string(args, 2)
      let at = 0
      return [
        machine.native('gmatch', () => {
          for (; at <= text.length; at++) {
            const found = match(text, pattern, at)
            if (found === null) continue
            at = found.end === at ? at + 1 : found.end
            return captures(found, text)
          }
          return [undefined]
        }),
      ]
    },
    gsub: (args) => substitute(machine, check('gsub'), args),
  }
  functions['gfind'] = functions['gmatch'] as (args: Args) => readonly LuaValue[]
  return functions
}

/** A place that may count from the end. */
const position = (at: number, length: number): number => (at >= 0 ? at : Math.max(0, length + at + 1))

/** What a match replies: its captures, or the whole. */
function captures({ start, end, captures: found }: Matched, text: string): LuaValue[] {
  return found.length === 0 ? [text.slice(start, end)] : [...found]
}

const special = /[\^$*+?.([%-]/

function find(check: Arguments, args: Args, positions: boolean): readonly LuaValue[] {
  const text = check.string(args, 1)
  const pattern = check.string(args, 2)
  const from = Math.min(Math.max(position(check.integer(args, 3, 1), text.length), 1) - 1, text.length)
  const plain = positions && ((args[3] !== undefined && args[3] !== false) || !special.test(pattern))
  if (plain) {
    const at = text.indexOf(pattern, from)
    return at < 0 ? [undefined] : [at + 1, at + pattern.length]
  }
  const anchored = pattern.startsWith('^')
  for (let at = from; at <= text.length; at++) {
    const found = match(text, anchored ? pattern.slice(1) : pattern, at)
    if (found !== null) return positions ? [at + 1, found.end, ...found.captures] : captures(found, text)
    if (anchored) break
  }
  return [undefined]
}

function substitute(machine: Machine, check: Arguments, args: Args): readonly LuaValue[] {
  const text = check.string(args, 1)
  const whole = check.string(args, 2)
  const replacement = args[2]
  const kind = typeName(replacement)
  if (!['string', 'number', 'table', 'function'].includes(kind)) throw check.error(3, 'string/function/table expected')
  const limit = args[3] === undefined ? Infinity : check.integer(args, 4)
  const anchored = whole.startsWith('^')
  const pattern = anchored ? whole.slice(1) : whole
  let result = ''
  let count = 0
  let at = 0
  while (count < limit) {
    const found = match(text, pattern, at)
    if (found !== null) {
      count++
      result += replacementFor(machine, replacement, found, text)
    }
    if (found !== null && found.end > at) at = found.end
    else if (at < text.length) result += text[at++]
    else break
    if (anchored) break
  }
  return [result + text.slice(at), count]
}

function replacementFor(machine: Machine, replacement: LuaValue, found: Matched, text: string): string {
  const whole = text.slice(found.start, found.end)
  const [first] = captures(found, text)
  let value: LuaValue
  if (replacement instanceof LuaTable) value = machine.index(replacement, first)
  else if (replacement instanceof LuaFunction) [value] = machine.call(replacement, captures(found, text))
  else {
    return machine.text(replacement).replace(/%([\s\S]?)/g, (_, digit: string) => {
      if (digit === '0') return whole
      if (!/\d/.test(digit)) return digit
      const capture = found.captures.length === 0 && digit === '1' ? whole : found.captures[Number(digit) - 1]
      if (capture === undefined) throw new LuaError(`${machine.where(1)}invalid capture index`)
      return machine.text(capture)
    })
  }
  if (value === undefined || value === false) return whole
  if (typeof value !== 'string' && typeof value !== 'number')
    throw new LuaError(`${machine.where(1)}invalid replacement value (a ${typeName(value)})`)
  return machine.text(value)
}

// --------------------------------------------------------------------------------------------------------------------- format

function format(machine: Machine, check: Arguments, args: Args): string {
  const template = check.string(args, 1)
  let place = 1
  return template.replace(
    /%(?:%|([-+ #0]*)(\d*)(?:\.(\d*))?([\s\S]?))/g,
    (word, flags: string | undefined, width: string, precision: string | undefined, conversion: string) => {
      if (word === '%%') return '%'
      place++
      return convert(machine, check, args, place, {
        flags: flags ?? '',
        width: Number(width),
        precision: precision === undefined ? -1 : Number(precision),
        conversion,
      })
    },
  )
}

interface Conversion {
  readonly flags: string
  readonly width: number
  /** Negative: none. */
  readonly precision: number
  readonly conversion: string
}

function convert(machine: Machine, check: Arguments, args: Args, place: number, how: Conversion): string {
  const { precision, conversion } = how
  if (how.width > 99 || precision > 99) throw new LuaError(`${machine.where(1)}invalid format (width or precision too long)`)
  switch (conversion) {
    case 'c':
      return pad(String.fromCharCode(check.integer(args, place) & 255), how)
    case 'd':
    case 'i':
      return signed(
        check.number(args, place),
        how,
        (size) => BigInt(Math.trunc(size)).toString().padStart(Math.max(0, precision), '0'),
        precision >= 0,
      )
    case 'u':
    case 'o':
    case 'x':
    case 'X': {
      const value = BigInt.asUintN(64, BigInt(Math.trunc(check.number(args, place)) || 0))
      const base = conversion === 'o' ? 8 : conversion === 'u' ? 10 : 16
      let digits = value.toString(base).padStart(Math.max(0, precision), '0')
      if (conversion === 'X') digits = digits.toUpperCase()
      if (how.flags.includes('#') && value !== 0n && base === 16) digits = `0${conversion}${digits}`
      return pad(digits, how, precision < 0)
    }
    case 'e':
    case 'E':
    case 'f':
    case 'g':
    case 'G':
      return signed(check.number(args, place), how, (size) => floating(size, how), false)
    case 'q':
      return quoted(check.string(args, place))
    case 's': {
      const whole = machine.text(check.any(args, place))
      // As sprintf has it, through which what is short, or cut, goes: a zero ends it.
      const zero = precision < 0 && whole.length >= 100 ? -1 : whole.indexOf('\0')
      const text = zero < 0 ? whole : whole.slice(0, zero)
      return pad(precision >= 0 ? text.slice(0, precision) : text, how)
    }
    default:
      throw new LuaError(`${machine.where(1)}invalid option '%${conversion}' to 'format'`)
  }
}

function signed(value: number, how: Conversion, digits: (size: number) => string, exact: boolean): string {
  const negative = value < 0 || Object.is(value, -0)
  if (!Number.isFinite(value)) {
    const text = Number.isNaN(value) ? 'nan' : 'inf'
    return pad((negative ? '-' : how.flags.includes('+') ? '+' : '') + text, how)
  }
  const integral = 'di'.includes(how.conversion)
  const isNegative = negative && !(integral && Math.trunc(value) === 0)
  const sign = isNegative ? '-' : how.flags.includes('+') ? '+' : how.flags.includes(' ') ? ' ' : ''
  const text = digits(Math.abs(value))
  if (how.flags.includes('0') && !how.flags.includes('-') && !exact) return sign + text.padStart(how.width - sign.length, '0')
  return pad(sign + text, how)
}

function floating(size: number, { conversion, precision }: Conversion): string {
  const digits = precision < 0 ? 6 : precision
  if (conversion === 'f') return fixed(size, digits)
  if (conversion === 'g' || conversion === 'G') return shortest(size, digits, conversion === 'G')
  const text = size.toExponential(digits).replace(/e([+-])(\d)$/, 'e$10$2')
  return conversion === 'E' ? text.toUpperCase() : text
}

/** As `%.<digits>f` of C, which rounds what lies in the middle to the even digit, where JavaScript rounds it up. */
function fixed(size: number, digits: number): string {
  if (size >= 1e21) return BigInt(size).toString() + (digits > 0 ? `.${'0'.repeat(digits)}` : '')
  const text = size.toFixed(digits)
  const halves = size * 2 ** (digits + 1)
  const inTheMiddle = Number.isInteger(halves) && Math.abs(halves % 2) === 1
  const last = Number(text.at(-1))
  return inTheMiddle && last % 2 === 1 ? text.slice(0, -1) + (last - 1) : text
}

function pad(text: string, { flags, width }: Conversion, zeros = false): string {
  if (flags.includes('-')) return text.padEnd(width)
  return text.padStart(width, zeros && flags.includes('0') ? '0' : ' ')
}

const quoted = (text: string): string =>
  `"${text.replace(/["\\\n\r\0]/g, (char) => (char === '\r' ? '\\r' : char === '\0' ? '\\000' : `\\${char}`))}"`
