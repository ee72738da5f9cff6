/** Reading headers, and refusing what they cannot be. */
import type { Headers } from './codec.ts'
import { StompError } from './errors.ts'

export function required(headers: Headers, name: string): string {
  const value = headers.get(name)
  if (value === undefined) throw new StompError(`Missing header: ${name}`, `the frame needs the header "${name}"`)
  return value
}

export function whole(headers: Headers, name: string): number | undefined {
  const text = headers.get(name)
  if (text === undefined) return undefined
  if (!/^\d{1,15}$/.test(text)) throw new StompError('precondition_failed', `${name} must be a whole number, not '${text}'`)
  return Number(text)
}
