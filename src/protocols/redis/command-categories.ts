/** The categories of commands, as ACL CAT and COMMAND INFO show them. */
import type { Command } from './command.ts'

export function categoriesOf({ flags, group, name }: Command): string[] {
  const found: string[] = []
  if (flags.has('write')) found.push('write')
  if (flags.has('readonly') && group !== 'scripting') found.push('read')
  if (flags.has('admin')) found.push('admin', 'dangerous')
  else if (['keys', 'flushall', 'flushdb', 'sort', 'swapdb', 'info', 'role', 'monitor'].includes(name)) found.push('dangerous')
  const byGroup: Readonly<Record<string, string>> = {
    generic: 'keyspace',
    'sorted-set': 'sortedset',
    transactions: 'transaction',
    server: '',
    cluster: '',
  }
  const category = byGroup[group] ?? group
  if (category !== '') found.push(category)
  if (flags.has('blocking')) found.push('blocking')
  found.push(flags.has('fast') ? 'fast' : 'slow')
  return found
}
