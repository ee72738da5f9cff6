/** What the broker logs while it is fuzzed. */
import type { ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'

const errorLevel = 50
/** Node tells of its inspector, which memory.ts asks. */
const inspectorLine = /^Debugger /

export class BrokerLog {
  readonly errors: string[] = []
  /** Why connections were closed, by the port of the peer. */
  readonly #reasons = new Map<number, string>()
  #heard: () => void = () => undefined

  constructor(broker: ChildProcess) {
    if (broker.stderr === null) return
    createInterface({ input: broker.stderr }).on('line', (line) => this.#line(line))
  }

  #line(line: string): void {
    if (!line.startsWith('{')) {
      if (!inspectorLine.test(line)) this.errors.push(line)
      return
    }
    const { level, remote, reason } = JSON.parse(line) as { level?: number; remote?: string; reason?: string } // pino's lines
    if (level !== undefined && level >= errorLevel) this.errors.push(line)
    if (remote !== undefined && reason !== undefined && reason !== '')
      this.#reasons.set(Number(remote.slice(remote.lastIndexOf(':') + 1)), reason)
    this.#heard()
  }

  reasonFor(port: number): string | undefined {
    return this.#reasons.get(port)
  }

  /** Waits until `holds`, or for `ms` at most: lines come a little after what they tell of. */
  async until(holds: () => boolean, ms: number): Promise<void> {
    const deadline = performance.now() + ms
    while (!holds() && performance.now() < deadline) {
      const { promise, resolve } = Promise.withResolvers<void>()
      const timer = setTimeout(resolve, 100)
      this.#heard = resolve
      await promise
      clearTimeout(timer)
    }
  }
}
