/** All commands by their names. */
import type { Request } from '../../../lib/resp/request.ts'
import { type Command, command } from '../command.ts'
import { blockingListCommands } from '../list-blocking.ts'
import { listCommands } from '../list-commands.ts'
import { streamCommands } from '../stream-commands.ts'
import { streamGroupCommands } from '../stream-group-commands.ts'
import { streamInfoCommands } from '../stream-info.ts'
import { streamReadCommands } from '../stream-read.ts'
import { aclCommands } from './acl.ts'
import { bitFieldCommands } from './bitfield.ts'
import { bitCommands } from './bits.ts'
import { clientCommands } from './client.ts'
import { commandCommands } from './commands.ts'
import { connectionCommands } from './connection.ts'
import { dumpCommands } from './dump.ts'
import { expiryCommands } from './expiry.ts'
import { geoCommands } from './geo.ts'
import { hashCommands } from './hashes.ts'
import { hyperLogLogCommands } from './hyperloglogs.ts'
import { infoCommands } from './info.ts'
import { keyCommands } from './keys.ts'
import { pubsubCommands } from './pubsub.ts'
import { scriptingCommands } from './scripting.ts'
import { serverCommands } from './server.ts'
import { setCommands } from './sets.ts'
import { sortCommands } from './sort.ts'
import { sortedOperationCommands } from './sorted-operations.ts'
import { sortedPopCommands } from './sorted-pops.ts'
import { sortedRangeCommands } from './sorted-ranges.ts'
import { sortedSetCommands } from './sorted-sets.ts'
import { stringCommands } from './strings.ts'
import { transactionCommands } from './transactions.ts'

const groups: readonly (readonly Command[])[] = [
  connectionCommands,
  clientCommands,
  serverCommands,
  aclCommands,
  infoCommands,
  commandCommands,
  keyCommands,
  expiryCommands,
  dumpCommands,
  sortCommands,
  stringCommands,
  bitCommands,
  bitFieldCommands,
  hyperLogLogCommands,
  geoCommands,
  hashCommands,
  setCommands,
  sortedSetCommands,
  sortedRangeCommands,
  sortedOperationCommands,
  sortedPopCommands,
  transactionCommands,
  pubsubCommands,
  scriptingCommands,
  listCommands,
  blockingListCommands,
  streamCommands,
  streamReadCommands,
  streamGroupCommands,
  streamInfoCommands,
]

const subcommands = groups.flat().filter(({ name }) => name.includes('|'))

/** Of each command that needs a second word: which there are. */
function helpOf(container: string): Command {
  const family = subcommands.filter(({ name }) => name.startsWith(`${container}|`))
  const names = family.map(({ name }) => name.slice(container.length + 1))
  const lines = [
    `${container.toUpperCase()} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:`,
    ...[...names, 'help'].map((name) => name.toUpperCase()),
  ]
  return command(family[0]?.group ?? 'server', `${container}|help`, 2, 'loading stale', null, ({ reply }) => {
    reply.array(lines.length)
    for (const line of lines) reply.status(line)
  })
}

const helps = [...new Set(subcommands.map(({ name }) => name.slice(0, name.indexOf('|'))))].map(helpOf)

/** What a file has of its own counts. */
export const commands: ReadonlyMap<string, Command> = new Map([...helps, ...groups.flat()].map((each) => [each.name, each]))

/** Names that need a second word. */
const containers = new Set(
  [...commands.keys()].filter((name) => name.includes('|')).map((name) => name.slice(0, name.indexOf('|'))),
)

/** Those of one word, as nearly all clients write them. */
const plain = new Map(
  [...commands]
    .filter(([name]) => !name.includes('|') && !containers.has(name))
    .flatMap(([name, each]) => [[name, each] as const, [name.toUpperCase(), each] as const]),
)

/** The command, or the subcommand, that a request names. `name|` in one word asks whether there are subcommands of it. */
export function findCommand(request: Request): Command | undefined {
  const raw = request.text(0)
  const direct = plain.get(raw)
  if (direct !== undefined) return direct
  const name = raw.toLowerCase()
  if (name.endsWith('|')) return containers.has(name.slice(0, -1)) ? anySubcommand(name) : undefined
  if (!containers.has(name)) return name.includes('|') ? undefined : commands.get(name)
  if (request.length < 2) return commands.get(name) ?? { ...anySubcommand(`${name}|`), name, arity: -2 }
  return commands.get(`${name}|${request.text(1).toLowerCase()}`)
}

function anySubcommand(prefix: string): Command {
  for (const [name, found] of commands) if (name.startsWith(prefix)) return found
  throw new Error(`no subcommand of ${prefix}`) // callers know that there is one
}
