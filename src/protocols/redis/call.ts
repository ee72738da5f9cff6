/** One run of a command for a client, outside of scripts. */

import type { Reply } from '../../lib/resp/reply.ts'
import type { Request } from '../../lib/resp/request.ts'
import type { Client } from './client.ts'
import type { Call, Deferred, Waiting } from './command.ts'
import type { Database } from './database.ts'
import type { Server } from './server.ts'

export class CommandCall implements Call {
  readonly server: Server
  readonly client: Client
  readonly db: Database
  readonly request: Request
  readonly reply: Reply
  readonly now: number
  readonly atomic: boolean
  readonly #serial: number

  constructor(server: Server, client: Client, db: Database, request: Request, atomic = false) {
    this.server = server
    this.client = client
    this.db = db
    this.request = request
    this.#serial = request.serial
    this.reply = client.reply
    this.now = server.now
    this.atomic = atomic
  }

  get args(): readonly Buffer[] {
    if (this.request.serial !== this.#serial) throw new Error('the arguments of a command are gone once it has run')
    return this.request.all
  }

  defer(): Deferred {
    const { server, client } = this
    // Written so far, and not waiting for what comes later.
    client.gate(server.changes)
    return client.defer(
      () => server.changes,
      () => {
        server.wrote(client)
        server.settle()
      },
    )
  }

  block(waiting: Waiting): void {
    if (this.atomic) waiting.timedOut(this.reply)
    else this.server.blocked.add(this.client, this.db, waiting)
  }
}
