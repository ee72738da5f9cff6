/** What the broker is short of. Publishes are refused by it (broker/publisher.ts); sessions hear of changes and may tell their clients. */
import type { Logger, Pressure } from '../broker/face.ts'

/** Below this much free space publishes are refused. */
export const diskReserveBytes = 160 * 1024 * 1024
/** Pressure of memory begins here, before anything is refused, and ends a little lower, so that it does not flutter. */
const memoryRaisedAt = 0.9
const memoryClearedAt = 0.8

export class PressureGauge {
  readonly memoryBytesMax: number
  readonly #log: Logger
  readonly #watchers = new Set<(pressure: Pressure) => void>()
  state: Pressure = 'none'
  lowOnSpace = false
  /** As last measured; -1 before. */
  freeBytes = -1
  /** Held by topics kept in memory. */
  memoryBytes = 0
  #lowOnMemory = false
  /** What the watchers heard last. */
  #told: Pressure = 'none'
  #telling = false

  constructor(memoryBytesMax: number, log: Logger) {
    this.memoryBytesMax = memoryBytesMax
    this.#log = log
  }

  addMemory(bytes: number): void {
    this.memoryBytes += bytes
    const mark = this.#lowOnMemory ? memoryClearedAt : memoryRaisedAt
    const low = this.memoryBytes >= this.memoryBytesMax * mark
    if (low === this.#lowOnMemory) return
    this.#lowOnMemory = low
    const fields = { memoryBytes: this.memoryBytes, memoryBytesMax: this.memoryBytesMax }
    if (low) this.#log.warn(fields, 'topics kept in memory are nearly full; publishes to them are refused at memoryBytesMax')
    else this.#log.info(fields, 'topics kept in memory have room again')
    this.#update()
  }

  setFreeBytes(freeBytes: number): void {
    this.freeBytes = freeBytes
    const low = freeBytes < diskReserveBytes
    if (low === this.lowOnSpace) return
    this.lowOnSpace = low
    if (low) this.#log.warn({ freeBytes }, 'little disk space is left; publishes are refused until there is more')
    else this.#log.warn({ freeBytes }, 'there is disk space again')
    this.#update()
  }

  watch(changed: (pressure: Pressure) => void): () => void {
    // One entry for each call, also when the same function is given twice.
    const watcher = (pressure: Pressure): void => changed(pressure)
    this.#watchers.add(watcher)
    return () => void this.#watchers.delete(watcher)
  }

  #update(): void {
    this.state = this.lowOnSpace ? 'disk' : this.#lowOnMemory ? 'memory' : 'none'
    if (this.#telling) return
    this.#telling = true
    queueMicrotask(() => {
      this.#telling = false
      if (this.state === this.#told) return
      this.#told = this.state
      for (const watcher of this.#watchers) watcher(this.state)
    })
  }
}
