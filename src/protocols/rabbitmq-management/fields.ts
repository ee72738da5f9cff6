/** Reads fields of a body, and refuses what they cannot be in RabbitMQ's words. */
import { badRequest } from './errors.ts'
import { isObject, type Json } from './json.ts'

/** Refuses a body without one of these keys. */
export function need(body: Json, ...names: readonly string[]): void {
  const missing = names.filter((name) => body[name] === undefined)
  if (missing.length > 0) throw badRequest(`[${missing.map((name) => `{key_missing,${name}}`).join(',')}]`)
}

/** rabbitmqadmin sends flags as text. */
export function flag(body: Json, name: string, absent: boolean): boolean {
  const value = body[name]
  if (value === undefined || value === null) return absent
  if (value === true || value === 'true') return true
  if (value === false || value === 'false') return false
  throw badRequest(['not_boolean', value])
}

export function text(body: Json, name: string, absent = ''): string {
  const value = body[name] ?? absent
  if (typeof value !== 'string') throw badRequest(`${name} must be a string`)
  return value
}

/** rabbitmqadmin sends numbers as text. */
export function integer(value: unknown): number {
  const number = typeof value === 'string' && /^-?\d{1,15}$/.test(value) ? Number(value) : value
  if (typeof number !== 'number' || !Number.isSafeInteger(number)) throw badRequest(['not_integer', value])
  return number
}

export function object(body: Json, name: string): Json {
  const value = body[name] ?? {}
  // Erlang's empty list is its empty object too, and some tools send it.
  if (Array.isArray(value) && value.length === 0) return {}
  if (!isObject(value)) throw badRequest(`${name} must be an object`)
  return value
}
