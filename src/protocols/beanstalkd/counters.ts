/** What is counted over all tubes since the start. */
export class Counters {
  /** By the name that `stats` has for them. */
  readonly commands = new Map<string, number>()
  timeouts = 0
  totalJobs = 0
  reserved = 0
  connections = 0
  totalConnections = 0
  producers = 0
  workers = 0
  waiting = 0

  count(command: string): void {
    this.commands.set(command, (this.commands.get(command) ?? 0) + 1)
  }
}
