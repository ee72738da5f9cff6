/** MULTI, EXEC, DISCARD, WATCH, UNWATCH. */
import { AccessRefused } from '../access.ts'
import { text } from '../arguments.ts'
import { CommandCall } from '../call.ts'
import type { Queued } from '../client.ts'
import { type Call, type Command, command } from '../command.ts'
import { errorText, RedisError, words } from '../errors.ts'

function multi({ client, reply }: Call): void {
  if (client.queued !== null) throw new RedisError('ERR MULTI calls can not be nested')
  client.queued = []
  reply.status('OK')
}

function discard({ client, server, reply }: Call): void {
  if (client.queued === null) throw new RedisError('ERR DISCARD without MULTI')
  client.queued = null
  client.queueFailed = false
  server.unwatch(client)
  reply.status('OK')
}

function watch({ args, client, db, server, reply }: Call): void {
  if (client.queued !== null) throw new RedisError('ERR WATCH inside MULTI is not allowed')
  for (const key of args.slice(1)) server.watch(client, db, text(key))
  reply.status('OK')
}

function exec(call: Call): void {
  const { client, server, reply } = call
  const { queued, queueFailed } = client
  if (queued === null) throw new RedisError('ERR EXEC without MULTI')
  client.queued = null
  client.queueFailed = false
  // A key that has expired meanwhile goes now, and counts as changed.
  for (const { db, key, existed } of client.watched) if (existed && !db.exists(key)) client.watchFailed = true
  const { watchFailed } = client
  server.unwatch(client)
  if (queueFailed) throw new RedisError(words.execAbort)
  if (watchFailed) return reply.nilArray()
  // One after the other without anybody between; all that they change is one entry of the journal, and one frame of the write-ahead log: for each stretch, where one waits.
  reply.array(queued.length)
  server.atomically(() => runFrom(call, queued, 0))
}

function runFrom({ client, server }: Pick<Call, 'client' | 'server'>, queued: readonly Queued[], start: number): void {
  const { executor } = server
  for (const [index, { command: each, request }] of queued.entries()) {
    if (index < start) continue
    // A script that waits is waited for, and a command that reads from the disk.
    if (executor.isHeld)
      return executor.afterRelease(() => {
        server.atomically(() => runFrom({ client, server }, queued, index))
        client.gate(server.changes)
        server.wrote(client)
      })
    server.statistics.commands++
    const written = client.reply.used
    try {
      executor.check(client, each, request)
      executor.onCommand?.(client, request, false)
      each.run(new CommandCall(server, client, client.db, request, true))
      if (client.awaitsReply && !executor.isHeld) {
        executor.hold({ client, isBusy: false, busyMessage: '' })
        client.whenAnswered(() => executor.release())
      }
    } catch (cause) {
      if (cause instanceof AccessRefused) server.noteRefusal(client, cause, 'multi')
      if (client.reply.used > written) client.reply.truncate(written)
      client.reply.error(errorText(cause))
    }
  }
}

export const transactionCommands: readonly Command[] = [
  command('transactions', 'multi', 1, 'noscript fast', null, multi),
  command('transactions', 'exec', 1, 'noscript skip_monitor', null, exec),
  command('transactions', 'discard', 1, 'noscript fast', null, discard),
  command('transactions', 'watch', -2, 'noscript fast', [1, -1, 1], watch),
  command('transactions', 'unwatch', 1, 'noscript fast', null, ({ client, server, reply }) => {
    server.unwatch(client)
    reply.status('OK')
  }),
]
