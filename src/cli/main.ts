#!/usr/bin/env node
/** The `anymq` command: finds the command's own file and runs it. Nothing else is imported before the version of Node is known to do. */
import { enableCompileCache } from 'node:module'

const nodeMajor = Number(process.version.slice(1).split('.')[0])
if (nodeMajor < 24) {
  process.stderr.write(
    `anymq needs Node 24 or newer; this is ${process.version} (${process.execPath}).\n` +
      'In the repository, use npm scripts (npm start): they run on the Node that npm ci installed.\n',
  )
  process.exit(1)
}

/**
 * Below so many MiB V8 does not look for garbage among what has lived for a while. Without it V8 goes by what lives, which is little in a broker, and marks all
 * of it for every few MiB of buffers that come and go: a third of all work (docs/decisions/0009). The room for what is young stays at
 * twice the other number, where it would grow to 128 MiB. Both can be said only when a process begins, so this one begins again, with the same id, files and signals.
 */
const rooms = { '--initial-old-space-size': 96, '--max-semi-space-size': 16 }
const missing = Object.entries(rooms).filter(([room]) => !process.execArgv.some((argument) => argument.startsWith(room)))
if (process.argv[2] === 'serve' && missing.length > 0 && process.execve !== undefined && process.send === undefined) {
  const options = missing.map(([room, mebibytes]) => `${room}=${mebibytes}`)
  const again = [process.execPath, ...process.execArgv, ...options, ...process.argv.slice(1)]
  process.execve(process.execPath, again, process.env)
}
enableCompileCache()

const { runCommand } = await import('./run-command.ts')
process.exitCode = await runCommand(process.argv.slice(2))
