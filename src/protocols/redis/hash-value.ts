/** A hash: fields and what they hold, each with a time to live of its own if it was given one. */
import { IndexedMap } from './indexed-map.ts'

const fieldOverheadBytes = 48
/** As Redis's compact encoding has it: for OBJECT ENCODING. Once outgrown it stays so. */
const compactEntriesMax = 128
const compactBytesMax = 64

export class HashValue {
  readonly type = 'hash'
  readonly #fields = new IndexedMap<string>()
  #expires: Map<string, number> | null = null
  /** The earliest time of a field; Infinity: none. May be too early. */
  nextExpiry = Infinity
  bytes = 0
  isCompact = true

  get length(): number {
    return this.#fields.size
  }

  get fields(): IndexedMap<string> {
    return this.#fields
  }

  has(field: string): boolean {
    return this.#fields.has(field)
  }

  get(field: string): string | undefined {
    return this.#fields.get(field)
  }

  set(field: string, content: string): boolean {
    const present = this.#fields.get(field)
    this.bytes += present === undefined ? fieldOverheadBytes + field.length + content.length : content.length - present.length
    this.#expires?.delete(field)
    const isNew = this.#fields.set(field, content)
    if (this.isCompact)
      this.isCompact = this.length <= compactEntriesMax && field.length <= compactBytesMax && content.length <= compactBytesMax
    return isNew
  }

  delete(field: string): boolean {
    const present = this.#fields.get(field)
    if (present === undefined) return false
    this.#fields.delete(field)
    this.#expires?.delete(field)
    this.bytes -= fieldOverheadBytes + field.length + present.length
    return true
  }

  /** undefined: the field stays. */
  expiryOf(field: string): number | undefined {
    return this.#expires?.get(field)
  }

  get hasExpiries(): boolean {
    return this.#expires !== null && this.#expires.size > 0
  }

  /** `at` 0: the field stays. */
  expire(field: string, at: number): void {
    if (at === 0) {
      this.#expires?.delete(field)
      return
    }
    this.#expires ??= new Map()
    this.#expires.set(field, at)
    this.nextExpiry = Math.min(this.nextExpiry, at)
  }

  /** Fields whose time has come; finds the next time anew for when they are gone. */
  dueFields(now: number): string[] {
    const due: string[] = []
    this.nextExpiry = Infinity
    for (const [field, at] of this.#expires ?? []) {
      if (at <= now) due.push(field)
      else this.nextExpiry = Math.min(this.nextExpiry, at)
    }
    return due
  }

  copy(): HashValue {
    const copy = new HashValue()
    for (const [place, field] of this.#fields.keys().entries()) copy.set(field, this.#fields.valueAt(place) ?? '')
    for (const [field, at] of this.#expires ?? []) copy.expire(field, at)
    copy.isCompact = this.isCompact
    return copy
  }
}
