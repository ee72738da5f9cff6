/** Adding as C's long double does (64 bits of mantissa), and printing as `%.17Lf` without trailing zeros: what INCRBYFLOAT replies. */
import { RedisError, words } from './errors.ts'

/** mantissa × 2^exponent */
interface LongDouble {
  readonly mantissa: bigint
  readonly exponent: number
}

const mantissaBits = 64
const decimals = 17
/** Beyond, the digits of a sum are not worth their time. */
const exponentMax = 4932

/** The sum of two decimal numbers as text, or an error in Redis's words. */
export function addDecimals(one: string, other: string): string {
  const sum = add(parse(one), parse(other))
  return format(sum)
}

function parse(text: string): LongDouble {
  const match = /^([+-]?)(\d*)\.?(\d*)(?:e([+-]?\d+))?$/i.exec(text)
  if (match === null || (match[2] === '' && match[3] === '')) {
    if (/^[+-]?inf(inity)?$/i.test(text)) throw new RedisError('ERR increment would produce NaN or Infinity')
    throw new RedisError(words.notFloat)
  }
  const [, sign, whole = '', fraction = '', power = '0'] = match
  const digits = BigInt(`${whole}${fraction}`)
  const tens = Number(power) - fraction.length
  if (Math.abs(tens) > exponentMax) throw new RedisError(words.notFloat)
  const value = sign === '-' ? -digits : digits
  return tens >= 0 ? round(value * 10n ** BigInt(tens), 1n) : round(value, 10n ** BigInt(-tens))
}

function add(one: LongDouble, other: LongDouble): LongDouble {
  const exponent = Math.min(one.exponent, other.exponent)
  const sum = (one.mantissa << BigInt(one.exponent - exponent)) + (other.mantissa << BigInt(other.exponent - exponent))
  return exponent >= 0 ? round(sum << BigInt(exponent), 1n) : round(sum, 1n << BigInt(-exponent))
}

/** The nearest number to numerator/denominator. */
function round(numerator: bigint, denominator: bigint): LongDouble {
  if (numerator === 0n) return { mantissa: 0n, exponent: 0 }
  const size = numerator < 0n ? -numerator : numerator
  let exponent = bits(size) - bits(denominator) - mantissaBits
  let mantissa = quotient(size, denominator, exponent)
  if (bits(mantissa) > mantissaBits) mantissa = quotient(size, denominator, ++exponent)
  else if (bits(mantissa) < mantissaBits) mantissa = quotient(size, denominator, --exponent)
  return { mantissa: numerator < 0n ? -mantissa : mantissa, exponent }
}

/** numerator / denominator / 2^exponent, rounded half to even. */
function quotient(numerator: bigint, denominator: bigint, exponent: number): bigint {
  return exponent >= 0 ? divide(numerator, denominator << BigInt(exponent)) : divide(numerator << BigInt(-exponent), denominator)
}

function divide(numerator: bigint, denominator: bigint): bigint {
  const whole = numerator / denominator
  const twice = (numerator % denominator) * 2n
  return twice > denominator || (twice === denominator && whole % 2n === 1n) ? whole + 1n : whole
}

const bits = (value: bigint): number => value.toString(2).length

function format({ mantissa, exponent }: LongDouble): string {
  const negative = mantissa < 0n
  const size = negative ? -mantissa : mantissa
  const scaled = quotient(size * 10n ** BigInt(decimals), 1n, -exponent)
  const digits = scaled.toString().padStart(decimals + 1, '0')
  const whole = digits.slice(0, -decimals)
  const fraction = digits.slice(-decimals).replace(/0+$/, '')
  const text = fraction === '' ? whole : `${whole}.${fraction}`
  return negative && text !== '0' ? `-${text}` : text
}
