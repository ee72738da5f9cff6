/** What is counted over all tubes since the start. */
export class Counters {
  /** By their first word, with the blank behind it if arguments follow. */
  readonly #commands = new Map<string, number>()
  timeouts = 0
  totalJobs = 0
  reserved = 0
  connections = 0
  totalConnections = 0
  producers = 0
  workers = 0
  waiting = 0

  count(command: string): void {
    this.#commands.set(command, (this.#commands.get(command) ?? 0) + 1)
  }

  /** Of a command, by the name that `stats` has for it. */
  counted(name: string): number {
    return this.#commands.get(name) ?? this.#commands.get(`${name} `) ?? 0
  }
}
