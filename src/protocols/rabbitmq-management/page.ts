/** What a list's query may ask for: columns, sort, sort_reverse, and pages with a name to look for. */

import { RE2JS } from 're2js'
import { ApiError, badRequest } from './errors.ts'
import { isObject, type Json } from './json.ts'
import type { Call } from './route.ts'

const pageSizeMax = 500
const pageSizeDefault = 100

/** A list as the query wants it: an array, or a page of it with counts. */
export function listed(call: Call, items: readonly Json[], sortDefault: readonly string[] = ['vhost', 'name']): unknown {
  const { query } = call
  const page = query.get('page')
  const sorted = sort(items, query, sortDefault)
  const columns = columnsOf(query)
  if (page === null) return sorted.map((item) => only(item, columns))
  const { number, size } = pageOf(page, query.get('page_size'))
  const found = filter(sorted, query)
  const pages = Math.max(1, Math.ceil(found.length / size))
  if (number > pages)
    throw new ApiError(400, 'page_out_of_range', `Page out of range, page: ${number} page size: ${size}, len: ${found.length}`)
  const shown = found.slice((number - 1) * size, number * size)
  return {
    filtered_count: found.length,
    item_count: shown.length,
    items: shown.map((item) => only(item, columns)),
    page: number,
    page_count: pages,
    page_size: size,
    total_count: items.length,
  }
}

/** One object, cut to the columns that the query names. */
export const shaped = (call: Call, item: Json): Json => only(item, columnsOf(call.query))

function pageOf(page: string, pageSize: string | null): { number: number; size: number } {
  const sizeGiven = pageSize === null || pageSize === '' ? null : pageSize
  const [number, size] = [Number(page), sizeGiven === null ? pageSizeDefault : Number(sizeGiven)]
  const valid = (value: number): boolean => Number.isSafeInteger(value) && value >= 1
  if (!valid(number) || !valid(size) || size > pageSizeMax)
    throw new ApiError(
      400,
      'invalid_pagination_parameters',
      `Invalid pagination parameters: page number ${page}, page size ${sizeGiven ?? 'undefined'}`,
    )
  return { number, size }
}

function filter(items: readonly Json[], query: URLSearchParams): readonly Json[] {
  const name = query.get('name') ?? ''
  if (name === '') return items
  const nameOf = (item: Json): string => String(item['name'] ?? '')
  if (query.get('use_regex') !== 'true') {
    const wanted = name.toLowerCase()
    return items.filter((item) => nameOf(item).toLowerCase().includes(wanted))
  }
  // In time that grows with the names alone: anybody who may list could otherwise stop the broker with one request.
  const pattern = regularExpression(name)
  return items.filter((item) => pattern.matcher(nameOf(item)).find())
}

function regularExpression(text: string): RE2JS {
  try {
    return RE2JS.compile(text, RE2JS.CASE_INSENSITIVE)
  } catch {
    throw badRequest('Pagination parameters are invalid')
  }
}

function sort(items: readonly Json[], query: URLSearchParams, sortDefault: readonly string[]): readonly Json[] {
  const by = query.get('sort')
  const paths = by === null || by === '' ? sortDefault : [by]
  const sorted = items.toSorted((a, b) => {
    for (const path of paths) {
      const order = compare(at(a, path), at(b, path))
      if (order !== 0) return order
    }
    return 0
  })
  return query.get('sort_reverse') === 'true' ? sorted.reverse() : sorted
}

/** Numbers before text, and what is not there first of all. */
function compare(a: unknown, b: unknown): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b
  const rank = (value: unknown): number => (value === undefined || value === null ? 0 : typeof value === 'number' ? 1 : 2)
  if (rank(a) !== rank(b)) return rank(a) - rank(b)
  const [left, right] = [String(a), String(b)]
  return left < right ? -1 : left > right ? 1 : 0
}

/** A value by its path, whose names are joined with dots. */
function at(item: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((value, name) => (isObject(value) ? value[name] : undefined), item)
}

function columnsOf(query: URLSearchParams): readonly (readonly string[])[] | null {
  const columns = query.get('columns')
  return columns === null || columns === '' ? null : columns.split(',').map((column) => column.split('.'))
}

function only(item: Json, columns: readonly (readonly string[])[] | null): Json {
  if (columns === null) return item
  const kept: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(item)) {
    const paths = columns.filter((path) => path[0] === name)
    if (paths.length === 0) continue
    const deeper = paths.map((path) => path.slice(1)).filter((path) => path.length > 0)
    const whole = deeper.length < paths.length || deeper.length === 0
    kept[name] = whole ? value : Array.isArray(value) ? value.map((each) => cut(each, deeper)) : cut(value, deeper)
  }
  return kept
}

const cut = (value: unknown, columns: readonly (readonly string[])[]): unknown => (isObject(value) ? only(value, columns) : value)
