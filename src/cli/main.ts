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
enableCompileCache()

const { runCommand } = await import('./run-command.ts')
process.exitCode = await runCommand(process.argv.slice(2))
