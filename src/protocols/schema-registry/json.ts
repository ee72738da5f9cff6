/** JSON in and out. */
import type { HttpAnswer } from '../../broker/face.ts'

export type Json = Readonly<Record<string, unknown>>

export function json(body: unknown, status = 200): HttpAnswer {
  return { status, headers: { 'content-type': 'application/vnd.schemaregistry.v1+json' }, body: JSON.stringify(body) }
}

export const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)
