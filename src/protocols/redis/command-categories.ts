/** The categories of commands: ACL rules speak of them, ACL CAT and COMMAND INFO show them. */
import type { Command, CommandGroup } from './command.ts'

const ofGroups: Readonly<Partial<Record<CommandGroup, string>>> = {
  generic: 'keyspace',
  'sorted-set': 'sortedset',
  transactions: 'transaction',
  server: '',
  cluster: '',
}
/** Of commands whose group says something else. */
const special = new Map<string, readonly string[]>([
  ['sort', ['set', 'sortedset', 'list']],
  ['sort_ro', ['set', 'sortedset', 'list']],
  ...['dbsize', 'flushall', 'flushdb', 'swapdb'].map((name) => [name, ['keyspace']] as const),
  ...['wait', 'waitaof', 'readonly', 'readwrite'].map((name) => [name, ['connection']] as const),
])
const dangerous = new Set(['keys', 'flushall', 'flushdb', 'sort', 'sort_ro', 'swapdb', 'info', 'monitor', 'restore'])
/** Administration, and for everybody's tools harmless: they have the category without the flag. */
const told = new Set(['lastsave', 'role'])

const isAdmin = ({ flags, name }: Command): boolean => flags.has('admin') || told.has(name)

/** Only for administrators, unless a rule speaks of them: Redis's administration, and what changes keys without naming them. */
export const isAdministration = (command: Command): boolean =>
  isAdmin(command) || (command.flags.has('write') && command.keys === null)

export function categoriesOf(command: Command): string[] {
  const { flags, group, name } = command
  const found: string[] = []
  if (flags.has('write')) found.push('write')
  if (flags.has('readonly') && group !== 'scripting') found.push('read')
  if (isAdmin(command)) found.push('admin', 'dangerous')
  else if (dangerous.has(name)) found.push('dangerous')
  if (name.startsWith('command')) found.push('connection')
  const ofGroup = special.get(name) ?? [ofGroups[group] ?? group]
  found.push(...ofGroup.filter((category) => category !== ''))
  if (flags.has('blocking')) found.push('blocking')
  found.push(flags.has('fast') ? 'fast' : 'slow')
  return found
}
