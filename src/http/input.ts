/** Reads fields of a JSON body or a query, with a message that says which field is wrong and what it may be. */
import { invalid } from './errors.ts'

export type Fields = Readonly<Record<string, unknown>>

/** Refuses keys that nobody reads: a misspelt one would otherwise do nothing, silently. */
export function onlyKeys(fields: Fields, known: readonly string[], what = 'the body'): void {
  for (const key of Object.keys(fields)) {
    if (!known.includes(key)) throw invalid(`${what} has an unknown key "${key}"; known: ${known.join(', ')}`)
  }
}

export function optionalText(fields: Fields, name: string): string | undefined {
  const value = fields[name]
  if (value === undefined || value === null) return undefined
  if (typeof value !== 'string') throw invalid(`${name} must be a string`)
  return value
}

export function text(fields: Fields, name: string): string {
  const value = optionalText(fields, name)
  if (value === undefined || value === '') throw invalid(`${name} is needed: a string that is not empty`)
  return value
}

export function optionalNumber(
  fields: Fields,
  name: string,
  min = Number.MIN_SAFE_INTEGER,
  max = Number.MAX_SAFE_INTEGER,
): number | undefined {
  const value = fields[name]
  if (value === undefined || value === null) return undefined
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min || value > max) {
    throw invalid(`${name} must be a whole number between ${min} and ${max}`)
  }
  return value
}

export function flag(fields: Fields, name: string): boolean {
  const value = fields[name]
  if (typeof value !== 'boolean') throw invalid(`${name} must be true or false`)
  return value
}

export function optionalFlag(fields: Fields, name: string): boolean | undefined {
  const value = fields[name]
  return value === undefined || value === null ? undefined : flag(fields, name)
}

export function optionalObject(fields: Fields, name: string): Fields | undefined {
  const value = fields[name]
  if (value === undefined || value === null) return undefined
  return object(value, name)
}

export function optionalList(fields: Fields, name: string): readonly unknown[] | undefined {
  const value = fields[name]
  if (value === undefined || value === null) return undefined
  if (!Array.isArray(value)) throw invalid(`${name} must be a list`)
  return value
}

export function object(value: unknown, what: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(`${what} must be an object`)
  return value as Fields // checked in the line above
}

/** A number of the query string. */
export function queryNumber(query: URLSearchParams, name: string, min: number, max: number): number | undefined {
  const written = query.get(name)
  if (written === null) return undefined
  const value = Number(written)
  if (written.trim() === '' || !Number.isSafeInteger(value) || value < min || value > max) {
    throw invalid(`?${name}= must be a whole number between ${min} and ${max}`)
  }
  return value
}
