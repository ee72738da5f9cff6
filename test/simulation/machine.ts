/** One simulated machine: a disk, a metadata store and a clock that outlive the brokers started on it. */
import { createBroker, type OwnedBroker } from '../../src/broker/broker.ts'
import type { Logger } from '../../src/broker/face.ts'
import { VirtualClock } from '../../src/lib/timers.ts'
import type { MetadataChange, MetadataStore, Storage, WriteAheadLog } from '../../src/storage/interfaces.ts'
import type { Disk } from '../../src/storage/local/disk.ts'
import { LocalSegments } from '../../src/storage/local/segments.ts'
import { LocalWal } from '../../src/storage/local/wal.ts'
import { type Random, SimulatedDisk } from './disk.ts'

type Value = string | Uint8Array

/** Sizes, small enough for a few hundred operations to reach every limit. */
export interface Sizes {
  readonly walFileBytes: number
  readonly frameBytes: number
  readonly checkpointBytes: number
  readonly cacheBytes: number
}

/** Stands for the database: a checkpoint is there whole or not at all, and a crash in its midst decides which. */
class SimulatedMetadata implements MetadataStore {
  readonly #disk: SimulatedDisk
  #tables = new Map<string, Map<string, Value>>()
  #position = 0
  #underWay: (() => void) | null = null

  constructor(disk: SimulatedDisk) {
    this.#disk = disk
  }

  /** The power went or the process was killed. */
  crash(): void {
    if (this.#disk.random.chance(0.5)) this.#underWay?.()
    this.#underWay = null
  }

  #later<T>(run: () => T): Promise<T> {
    return new Promise((resolve) => this.#disk.later(() => resolve(run())))
  }

  position(): Promise<number> {
    return this.#later(() => this.#position)
  }

  load(table: string, visit: (key: string, value: Value) => void): Promise<void> {
    return this.#later(() => {
      for (const [key, value] of [...(this.#tables.get(table) ?? [])].sort(byKey)) visit(key, value)
    })
  }

  range(table: string, from: string, before: string, limit: number): Promise<{ key: string; value: Value }[]> {
    return this.#later(() => {
      const rows = [...(this.#tables.get(table) ?? [])].filter(([key]) => key >= from && key < before)
      return rows
        .sort(byKey)
        .slice(0, limit)
        .map(([key, value]) => ({ key, value }))
    })
  }

  count(table: string): Promise<number> {
    return this.#later(() => this.#tables.get(table)?.size ?? 0)
  }

  checkpoint(position: number, changes: readonly MetadataChange[]): Promise<void> {
    const error = this.#disk.fails('metadata', 0)
    const copied = changes.map((each) => ({
      ...each,
      value: typeof each.value === 'object' && each.value !== null ? Buffer.from(each.value) : each.value,
    }))
    const happens = (): void => {
      this.#position = position
      for (const { table, key, value } of copied) {
        const rows = this.#tables.get(table) ?? new Map<string, Value>()
        this.#tables.set(table, rows)
        if (value === null) rows.delete(key)
        else rows.set(key, value)
      }
    }
    if (error === null) this.#underWay = happens
    return new Promise((resolve, reject) =>
      this.#disk.later(() => {
        this.#underWay = null
        if (error !== null) return reject(error)
        happens()
        resolve()
      }),
    )
  }

  async close(): Promise<void> {}
}

const byKey = ([a]: [string, unknown], [b]: [string, unknown]): number => (a < b ? -1 : 1)

/** What a broker sees of a part of the machine: once that has stopped, whatever the broker still asks for never ends. */
function whileRunning<T extends object>(part: T, runs: () => boolean): T {
  return new Proxy(part, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name)
      if (typeof value !== 'function') return value
      return (...given: unknown[]) => (runs() ? (value.apply(target, given) as unknown) : new Promise(() => undefined))
    },
  })
}

