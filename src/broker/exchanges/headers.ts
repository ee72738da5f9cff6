/** Header matching: `match` all (default) or any, over names that do not begin with `x-`; the `-with-x` forms take those too. */
import type { PlainHeaders } from './routed.ts'

export function headersMatch(wanted: PlainHeaders, headers: PlainHeaders): boolean {
  const mode = wanted['x-match'] ?? 'all'
  const withX = mode === 'all-with-x' || mode === 'any-with-x'
  const any = mode === 'any' || mode === 'any-with-x'
  let matched = false
  for (const [name, value] of Object.entries(wanted)) {
    if (name === 'x-match' || (!withX && name.startsWith('x-'))) continue
    const present = Object.hasOwn(headers, name)
    const equal = present && (value === null || value === undefined || plainText(value) === plainText(headers[name]))
    if (equal && any) return true
    if (!equal && !any) return false
    matched ||= equal
  }
  return any ? matched : true
}

/** Equal for equal values, whatever the order of their names. */
export function plainText(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) => {
    if (typeof inner === 'bigint') return `${inner}n`
    if (inner === null || typeof inner !== 'object' || Array.isArray(inner)) return inner
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
  })
}
