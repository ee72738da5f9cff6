/** What is counted since the broker started, for the monitoring pages. */
import type { Broker } from '../../broker/face.ts'

/** Less time than this says nothing about the processor. */
const cpuOverMs = 500

export class Totals {
  connections = 0
  slowConsumers = 0
  staleConnections = 0
  #measuredAt = performance.now()
  #used = process.cpuUsage()
  #cpu = 0

  /** Of one processor, in percent, since it was asked before. */
  get cpu(): number {
    const now = performance.now()
    if (now - this.#measuredAt < cpuOverMs) return this.#cpu
    const { user, system } = process.cpuUsage(this.#used)
    this.#cpu = Math.round((user + system) / 10 / (now - this.#measuredAt))
    this.#measuredAt = now
    this.#used = process.cpuUsage()
    return this.#cpu
  }
}

export function totalsOf(broker: Broker): Totals {
  return broker.shared('nats.totals', () => new Totals())
}
