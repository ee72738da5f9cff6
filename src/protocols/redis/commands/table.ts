/** All commands by their names. */
import type { Command } from '../command.ts'
import { blockingListCommands } from '../list-blocking.ts'
import { listCommands } from '../list-commands.ts'
import { streamCommands } from '../stream-commands.ts'
import { streamGroupCommands } from '../stream-group-commands.ts'
import { streamInfoCommands } from '../stream-info.ts'
import { streamReadCommands } from '../stream-read.ts'
import { connectionCommands } from './connection.ts'
import { expiryCommands } from './expiry.ts'
import { keyCommands } from './keys.ts'
import { stringCommands } from './strings.ts'

const groups: readonly (readonly Command[])[] = [
  connectionCommands,
  keyCommands,
  expiryCommands,
  stringCommands,
  listCommands,
  blockingListCommands,
  streamCommands,
  streamReadCommands,
  streamGroupCommands,
  streamInfoCommands,
]

export const commands: ReadonlyMap<string, Command> = new Map(groups.flat().map((each) => [each.name, each]))

/** Names that need a second word. */
const containers = new Set(
  [...commands.keys()].filter((name) => name.includes('|')).map((name) => name.slice(0, name.indexOf('|'))),
)

/** The command, or the subcommand, that a request names. `name|` in one word asks whether there are subcommands of it. */
export function findCommand(args: readonly Buffer[]): Command | undefined {
  const raw = args[0]?.toString('latin1') ?? ''
  const direct = commands.get(raw)
  if (direct !== undefined && !containers.has(raw) && !raw.includes('|')) return direct
  const name = raw.toLowerCase()
  if (name.endsWith('|')) return containers.has(name.slice(0, -1)) ? anySubcommand(name) : undefined
  if (!containers.has(name)) return name.includes('|') ? undefined : commands.get(name)
  const second = args[1]?.toString('latin1').toLowerCase()
  if (second === undefined) return commands.get(name) ?? { ...anySubcommand(`${name}|`), name, arity: -2 }
  return commands.get(`${name}|${second}`)
}

function anySubcommand(prefix: string): Command {
  for (const [name, found] of commands) if (name.startsWith(prefix)) return found
  throw new Error(`no subcommand of ${prefix}`) // callers know that there is one
}
