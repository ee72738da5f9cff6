/**
 * What must be true, as plain data: which records were asked for, what was confirmed of them, and who was done with them. It knows nothing of logs,
 * frames or files. "Asked" is what was begun and may or may not have happened when the machine stops; "confirmed" must have happened.
 */

export const Doubt = { No: 0, Asked: 1, Confirmed: 2 } as const
export type Doubt = (typeof Doubt)[keyof typeof Doubt]

export interface Transaction {
  readonly number: number
  outcome: 'open' | 'asked' | 'confirmed' | 'refused'
  readonly records: Entry[]
  readonly accepted: { readonly record: Entry; readonly subscription: string }[]
}

/** One record that somebody published. */
export class Entry {
  readonly id: string
  /** A delayed record goes to whatever has the name when it is due. */
  topic: Topic
  /** Of a delayed record only known once it is seen; in a topic with priorities it is the priority. */
  partition: number
  readonly bytes: number
  readonly publishedAt: number
  /** Where it stands; -1 while unknown. */
  offset = -1
  /** Must be there: its publisher or a reader knows of it. */
  confirmed = false
  /** Certainly not there: refused, a repetition, or found missing at a restart that was allowed to lose it. */
  absent = false
  /** How far each subscription is done with it. */
  readonly done = new Map<string, Doubt>()
  transaction: Transaction | null = null
  dedupId: string | null = null
  sequence = -1
  /** Absent: not scheduled. */
  dueAt = 0
  /** The same, as late as it may have been moved to. */
  dueAtLatest = 0
  cancelled: Doubt = Doubt.No
  /** It may have left its log before a later subscription began. */
  freeable = false
  /** Taken out by itself. */
  removed: Doubt = Doubt.No
  /** Confirmed without waiting for the disk. */
  transient = false
  /** Consumers that have it, by subscription. */
  readonly heldBy = new Map<string, { until: number }>()
  /** Until when it may wait, by subscription: it was given back for later, and a crash may have forgotten that. */
  readonly waits = new Map<string, number>()
  /** Subscriptions that were to be done with it while it waited: nobody saw whether they are. */
  readonly unsure = new Set<string>()
  /** The step of the scenario in which it was confirmed. */
  confirmedAt = -1

  constructor(id: string, topic: Topic, partition: number, bytes: number, publishedAt: number) {
    this.id = id
    this.topic = topic
    this.partition = partition
    this.bytes = bytes
    this.publishedAt = publishedAt
  }

  mayWait(subscription: string, now: number): boolean {
    return (this.waits.get(subscription) ?? 0) > now || this.unsure.has(subscription)
  }

  doneFor(subscription: string): Doubt {
    return this.done.get(subscription) ?? Doubt.No
  }

  setDone(subscription: string, doubt: Doubt): void {
    if (doubt > this.doneFor(subscription)) this.done.set(subscription, doubt)
  }
}

export type Kind = 'queue' | 'dying' | 'priority' | 'log' | 'memory' | 'dead'

/** One life of a topic: deleted and created again it is another one. */
export class Topic {
  readonly name: string
  readonly kind: Kind
  readonly partitions: number
  uid = ''
  exists: Doubt = Doubt.Asked
  deleted: Doubt = Doubt.No
  /** In the order in which they were asked for. */
  readonly entries: Entry[] = []
  readonly byId = new Map<string, Entry>()
  readonly subscriptions = new Set<string>()
  /** By partition. */
  readonly truncatedAsked: number[]
  readonly truncatedConfirmed: number[]
  readonly nextSequence: number[]
  /** Ever asked for. */
  purged = false

  constructor(name: string, kind: Kind, partitions: number) {
    this.name = name
    this.kind = kind
    this.partitions = partitions
    this.truncatedAsked = new Array<number>(partitions).fill(0)
    this.truncatedConfirmed = new Array<number>(partitions).fill(0)
    this.nextSequence = new Array<number>(partitions).fill(0)
  }

  add(entry: Entry): void {
    this.entries.push(entry)
    this.byId.set(entry.id, entry)
  }

  /** Somebody begins to read it, from the oldest record on. */
  subscribe(name: string): void {
    for (const entry of this.entries) if (this.mayBeFreed(entry)) entry.freeable = true
    this.subscriptions.add(name)
  }

  truncates(entry: Entry): boolean {
    return entry.offset < (this.truncatedAsked[entry.partition] ?? 0)
  }

  /** Whether it may have left its log. */
  mayBeFreed(entry: Entry): boolean {
    if (entry.freeable || entry.removed !== Doubt.No || this.truncates(entry)) return true
    if (this.kind === 'log' || this.subscriptions.size === 0) return false
    for (const name of this.subscriptions) if (entry.doneFor(name) === Doubt.No) return false
    return true
  }
}

/** A value that is replaced as a whole. */
export class Register {
  readonly name: string
  readonly #history: (string | undefined)[] = [undefined]
  #confirmed = 0

  constructor(name: string) {
    this.name = name
  }

  ask(value: string | undefined): number {
    return this.#history.push(value) - 1
  }

  confirm(index: number): void {
    this.#confirmed = Math.max(this.#confirmed, index)
  }

  /** Null when `found` may be there after a restart, and from then on is. */
  adopt(found: string | undefined): string | null {
    const allowed = this.#history.slice(this.#confirmed)
    if (!allowed.includes(found)) return `${this.name} is ${found}; allowed: ${allowed.join(', ')}`
    this.#history.length = 0
    this.#history.push(found)
    this.#confirmed = 0
    return null
  }
}

export class Model {
  /** Every life of every topic that may still be there. */
  topics: Topic[] = []
  scheduled: Entry[] = []
  readonly byId = new Map<string, Entry>()
  transactions: Transaction[] = []
  readonly registers = new Map<string, Register>()

  /** The topic of this name as the running broker has it. */
  current(name: string): Topic | undefined {
    return this.topics.findLast((topic) => topic.name === name && topic.deleted === Doubt.No)
  }

  register(name: string): Register {
    let register = this.registers.get(name)
    if (register === undefined) {
      register = new Register(name)
      this.registers.set(name, register)
    }
    return register
  }
}

/** What must be true is not. */
export class Violation extends Error {}

export function must(holds: boolean, what: () => string): asserts holds {
  if (!holds) throw new Violation(what())
}

/** The text of a record: its id, and as much filler as makes up its size, so that a byte out of place is seen. */
export function payloadOf(id: string, bytes: number): Buffer {
  const unit = `${id};`
  return Buffer.from(unit.repeat(Math.ceil(bytes / unit.length)).slice(0, Math.max(unit.length, bytes)), 'latin1')
}

export function idOf(payload: Buffer): string {
  const end = payload.indexOf(';')
  const id = payload.toString('latin1', 0, Math.max(0, end))
  must(
    end > 0 && payload.equals(payloadOf(id, payload.length)),
    () => `a record was changed: ${payload.toString('latin1', 0, 80)}`,
  )
  return id
}
