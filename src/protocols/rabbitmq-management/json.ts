/** JSON in and out. */
import type { HttpAnswer } from '../../broker/face.ts'

export type Json = Readonly<Record<string, unknown>>

export function json(body: unknown, status = 200): HttpAnswer {
  const headers = { 'content-type': 'application/json', 'cache-control': 'no-cache' }
  return { status, headers, body: JSON.stringify(body) }
}

export const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)
