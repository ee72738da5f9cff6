/** PFADD, PFCOUNT, PFMERGE: how many different elements there were, about. */
import { text } from '../arguments.ts'
import { type Call, type Command, command } from '../command.ts'
import type { Database } from '../database.ts'
import { HyperLogLog } from '../hyperloglog.ts'

function find(db: Database, key: Buffer | undefined): HyperLogLog | undefined {
  const string = db.string(text(key))
  return string === undefined ? undefined : HyperLogLog.from(string.buffer)
}

function store(db: Database, key: string, log: HyperLogLog, event: string): void {
  const { bytes } = log
  db.putString(key, bytes, db.expiryOf(key) ?? 0)
  db.notify('$', event, key)
}

function add({ args, db, reply }: Call): void {
  const present = find(db, args[1])
  const log = present ?? new HyperLogLog()
  let changed = present === undefined
  for (const element of args.slice(2)) if (log.add(element)) changed = true
  if (changed) store(db, text(args[1]), log, 'pfadd')
  reply.integer(changed ? 1 : 0)
}

function mergeOf(db: Database, keys: readonly Buffer[]): HyperLogLog {
  const merged = new HyperLogLog()
  for (const key of keys) {
    const log = find(db, key)
    if (log !== undefined) merged.merge(log)
  }
  return merged
}

function merge({ args, db, reply }: Call): void {
  store(db, text(args[1]), mergeOf(db, args.slice(1)), 'pfadd')
  reply.status('OK')
}

const all = [1, -1, 1] as const

export const hyperLogLogCommands: readonly Command[] = [
  command('hyperloglog', 'pfadd', -2, 'write denyoom fast', [1, 1, 1], add),
  command('hyperloglog', 'pfcount', -2, 'readonly', all, ({ args, db, reply }) =>
    reply.integer(mergeOf(db, args.slice(1)).count),
  ),
  command('hyperloglog', 'pfmerge', -2, 'write denyoom', all, merge),
]
