/** JSON with whole numbers of any size, and with a bound on how deep it is nested. */
import { depthMax, InvalidSchema } from './schema.ts'

export type JsonObject = Readonly<Record<string, unknown>>

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Whole numbers that a number does not hold exactly become bigints. Throws SyntaxError. */
export function parseJson(text: string): unknown {
  return JSON.parse(text, (_, value: unknown, context?: { readonly source?: string }) => {
    if (typeof value !== 'number' || Number.isSafeInteger(value)) return value
    const source = context?.source ?? ''
    return /^-?\d+$/.test(source) ? BigInt(source) : value
  })
}

/** What {@link parseJson} reads as the same value. */
export function printJson(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) => (typeof each === 'bigint' ? rawJson(String(each)) : each))
}

// Node has it; the types of TypeScript's library do not yet.
const rawJson = (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON

/** The same value with the keys of its objects in order. */
export function sortedKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortedKeys)
  if (!isObject(value)) return value
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, sortedKeys(value[key])]),
  )
}

/** A schema's text as JSON; refuses what is nested too deeply for those who walk it. */
export function schemaJson(text: string): unknown {
  let value: unknown
  try {
    value = parseJson(text)
  } catch (cause) {
    throw new InvalidSchema(`it is no JSON: ${cause instanceof Error ? cause.message : String(cause)}`)
  }
  checkDepth(value, 0)
  return value
}

function checkDepth(value: unknown, depth: number): void {
  if (typeof value !== 'object' || value === null) return
  if (depth > depthMax) throw new InvalidSchema(`it is nested more than ${depthMax} deep`)
  for (const each of Object.values(value)) checkDepth(each, depth + 1)
}
