/** From the words of the command line to a command's exit code; mistakes become one line on stderr and code 2, failures code 1. */
import { optionLines, parseArguments } from './arguments.ts'
import type { Command } from './command.ts'
import { didYouMean } from './nearest.ts'
import { UsageError } from './usage-error.ts'

interface CommandEntry {
  readonly summary: string
  load(): Promise<{ command: Command }>
}

/** Loaded when called, so that `anymq env` does not pay for the broker. */
export const commands: ReadonlyMap<string, CommandEntry> = new Map<string, CommandEntry>([
  ['serve', { summary: 'run the broker', load: () => import('./commands/serve.ts') }],
  ['topic', { summary: 'list, create, describe or delete topics', load: () => import('./commands/topic.ts') }],
  ['pub', { summary: 'publish records', load: () => import('./commands/pub.ts') }],
  ['sub', { summary: 'follow a topic', load: () => import('./commands/sub.ts') }],
  ['env', { summary: 'print what clients need: eval $(anymq env)', load: () => import('./commands/env.ts') }],
  ['doctor', { summary: 'check a data directory, offline', load: () => import('./commands/doctor.ts') }],
])

export async function runCommand(args: readonly string[]): Promise<number> {
  try {
    return await dispatch(args)
  } catch (cause) {
    if (cause instanceof UsageError) {
      process.stderr.write(`anymq: ${cause.message}\n`)
      return 2
    }
    process.stderr.write(`anymq: ${cause instanceof Error ? cause.message : String(cause)}\n`)
    if (process.env['DEBUG'] !== undefined && cause instanceof Error) process.stderr.write(`${cause.stack}\n`)
    return 1
  }
}

async function dispatch(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args
  if (name === undefined || name === 'help' || name === '--help' || name === '-h') return help(rest[0])
  if (name === 'version' || name === '--version' || name === '-v') {
    const { packageVersion } = await import('../version.ts')
    process.stdout.write(`${packageVersion()}\n`)
    return 0
  }
  const command = await loadCommand(name)
  if (rest.includes('--help') || rest.includes('-h')) return help(name)
  return command.run(parseArguments(rest, command.options))
}

async function loadCommand(name: string): Promise<Command> {
  const entry = commands.get(name)
  if (entry === undefined)
    throw new UsageError(`unknown command ${name}${didYouMean(name, [...commands.keys(), 'help', 'version'])}`)
  return (await entry.load()).command
}

async function help(name: string | undefined): Promise<number> {
  if (name !== undefined) {
    const command = await loadCommand(name)
    process.stdout.write(`anymq ${command.name} ${command.usage}\n\n${command.summary}\n`)
    if (command.options.length > 0) process.stdout.write(`\n${optionLines(command.options)}\n`)
    return 0
  }
  const lines = [...commands].map(([each, { summary }]) => `  ${each.padEnd(9)} ${summary}`)
  process.stdout.write(
    `anymq COMMAND [OPTIONS]\n\n${lines.join('\n')}\n  version   print the version\n  help      this, or: anymq help COMMAND\n`,
  )
  return 0
}
