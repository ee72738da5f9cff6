/** ACL LOG: who was refused what. In memory, the newest first. */

export type Reason = 'command' | 'key' | 'channel' | 'auth'
export type Context = 'toplevel' | 'multi' | 'lua'

export interface Refusal {
  readonly reason: Reason
  readonly context: Context
  /** The command, key or channel. */
  readonly object: string
  readonly user: string
}

export interface LogEntry extends Refusal {
  readonly id: number
  count: number
  /** ms since the epoch. */
  readonly createdAt: number
  updatedAt: number
  /** Of the client that was refused last. */
  client: string
}

const entriesMax = 128
const shownMax = 256
/** What is refused again within this time is counted, and not told anew. */
const sameWithinMs = 60_000

export class AccessLog {
  entries: LogEntry[] = []
  #id = 0

  note({ reason, context, object, user }: Refusal, client: string, now: number): void {
    const shown = { reason, context, object: object.slice(0, shownMax), user: user.slice(0, shownMax) }
    const same = this.entries.find(
      (each) =>
        each.reason === reason &&
        each.context === context &&
        each.object === shown.object &&
        each.user === shown.user &&
        now - each.updatedAt <= sameWithinMs,
    )
    if (same === undefined) {
      this.entries.unshift({ ...shown, id: this.#id++, count: 1, createdAt: now, updatedAt: now, client })
      if (this.entries.length > entriesMax) this.entries.pop()
      return
    }
    same.count++
    same.updatedAt = now
    same.client = client
    this.entries = [same, ...this.entries.filter((each) => each !== same)]
  }
}
