/** The shape of a command: its file under commands/ exports one of these under the name `command`. */
import type { OptionSpec, ParsedArguments } from './arguments.ts'

export interface Command {
  readonly name: string
  /** What follows the name, for help. */
  readonly usage: string
  readonly summary: string
  readonly options: readonly OptionSpec[]
  /** Resolves to the exit code. */
  run(parsed: ParsedArguments): Promise<number>
}