export class SimulatedMachine {
  readonly disk: SimulatedDisk
  readonly random: Random
  readonly sizes: Sizes
  readonly #metadata: SimulatedMetadata
  #starts = 0
  /** What the broker said, from warnings up. */
  readonly said: string[] = []
  clock = new VirtualClock(1_700_000_000_000)
  /** What the broker is told of free space. */
  lowOnSpace = false
  /** Delayed records that were refused for it are tried again, later. */
  wasLowOnSpace = false
  /** Puts something false between the broker and its storage, to see whether it is noticed. */
  sabotage: (storage: Storage, machine: SimulatedMachine) => Storage = (storage) => storage
  /** Frames of the write-ahead log as the broker wrote them: where, and whether the log said that they are durable. */
  readonly frames: { position: number; length: number; done: boolean; startedAt: number }[] = []
  /** Counts what the scenario did, for {@link frames}. */
  step = 0

  constructor(random: Random, sizes: Sizes) {
    this.random = random
    this.sizes = sizes
    this.disk = new SimulatedDisk(random)
    this.#metadata = new SimulatedMetadata(this.disk)
  }

  start(): Promise<OwnedBroker> {
    const { sizes } = this
    const { generation } = this.disk
    const runs = (): boolean => generation === this.disk.generation
    const disk = whileRunning<Disk>(this.disk, runs)
    // Timers of a broker that is no more must not run.
    this.clock = new VirtualClock(this.clock.now())
    const wal = new LocalWal(disk, '/wal', true, sizes.walFileBytes)
    const segments = new LocalSegments(disk, '/segments')
    const storage: Storage = {
      wal: this.#watched(wal),
      segments,
      metadata: whileRunning<MetadataStore>(this.#metadata, runs),
      freeBytes: async () => (this.lowOnSpace ? 0 : Number.POSITIVE_INFINITY),
      close: async () => {
        await wal.close()
        await segments.close()
      },
    }
    return createBroker({
      storage: this.sabotage(storage, this),
      clock: this.clock,
      log: this.#log(),
      connections: { size: 0, list: () => [], close: () => false },
      cacheBytes: sizes.cacheBytes,
      checkpointBytes: sizes.checkpointBytes,
      frameBytes: sizes.frameBytes,
      randomBytes: (size) => Buffer.from(Array.from({ length: size }, () => this.random.below(256))),
    })
  }

  #watched(wal: LocalWal): WriteAheadLog {
    const { frames } = this
    return {
      get position() {
        return wal.position
      },
      get bytes() {
        return wal.bytes
      },
      recover: (from, visit) => wal.recover(from, visit),
      trim: (position) => wal.trim(position),
      close: () => wal.close(),
      write: (frame, length, done) => {
        if (length > this.sizes.walFileBytes) throw new Error(`the scenario makes frames that are too big: ${length}`)
        const noted = { position: -1, length, done: false, startedAt: this.step }
        frames.push(noted)
        wal.write(frame, length, (error) => {
          noted.position = wal.position - ((length + 15) & ~15)
          noted.done = error === null
          done(error)
        })
      },
    }
  }

  #log(): Logger {
    const start = ++this.#starts
    const say = (level: string) => (fields: object, message: string) => {
      if (start === this.#starts) this.said.push(`${level}: ${message} ${JSON.stringify(fields)}`)
    }
    return { debug() {}, info() {}, warn: say('warn'), error: say('error') }
  }

  powerLoss(): void {
    this.disk.crash()
    this.#metadata.crash()
  }

  kill(): void {
    this.disk.kill()
    this.#metadata.crash()
  }
}

/** Some turns of the event loop. */
export async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}

const turnsMax = 20_000

/** Runs until nothing is under way. */
export async function quiet(machine: SimulatedMachine): Promise<void> {
  for (let still = 0, count = 0; still < 6; count++) {
    await turns(1)
    still = machine.disk.underWay === 0 ? still + 1 : 0
    if (count > turnsMax) throw new Error('the broker never comes to rest')
  }
}

/** A promise that must end within a bound of turns. */
export async function ends<T>(what: string, promise: Promise<T>): Promise<T> {
  let ended = false
  const noted = promise.finally(() => {
    ended = true
  })
  noted.catch(() => undefined)
  for (let count = 0; !ended; count++) {
    if (count > turnsMax) throw new Error(`${what} never ends`)
    await turns(1)
  }
  return await noted
}
