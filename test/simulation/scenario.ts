/** One seed: a machine, some lives of a broker on it, and what goes wrong between and within them. */
import type { Storage } from '../../src/storage/interfaces.ts'
import { checkAfterRestart, checkDamaged } from './check.ts'
import { Random } from './disk.ts'
import { deadName, Life } from './life.ts'
import { ends, SimulatedMachine, turns } from './machine.ts'
import { Model, must } from './model.ts'
import '../support/plain-format.ts'

export type Sabotage = (storage: Storage, machine: SimulatedMachine) => Storage

export interface Outcome {
  readonly seed: number
  /** null: all that must be true is true. */
  readonly violation: Error | null
  readonly theme: Theme
  readonly trace: readonly string[]
  readonly operations: number
  readonly lives: number
}

const themes = [
  'crashes',
  'crashes',
  'crashes',
  'crashes',
  'failing disk',
  'full disk',
  'misdirected write',
  'flipped bits',
] as const
export type Theme = (typeof themes)[number]

export async function runSeed(seed: number, sabotage?: Sabotage): Promise<Outcome> {
  const scenario = new Scenario(seed, sabotage)
  let violation: Error | null = null
  try {
    await scenario.run()
  } catch (error) {
    violation = error instanceof Error ? error : new Error(String(error))
  }
  const { theme, trace, machine, lives } = scenario
  return { seed, violation, theme, trace, operations: machine.step, lives }
}

class Scenario {
  readonly theme: Theme
  readonly trace: string[] = []
  readonly machine: SimulatedMachine
  lives = 0
  readonly #random: Random
  readonly #model = new Model()
  readonly #ids = { next: 1 }

  constructor(seed: number, sabotage: Sabotage | undefined) {
    const random = new Random(seed)
    this.#random = random
    this.theme = themes[random.below(themes.length)] as Theme // below length
    this.machine = new SimulatedMachine(random, {
      walFileBytes: 64 * 1024 * (1 + random.below(3)),
      frameBytes: 1024 << random.below(5),
      checkpointBytes: 4096 << random.below(6),
      cacheBytes: 4096 << random.below(6),
    })
    if (sabotage !== undefined) this.machine.sabotage = sabotage
    this.#note(`seed ${seed}: ${this.theme}, ${JSON.stringify(this.machine.sizes)}`)
  }

