/** All commands by their names, in lower case. */
import type { Command } from '../command.ts'
import { jobCommands } from './jobs.ts'
import { queueCommands } from './queues.ts'
import { scanCommands } from './scans.ts'
import { serverCommands } from './server.ts'

export const commands: ReadonlyMap<string, Command> = new Map(
  [...serverCommands(() => commands), ...jobCommands, ...queueCommands, ...scanCommands].map((each) => [each.name, each]),
)
