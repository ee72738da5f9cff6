/** Reading arguments as Disque reads them (with C's strtoll). Each of these throws the error that is replied. */
import { nameOfBytes } from '../../lib/byte-names.ts'
import { Refusal, words } from './errors.ts'

const min = -(2n ** 63n)
const max = 2n ** 63n - 1n

export const text = (arg: Buffer | undefined): string => arg?.toString('latin1') ?? ''

/** The topic of a queue that clients call so. */
export const queueName = (label: Buffer | undefined): string => nameOfBytes(text(label))

/** An option's name. */
export const option = (arg: Buffer | undefined): string => text(arg).toLowerCase()

/** null: it is none of 64 bits. Beyond 2^53 it is not exact. */
export function parseInteger(arg: Buffer | undefined): number | null {
  const digits = text(arg)
  if (digits === '') return 0
  if (!/^[+-]?\d+$/.test(digits)) return null
  if (digits.length < 16) return Number(digits)
  const value = BigInt(digits.replace(/^\+/, ''))
  return value < min || value > max ? null : Number(value)
}

export function integer(arg: Buffer | undefined, message: string = words.notInteger): number {
  const value = parseInteger(arg)
  if (value === null) throw new Refusal(message)
  return value
}

/** In ms; 0 waits for ever. */
export function timeoutMs(arg: Buffer | undefined): number {
  const value = integer(arg, words.timeoutNotInteger)
  if (value < 0) throw new Refusal(words.timeoutNegative)
  return value
}
