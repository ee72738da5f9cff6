/** What a publisher sent and what the broker confirmed of it, and the check of what is found afterwards. */
import assert from 'node:assert/strict'

export const KEYS = 4

export interface Ledger {
  readonly name: string
  /** The next number of each key. A number is sent once: what was not confirmed is not sent again by us, only by a client library. */
  readonly next: number[]
  /** Ids, and which publisher sent them: the first is 1. */
  readonly sent: Map<string, number>
  publishers: number
  readonly confirmed: Set<string>
}

/** A publisher that runs until it is stopped or its connection dies. */
export interface Publisher {
  stop(): Promise<void>
}

export function newLedger(name: string): Ledger {
  return { name, next: new Array<number>(KEYS).fill(0), sent: new Map(), publishers: 0, confirmed: new Set() }
}

/** A publisher begins: what is sent from now on is its. */
export function begin(ledger: Ledger): void {
  ledger.publishers++
}

/** Takes the next number of the key and notes it as sent. */
export function send(ledger: Ledger, key: number): string {
  const number = ledger.next[key] ?? 0
  ledger.next[key] = number + 1
  const id = `${key}:${number}`
  ledger.sent.set(id, ledger.publishers)
  return id
}

/** `found` in the order of the log. */
export function checkLedger(ledger: Ledger, found: readonly string[]): void {
  const times = new Map<string, number>()
  for (const id of found) times.set(id, (times.get(id) ?? 0) + 1)
  const missing = [...ledger.confirmed].filter((id) => !times.has(id))
  assert.deepEqual(
    missing.slice(0, 20),
    [],
    `${ledger.name}: ${missing.length} confirmed records are missing of ${ledger.confirmed.size}; found ${found.length}`,
  )
  const strangers = [...times.keys()].filter((id) => !ledger.sent.has(id))
  assert.deepEqual(strangers.slice(0, 20), [], `${ledger.name}: records that nobody sent`)
  // What was confirmed was confirmed at its first sending, so a second copy is the broker's own doing.
  const twice = [...times].filter(([id, count]) => 1 < count && ledger.confirmed.has(id)).map(([id]) => id)
  assert.deepEqual(twice.slice(0, 20), [], `${ledger.name}: confirmed records are there twice`)
  // Order is that of each publisher. What one had not been told of when it was cut off may still come behind what the next one sent.
  const last = new Map<string, number>()
  const newest = new Array<number>(KEYS).fill(0)
  for (const id of found) {
    const [key = 0, number = 0] = id.split(':').map(Number)
    const publisher = ledger.sent.get(id) ?? 0
    const line = `${key} of publisher ${publisher}`
    const before = last.get(line) ?? -1
    assert.ok(before < number, `${ledger.name}: key ${line} has ${number} after ${before}`)
    last.set(line, number)
    const late = publisher < (newest[key] ?? 0) && ledger.confirmed.has(id)
    assert.ok(!late, `${ledger.name}: key ${key} has ${number}, which was confirmed, after what the next publisher sent`)
    newest[key] = Math.max(publisher, newest[key] ?? 0)
  }
}
