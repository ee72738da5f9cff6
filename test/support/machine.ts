/** A machine for tests of the broker without sockets: a simulated disk that survives its power going, and a clock that is moved by hand. */
import { type BrokerOptions, createBroker, type OwnedBroker } from '../../src/broker/broker.ts'
import { type PublishItem, PublishStatus, type Space } from '../../src/broker/face.ts'
import { type Clock, VirtualClock } from '../../src/lib/timers.ts'
import type { MetadataStore } from '../../src/storage/interfaces.ts'
import type { Disk } from '../../src/storage/local/disk.ts'
import { LocalSegments } from '../../src/storage/local/segments.ts'
import { LocalWal } from '../../src/storage/local/wal.ts'
import { MemoryMetadata } from '../../src/storage/memory/index.ts'
import { Random, SimulatedDisk } from '../simulation/disk.ts'
import './plain-format.ts'

const quiet = { debug() {}, info() {}, warn() {}, error() {} }
const noConnections = { size: 0, list: () => [], close: () => false }
const walFileBytes = 1024 * 1024

export interface MachineOptions extends Partial<BrokerOptions> {
  readonly freeBytes?: () => Promise<number>
}

export class Machine {
  readonly disk: SimulatedDisk
  readonly metadata = new MemoryMetadata()
  readonly clock = new VirtualClock()
  readonly #options: MachineOptions
  #broker: OwnedBroker | null = null
  #power = new Power()

  constructor(seed = 1, options: MachineOptions = {}) {
    this.disk = new SimulatedDisk(new Random(seed))
    this.#options = options
  }

  /** Starts a broker on what the disk holds. */
  async start(): Promise<OwnedBroker> {
    const power = new Power()
    this.#power = power
    const disk = powered(this.disk, power)
    const wal = new LocalWal(disk, '/wal', true, walFileBytes)
    const segments = new LocalSegments(disk, '/segments')
    const storage = {
      wal,
      segments,
      metadata: poweredMetadata(this.metadata, power),
      freeBytes: this.#options.freeBytes ?? (async () => Infinity),
      close: async () => {
        await wal.close()
        await segments.close()
      },
    }
    const clock: Clock = {
      now: () => this.clock.now(),
      after: (delayMs, run) =>
        this.clock.after(delayMs, () => {
          if (power.on) run()
        }),
    }
    const options = { storage, clock, log: quiet, connections: noConnections, ...this.#options }
    this.#broker = await createBroker(options)
    return this.#broker
  }

  /** The power goes; then it starts again. What was not durable is lost, wholly or in part. */
  async crash(): Promise<OwnedBroker> {
    this.#power.on = false
    this.disk.crash()
    return await this.start()
  }

  /** Stops it cleanly, then starts it again. */
  async restart(): Promise<OwnedBroker> {
    await this.#broker?.close()
    return await this.start()
  }

  async stop(): Promise<void> {
    await this.#broker?.close()
  }
}

/** Of one life of the machine: what ran in it does nothing any more once it is off. */
class Power {
  on = true
}

/** The disk as long as the power is on; an operation begun later never ends. */
function powered(disk: SimulatedDisk, power: Power): Disk {
  const never = new Promise<never>(() => undefined)
  return {
    open: (file, synced) => (power.on ? disk.open(file, synced) : never),
    list: (path) => (power.on ? disk.list(path) : never),
    makeDirectory: () => (power.on ? disk.makeDirectory() : never),
    rename: (from, to) => (power.on ? disk.rename(from, to) : never),
    remove: (path) => (power.on ? disk.remove(path) : never),
    removeTree: (path) => (power.on ? disk.removeTree(path) : never),
    syncDirectory: (path) => (power.on ? disk.syncDirectory(path) : never),
    freeBytes: () => disk.freeBytes(),
  }
}

/** The same for metadata: a checkpoint that was under way when the power went must not be written after it. */
function poweredMetadata(metadata: MemoryMetadata, power: Power): MetadataStore {
  return {
    position: () => metadata.position(),
    load: (table, visit) => metadata.load(table, visit),
    range: (table, from, before, limit) => metadata.range(table, from, before, limit),
    count: (table) => metadata.count(table),
    checkpoint: (position, changes) => (power.on ? metadata.checkpoint(position, changes) : new Promise<never>(() => undefined)),
    close: () => metadata.close(),
  }
}

/** The default namespace, for nobody in particular. */
export function spaceOf(broker: OwnedBroker): Space {
  return broker.space(broker.anonymous, 'default')
}

/** Resolves when it is stored; rejects with why not. */
export function publish(space: Space, ...items: PublishItem[]): Promise<void> {
  return new Promise((resolve, reject) =>
    space.publish(items, () => {
      const failed = items.find(({ status }) => status !== PublishStatus.Stored && status !== PublishStatus.Duplicate)
      if (failed === undefined) resolve()
      else reject(new Error(`${failed.errorCode ?? 'not routed'}: ${failed.errorMessage}`))
    }),
  )
}

export function textsRead(records: readonly { readonly bytes: Buffer }[]): string[] {
  return records.map(({ bytes }) => String(bytes))
}
