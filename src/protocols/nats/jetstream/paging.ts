/** Lists in pages, as clients walk through them. */
import { type Fields, int } from './fields.ts'

export const pageFields = { offset: int } as const satisfies Fields

export const noPage = { total: 0, offset: 0, limit: 0 }

export interface Page {
  readonly total: number
  readonly offset: number
  readonly limit: number
}

export function pageOf<Item>(all: readonly Item[], offset: number, limit: number): { page: Page; items: readonly Item[] } {
  const from = Math.min(Math.max(0, offset), all.length)
  return { page: { total: all.length, offset: from, limit }, items: all.slice(from, from + limit) }
}
