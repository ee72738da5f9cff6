/**
 * What a command is, and what it is given. Commands of one client run one at a time, in the order in which they come. What a command changes is changed in memory
 * at once; its reply waits for the disk where it says so. One that throws (errors.ts) has replied nothing.
 */
import type { ReplyWriter } from '../../lib/resp/reply.ts'
import type { Queue } from './queue.ts'
import type { Server } from './server.ts'
import type { Session } from './session.ts'

/** As COMMAND shows them. */
export type CommandFlag = 'write' | 'readonly' | 'denyoom' | 'admin' | 'random' | 'loading' | 'skip_monitor' | 'fast'

export interface Command {
  readonly name: string
  /** Arguments with the name: exactly so many, or, negative, at least; 0 is any number. */
  readonly arity: number
  readonly flags: readonly CommandFlag[]
  run(call: Call): void
}

export const command = (name: string, arity: number, flags: string, run: (call: Call) => void): Command => ({
  name,
  arity,
  flags: flags.split(' ') as CommandFlag[], // written beside their commands, in the tables of commands/
  run,
})

/** One run of a command. `args` are views that may not be kept; the command's name is the first. */
export interface Call {
  readonly server: Server
  readonly client: Session
  readonly args: readonly Buffer[]
  /** One reply is written, before `run` returns or, after {@link wait}, in what goes on. */
  readonly reply: ReplyWriter
  /** The reply leaves when all that was changed so far is durable. */
  durably(): void
  /** The client's next commands wait until `goOn` was called, within which the command replies, or waits again. What it throws is replied. */
  wait(begin: (goOn: (run: () => void) => void) => void): void
  /** Throws where the client may not do it. */
  check(action: 'publish' | 'consume', queue: Queue | string): void
  /** Throws where the client is no administrator. */
  checkOperator(): void
}
