/** Topic names and filters, and the addresses and patterns they stand for: `/` and `.` swapped, `+` is `*`. Pure. */

/** `$share/group/filter`, taken apart. */
export interface Filter {
  /** As the client wrote it. */
  readonly text: string
  readonly group: string | null
  /** Without the share. */
  readonly filter: string
  readonly pattern: string
}

const swapsMax = 4096
const swapped = new Map<string, string>()

/** A topic name's address, and an address's topic name. */
export function swap(name: string): string {
  const known = swapped.get(name)
  if (known !== undefined) return known
  const other = name.replace(/[./]/g, (sign) => (sign === '/' ? '.' : '/'))
  if (swapped.size >= swapsMax) swapped.clear()
  swapped.set(name, other)
  return other
}

/** 4.7.1.1 and 4.7.3: no wildcards, not empty. */
export function isTopicName(name: string): boolean {
  return name !== '' && !name.includes('+') && !name.includes('#')
}

/** undefined when it is no filter (4.7.1, and 4.8.2 for shares). */
export function parseFilter(text: string): Filter | undefined {
  let group: string | null = null
  let filter = text
  if (text.startsWith('$share/')) {
    const end = text.indexOf('/', 7)
    if (end < 0) return undefined
    group = text.slice(7, end)
    filter = text.slice(end + 1)
    if (group === '' || /[+#]/.test(group)) return undefined
  }
  if (filter === '') return undefined
  const levels = filter.split('/')
  for (const [at, level] of levels.entries()) {
    if (level.length > 1 && (level.includes('+') || level.includes('#'))) return undefined
    if (level === '#' && at !== levels.length - 1) return undefined
  }
  const pattern = levels.map((level) => (level === '+' ? '*' : swap(level))).join('.')
  return { text, group, filter, pattern }
}

/** Whether the broker's pattern matches more than the filter does: names that begin with `$`, or a level that is a wildcard there alone. */
export function isLoose({ filter }: Filter): boolean {
  return filter.startsWith('+') || filter.startsWith('#') || filter.split('/').includes('*')
}

export function matches(filter: string, name: string): boolean {
  // 4.7.2: what begins with $ is not for filters that begin with a wildcard.
  if (name.startsWith('$') && (filter.startsWith('+') || filter.startsWith('#'))) return false
  const levels = filter.split('/')
  const parts = name.split('/')
  for (const [at, level] of levels.entries()) {
    if (level === '#') return true
    if (at >= parts.length || (level !== '+' && level !== parts[at])) return false
  }
  return levels.length === parts.length
}
