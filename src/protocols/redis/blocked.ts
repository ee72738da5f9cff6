/** Clients that wait for keys. They are served in the order in which they began to wait, after the whole command, transaction or script that gave them something. */
import { Request } from '../../lib/resp/request.ts'
import type { Timer } from '../../lib/timers.ts'
import { CommandCall } from './call.ts'
import type { Client } from './client.ts'
import type { Waiting } from './command.ts'
import type { Database } from './database.ts'
import { errorText } from './errors.ts'
import type { Server } from './server.ts'

interface Entry {
  readonly client: Client
  readonly db: Database
  readonly waiting: Waiting
  timer: Timer | null
}

/** Who waits for one key, in order. */
interface Waiters {
  readonly entries: Set<Entry>
  /** Other protocols are not listened to any more. */
  readonly stop: () => void
}

export class Blocked {
  readonly #server: Server
  readonly #byKey: Map<string, Waiters>[]
  readonly #byClient = new Map<Client, Entry>()
  #ready: { db: Database; key: string }[] = []
  #serving = false
  #planned = false

  constructor(server: Server) {
    this.#server = server
    this.#byKey = server.databases.map(() => new Map())
  }

  get size(): number {
    return this.#byClient.size
  }

  /** Keys that somebody waits for. */
  get keys(): number {
    return this.#byKey.reduce((sum, keys) => sum + keys.size, 0)
  }

  add(client: Client, db: Database, waiting: Waiting): void {
    const entry: Entry = { client, db, waiting, timer: null }
    client.blocked = true
    this.#byClient.set(client, entry)
    const keys = this.#byKey[db.index] as Map<string, Waiters> // one for each database
    for (const key of waiting.keys) {
      const waiters = keys.get(key)
      if (waiters !== undefined) waiters.entries.add(entry)
      else keys.set(key, { entries: new Set([entry]), stop: this.#listen(db, key) })
    }
    if (waiting.timeoutMs > 0) entry.timer = this.#server.broker.clock.after(waiting.timeoutMs, () => this.#timedOut(entry))
  }

  #listen(db: Database, key: string): () => void {
    const stops = this.#server.providers.map((provider) => provider.watch?.(db, key))
    return () => {
      for (const stop of stops) stop?.()
    }
  }

  ready(db: Database, key: string): void {
    if (this.#byClient.size === 0 || !this.#byKey[db.index]?.has(key)) return
    this.#ready.push({ db, key })
    // What other protocols do wakes, too, and no command ends then.
    if (this.#planned) return
    this.#planned = true
    queueMicrotask(() => {
      this.#planned = false
      if (this.#server.executor.isHeld || this.#ready.length === 0) return
      this.#server.now = this.#server.broker.clock.now()
      this.serve()
      this.#server.settle()
    })
  }

  /** Serves whom the keys that became ready can serve. */
  serve(): void {
    if (this.#ready.length === 0 || this.#serving) return
    this.#serving = true
    try {
      // To serve one may make a key ready for another.
      while (this.#ready.length > 0) {
        const batch = this.#ready
        this.#ready = []
        for (const { db, key } of batch)
          for (const entry of [...(this.#byKey[db.index]?.get(key)?.entries ?? [])]) this.#try(entry, key)
      }
    } finally {
      this.#serving = false
    }
  }

  #try(entry: Entry, key: string): void {
    const { client, db, waiting } = entry
    if (this.#byClient.get(client) !== entry) return
    const call = new CommandCall(this.#server, client, db, Request.of([]))
    try {
      if (!waiting.serve(call, key)) return
    } catch (cause) {
      call.reply.error(errorText(cause))
    }
    this.#server.executor.ended()
    this.#end(entry)
  }

  #timedOut(entry: Entry): void {
    if (this.#byClient.get(entry.client) !== entry) return
    entry.waiting.timedOut(entry.client.reply)
    this.#end(entry)
    this.#server.settle()
  }

  /** CLIENT UNBLOCK: as if time were up, or with an error. False: it waits for no key. */
  unblock(client: Client, withError: boolean): boolean {
    const entry = this.#byClient.get(client)
    if (entry === undefined) return false
    if (withError) client.reply.error('UNBLOCKED client unblocked via CLIENT UNBLOCK')
    else entry.waiting.timedOut(client.reply)
    this.#end(entry)
    return true
  }

  isBlocked(client: Client): boolean {
    return this.#byClient.has(client)
  }

  forget(client: Client): void {
    const entry = this.#byClient.get(client)
    if (entry !== undefined) this.#remove(entry)
  }

  #end(entry: Entry): void {
    const { client } = entry
    this.#remove(entry)
    client.gate(this.#server.changes)
    this.#server.wrote(client)
    client.blocked = false
    client.host.resumed()
  }

  #remove(entry: Entry): void {
    entry.timer?.cancel()
    this.#byClient.delete(entry.client)
    const keys = this.#byKey[entry.db.index]
    for (const key of entry.waiting.keys) {
      const waiters = keys?.get(key)
      waiters?.entries.delete(entry)
      if (waiters?.entries.size !== 0) continue
      keys?.delete(key)
      waiters.stop()
    }
  }
}
