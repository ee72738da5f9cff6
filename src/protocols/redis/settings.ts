/** What CONFIG GET and SET know. Only what has an effect, or is true, is here; what cannot be changed says so. */
import { Glob } from './arguments.ts'
import { RedisError } from './errors.ts'

const mebibyte = 1024 * 1024
const maxMemoryDefault = 1024 * mebibyte

interface Setting {
  get(): string
  /** Absent: it cannot be changed. Throws a RedisError. */
  set?(value: string): void
}

export class Settings {
  /** What private keys may take, about; 0: no limit. */
  maxMemoryBytes = maxMemoryDefault
  /** Letters of the classes of events that are told, as `notify-keyspace-events` has them. */
  notifyEvents = ''
  /** A script that runs for longer lets others hear BUSY, ms. */
  busyReplyMs = 5000
  /** Of the slow log: the least time, microseconds (negative: nothing is kept), and how many entries. */
  slowMicroseconds = 10_000
  slowEntriesMax = 128
  /** A client that says nothing for so long is cut off, seconds; 0: never. */
  idleSeconds = 0
  readonly #settings: Map<string, Setting>

  constructor() {
    const fixed = (value: string): Setting => ({ get: () => value })
    const number = (get: () => number, set: (value: number) => void, min: number): Setting => ({
      get: () => String(get()),
      set: (value) => {
        if (!/^-?\d+$/.test(value)) throw new Error("argument couldn't be parsed into an integer")
        if (Number(value) < min) throw new Error(`argument must be between ${min} and ${Number.MAX_SAFE_INTEGER} inclusive`)
        set(Number(value))
      },
    })
    const busy = number(
      () => this.busyReplyMs,
      (value) => {
        this.busyReplyMs = value
      },
      0,
    )
    this.#settings = new Map<string, Setting>([
      ['maxmemory', { get: () => String(this.maxMemoryBytes), set: (value) => (this.maxMemoryBytes = parseMemory(value)) }],
      ['maxmemory-policy', onlyAs('noeviction')],
      [
        'notify-keyspace-events',
        { get: () => formatEvents(this.notifyEvents), set: (value) => (this.notifyEvents = parseEvents(value)) },
      ],
      ['busy-reply-threshold', busy],
      ['lua-time-limit', busy],
      [
        'slowlog-log-slower-than',
        number(
          () => this.slowMicroseconds,
          (value) => (this.slowMicroseconds = value),
          -1,
        ),
      ],
      [
        'slowlog-max-len',
        number(
          () => this.slowEntriesMax,
          (value) => (this.slowEntriesMax = value),
          0,
        ),
      ],
      ['appendonly', fixed('yes')],
      ['appendfsync', fixed('always')],
      ['save', fixed('')],
      ['databases', fixed('16')],
      [
        'timeout',
        number(
          () => this.idleSeconds,
          (value) => {
            this.idleSeconds = value
          },
          0,
        ),
      ],
      ['maxclients', fixed('10000')],
      ['cluster-enabled', fixed('no')],
      ['proto-max-bulk-len', fixed(String(16 * mebibyte))],
      ['hash-max-listpack-entries', fixed('128')],
      ['hash-max-listpack-value', fixed('64')],
      ['set-max-intset-entries', fixed('512')],
      ['set-max-listpack-entries', fixed('128')],
      ['set-max-listpack-value', fixed('64')],
      ['zset-max-listpack-entries', fixed('128')],
      ['zset-max-listpack-value', fixed('64')],
      ['list-max-listpack-size', fixed('-2')],
      ['stream-node-max-entries', fixed('100')],
      ['latency-monitor-threshold', onlyAs('0')],
      ['requirepass', onlyAs('')],
    ])
  }

  matching(pattern: string): [name: string, value: string][] {
    const glob = new Glob(pattern.toLowerCase())
    return [...this.#settings].filter(([name]) => glob.matches(name)).map(([name, { get }]) => [name, get()])
  }

  set(name: string, value: string): void {
    const setting = this.#settings.get(name.toLowerCase())
    if (setting === undefined) throw new RedisError(`ERR Unknown option or number of arguments for CONFIG SET - '${name}'`)
    if (setting.set === undefined) {
      if (setting.get() === value) return
      throw new RedisError(`ERR CONFIG SET failed (possibly related to argument '${name}') - can't set immutable config`)
    }
    try {
      setting.set(value)
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause)
      throw new RedisError(`ERR CONFIG SET failed (possibly related to argument '${name}') - ${reason}`)
    }
  }
}

function onlyAs(only: string): Setting {
  return {
    get: () => only,
    set: (value) => {
      if (value !== only)
        throw new Error(only === '' ? 'it cannot be set here' : `argument(s) must be one of the following: ${only}`)
    },
  }
}

const units: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  k: 1000,
  kb: 1024,
  m: 1e6,
  mb: mebibyte,
  g: 1e9,
  gb: 1024 * mebibyte,
}

function parseMemory(value: string): number {
  const match = /^(\d+)([a-z]*)$/i.exec(value)
  const unit = units[match?.[2]?.toLowerCase() ?? '']
  if (match === null || unit === undefined) throw new Error('argument must be a memory value')
  return Number(match[1]) * unit
}

/** All that `A` stands for. */
const allEvents = 'g$lshzxetd'
const knownEvents = `${allEvents}KEAmn`

/** As stored: each letter once, `A` spelled out. */
function parseEvents(value: string): string {
  let letters = ''
  for (const letter of value) {
    if (!knownEvents.includes(letter)) throw new Error("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")
    for (const each of letter === 'A' ? allEvents : letter) if (!letters.includes(each)) letters += each
  }
  return letters
}

/** In Redis's order. */
function formatEvents(letters: string): string {
  const all = [...allEvents].every((letter) => letters.includes(letter))
  let text = all ? 'A' : [...'g$lshzxetd'].filter((letter) => letters.includes(letter)).join('')
  for (const letter of 'KEmn') if (letters.includes(letter)) text += letter
  return text
}
