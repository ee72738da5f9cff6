/** What a publisher sent and what the broker confirmed of it, and the check of what is found afterwards. */
import assert from 'node:assert/strict'

export const KEYS = 4

export interface Ledger {
  readonly name: string
  /** The next number of each key. A number is sent once: what was not confirmed is not sent again by us, only by a client library. */
  readonly next: number[]
  readonly sent: Set<string>
  readonly confirmed: Set<string>
}

/** A publisher that runs until it is stopped or its connection dies. */
export interface Publisher {
  stop(): Promise<void>
}

export function newLedger(name: string): Ledger {
  return { name, next: new Array<number>(KEYS).fill(0), sent: new Set(), confirmed: new Set() }
}

/** Takes the next number of the key and notes it as sent. */
export function send(ledger: Ledger, key: number): string {
  const number = ledger.next[key] ?? 0
  ledger.next[key] = number + 1
  const id = `${key}:${number}`
  ledger.sent.add(id)
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
  const last = new Array<number>(KEYS).fill(-1)
  for (const id of found) {
    const [key = 0, number = 0] = id.split(':').map(Number)
    assert.ok((last[key] ?? -1) < number, `${ledger.name}: key ${key} has ${number} after ${last[key]}`)
    last[key] = number
  }
}