  #note(line: string): void {
    if (process.env.DBG && /POWER|KILL|check|fails|STOP/.test(line)) console.log(line)
    this.trace.push(`${String(this.machine.step).padStart(4)} ${line}`)
  }

  async run(): Promise<void> {
    let life = await this.#start()
    life.create(deadName, 'dead')
    await life.rest()
    const lives = 1 + this.#random.below(4)
    for (let count = 0; count < lives; count++) {
      await this.#live(life, count === lives - 1)
      if (this.#breaksStorage() && count === lives - 1) return await this.#endDamaged(life)
      life = await this.#again(life)
      await this.#check(life)
    }
    // Nothing is left over: what was accepted in peace stays accepted.
    await life.stop()
    life = await this.#start()
    await this.#check(life)
    await life.stop()
  }

  async #start(): Promise<Life> {
    this.lives++
    this.machine.said.length = 0
    const broker = await ends('recovery', this.machine.start())
    return new Life(broker, this.machine, this.#model, this.#ids, (line) => this.#note(line))
  }

  async #live(life: Life, last: boolean): Promise<void> {
    const random = this.#random
    const operations = 10 + random.below(120)
    const faultAt = random.below(operations)
    for (let count = 0; count < operations; count++) {
      this.machine.step++
      if (count === faultAt) this.#disturb(last)
      if (this.theme === 'full disk' && random.chance(0.02)) {
        this.machine.lowOnSpace = !this.machine.lowOnSpace
        this.machine.wasLowOnSpace = true
      }
      await life.act()
      if (random.chance(0.6)) await turns(random.below(6))
    }
  }

  /** What goes wrong while it runs. */
  #disturb(last: boolean): void {
    const { faults } = this.machine.disk
    const random = this.#random
    if (this.theme === 'failing disk') {
      faults.failingIn = ['/wal', '/segments', 'metadata', ''][random.below(4)] as string // below length
      faults.failing = 0.02 + random.next() * 0.3
      this.#note(`operations on '${faults.failingIn}' begin to fail`)
    }
    if (this.theme === 'full disk' && random.chance(0.5)) {
      faults.room = random.below(200_000)
      this.#note(`the disk has room for ${faults.room} bytes`)
    }
    if (this.theme === 'misdirected write' && last) {
      const segments = random.chance(0.5)
      // Frames only: what clears the place of the next frame leaves nothing by which it could be missed.
      faults.misdirect = segments
        ? (file) => file.endsWith('.seg')
        : (file, bytes) => file.endsWith('.wal') && bytes.toString('latin1', 0, 4) === 'AMQW'
      this.#note(`a write to ${segments ? 'a segment' : 'the write-ahead log'} goes astray`)
    }
  }

  #breaksStorage(): boolean {
    return this.theme === 'misdirected write' || this.theme === 'flipped bits'
  }

  /** Stops the broker in one way or another, and starts it again. */
  async #again(life: Life): Promise<Life> {
    const random = this.#random
    const kind = random.below(10)
    if (kind < 2) {
      this.#note('STOP')
      await life.stop()
      if (random.chance(0.3)) this.machine.powerLoss()
    } else this.#crash(life)
    this.machine.lowOnSpace = false
    this.machine.disk.faults.failing = 0
    this.machine.disk.faults.room = Infinity
    while (random.chance(0.15)) {
      // Once more, while it recovers.
      const starting = this.machine.start()
      starting.catch(() => undefined)
      await turns(random.below(40))
      this.#crash(life)
    }
    return await this.#start()
  }

  #crash(life: Life): void {
    life.over = true
    const power = this.#random.chance(0.6)
    this.#note(power ? 'THE POWER GOES' : 'KILLED')
    if (power) this.machine.powerLoss()
    else this.machine.kill()
  }

  async #check(life: Life): Promise<void> {
    this.#note('-- check --')
    await checkAfterRestart(life, this.#model, this.machine)
  }

  /** Damage that no write reported is found out, never passed over. */
  async #endDamaged(life: Life): Promise<void> {
    const { machine } = this
    this.#crash(life)
    if (this.theme === 'flipped bits') this.#flipBits()
    for (const { file, at, length } of machine.disk.damage) this.#note(`damaged: ${file} at ${at}, ${length} bytes`)
    const lostFrom = this.#lostFrom()
    const inWal = machine.disk.damage.some(({ file }) => file.endsWith('.wal'))
    let again: Life
    try {
      again = await this.#start()
    } catch (error) {
      must(inWal && error instanceof Error && /damaged/.test(error.message), () => `it does not start: ${error}`)
      this.#note(`refused: ${error}`)
      return
    }
    const damagedLogs = new Set(
      machine.disk.damage.filter(({ file }) => file.endsWith('.seg')).map(({ file }) => file.split('/')[2]),
    )
    await again.rest()
    await checkDamaged(again.space, this.#model, damagedLogs.size, lostFrom)
  }

  #flipBits(): void {
    const { disk, frames, sizes } = this.machine
    const random = this.#random
    const kind = random.chance(0.5) ? '.wal' : '.seg'
    const names = disk.names().filter((name) => name.endsWith(kind) && disk.sizeOf(name) > 0)
    const file = names[random.below(names.length)]
    if (file === undefined) return
    let at = random.below(disk.sizeOf(file))
    const inFile = frames.filter(({ done, position }) => done && file.endsWith(walName(position, sizes.walFileBytes)))
    const hit = inFile[random.below(inFile.length)]
    if (hit !== undefined && random.chance(0.8)) at = (hit.position % sizes.walFileBytes) + random.below(hit.length)
    const bytes = disk.bytesOf(file, at, Math.min(1 + random.below(8), disk.sizeOf(file) - at))
    for (let index = 0; index < bytes.length; index++) bytes[index] = (bytes[index] as number) ^ (1 + random.below(255)) // index < length
    disk.overwrite(file, at, bytes)
  }

  /**
   * The step from which on a confirmed record may be lost: when no whole frame follows the damaged ones they cannot be told from a torn end.
   * Infinity: never.
   */
  #lostFrom(): number {
    const { disk, frames, sizes } = this.machine
    const isDamaged = ({ position, length }: { position: number; length: number }): boolean =>
      disk.damage.some(
        (each) =>
          each.file.endsWith(walName(position, sizes.walFileBytes)) &&
          each.at < (position % sizes.walFileBytes) + length &&
          each.at + each.length > position % sizes.walFileBytes,
      )
    let lostFrom = Infinity
    for (const frame of frames.filter(({ done }) => done).reverse()) {
      if (!isDamaged(frame)) break
      lostFrom = frame.startedAt
    }
    return lostFrom
  }
}

const walName = (position: number, fileBytes: number): string =>
  `/${String(Math.floor(position / fileBytes)).padStart(12, '0')}.wal`
