/** Which commands a user may run, as ACL rules say it: a row of words, `+get`, `-@admin`, `+config|get`, of which the later ones count. */
import type { Command } from './command.ts'
import { categoriesOf, isAdministration } from './command-categories.ts'

/** Commands by their names, with subcommands as `container|name`. */
export type CommandTable = ReadonlyMap<string, Command>

export const allCommands = '+@all'
export const noCommands = '-@all'

export const categories: readonly string[] = [
  'keyspace',
  'read',
  'write',
  'set',
  'sortedset',
  'list',
  'hash',
  'string',
  'bitmap',
  'hyperloglog',
  'geo',
  'stream',
  'pubsub',
  'admin',
  'fast',
  'slow',
  'blocking',
  'dangerous',
  'connection',
  'transaction',
  'scripting',
]

/** Whether there is such a command, container of commands, or category with its `@`. */
export function isCommandWord(word: string, table: CommandTable): boolean {
  if (word.startsWith('@')) return word === '@all' || categories.includes(word.slice(1))
  return table.has(word) || [...table.keys()].some((each) => each.startsWith(`${word}|`))
}

/** The words with one more. What it says anew goes, and with `@all` all goes that was said before, as Redis 7.2 does. */
export function withCommandWord(words: readonly string[], word: string): string[] {
  const of = word.slice(1)
  if (of === '@all') return [word]
  return [...words.filter((each) => each.slice(1) !== of && !each.slice(1).startsWith(`${of}|`)), word]
}

/** The names of the commands that they allow; where they do not begin with all commands, they begin with none. */
export function allowedCommands(words: readonly string[], table: CommandTable): Set<string> {
  const allowed = new Set<string>()
  for (const word of words) {
    const isMeant = meaning(word.slice(1))
    for (const found of table.values()) {
      if (!isMeant(found)) continue
      if (word.startsWith('+')) allowed.add(found.name)
      else allowed.delete(found.name)
    }
  }
  return allowed
}

function meaning(of: string): (found: Command) => boolean {
  if (of === '@all') return () => true
  if (of.startsWith('@')) return (found) => categoriesOf(found).includes(of.slice(1))
  return ({ name }) => name === of || name.startsWith(`${of}|`)
}

/** What users may run of whom no rule speaks. */
export const plainWords = (table: CommandTable): string[] => [
  allCommands,
  '-@admin',
  ...[...table.values()]
    .filter((each) => isAdministration(each) && !categoriesOf(each).includes('admin'))
    .map(({ name }) => `-${name}`),
]
