/**
 * What happened to private keys, as bytes: a journal's entry is the effects of one command, transaction or script. Not the command itself, which may be random or
 * depend on the time; and each effect can be repeated on whatever is there, so that a snapshot may be taken while the keys change.
 *
 *   entry = version *effect     effect = kind database key …     key, bytes = length (varint) bytes     number = f64
 */
import { withRoom } from '../../lib/growing.ts'
import type { Database, Value } from './database.ts'
import { HashValue } from './hash-value.ts'
import { SetValue } from './set-value.ts'
import { StringValue } from './string-value.ts'

export const Effect = {
  String: 1,
  Remove: 2,
  Expiry: 3,
  Patch: 4,
  HashSet: 5,
  HashDelete: 6,
  HashExpire: 7,
  SetAdd: 8,
  SetRemove: 9,
  SortedAdd: 10,
  SortedRemove: 11,
  Flush: 12,
  Swap: 13,
  Library: 14,
} as const
export type Effect = (typeof Effect)[keyof typeof Effect]

const version = 1
const bufferBytesFirst = 64 * 1024
const bufferBytesKept = 1024 * 1024
/** Of one entry, about; the effects of one command may take several. */
const entryBytesMax = 8 * 1024 * 1024

export class EffectLog {
  #buffer = Buffer.allocUnsafe(bufferBytesFirst)
  #used = 0
  /** Entries that are full, of the command at hand. */
  #full: Buffer[] = []
  /** Off while the journal is read again. */
  recording = false

  get isEmpty(): boolean {
    return this.#used === 0 && this.#full.length === 0
  }

  /** What was recorded since the last call, as entries. The last may be a view that is valid until the next effect. */
  take(): readonly Buffer[] {
    const entries = this.#full
    if (this.#used > 0) entries.push(this.#buffer.subarray(0, this.#used))
    this.#full = []
    this.#used = 0
    if (this.#buffer.length > bufferBytesKept) this.#buffer = Buffer.allocUnsafe(bufferBytesFirst)
    return entries
  }

  string(db: number, key: string, content: string | Buffer, expiresAt: number): void {
    if (!this.recording) return
    this.#begin(Effect.String, db, key)
    this.#bytes(content)
    this.#number(expiresAt)
  }

  key(effect: typeof Effect.Remove | typeof Effect.Flush, db: number, key: string): void {
    if (this.recording) this.#begin(effect, db, key)
  }

  expiry(db: number, key: string, expiresAt: number): void {
    if (!this.recording) return
    this.#begin(Effect.Expiry, db, key)
    this.#number(expiresAt)
  }

  patch(db: number, key: string, at: number, bytes: Buffer): void {
    if (!this.recording) return
    this.#begin(Effect.Patch, db, key)
    this.#number(at)
    this.#bytes(bytes)
  }

  field(db: number, key: string, field: string, content: string): void {
    if (!this.recording) return
    this.#begin(Effect.HashSet, db, key)
    this.#bytes(field)
    this.#bytes(content)
  }

  member(
    effect: typeof Effect.HashDelete | typeof Effect.SetAdd | typeof Effect.SetRemove | typeof Effect.SortedRemove,
    db: number,
    key: string,
    member: string,
  ): void {
    if (!this.recording) return
    this.#begin(effect, db, key)
    this.#bytes(member)
  }

  memberNumber(
    effect: typeof Effect.HashExpire | typeof Effect.SortedAdd,
    db: number,
    key: string,
    member: string,
    value: number,
  ): void {
    if (!this.recording) return
    this.#begin(effect, db, key)
    this.#bytes(member)
    this.#number(value)
  }

  swap(db: number, other: number): void {
    if (!this.recording) return
    this.#begin(Effect.Swap, db, '')
    this.#number(other)
  }

  /** A library of functions; empty code: it is gone. An empty name: all are. */
  library(name: string, code: string): void {
    if (!this.recording) return
    this.#begin(Effect.Library, 0, name)
    this.#bytes(code)
  }

  /** A whole value, in the place of whatever was there. */
  whole(db: number, key: string, value: Value, expiresAt: number): void {
    if (!this.recording) return
    if (value instanceof StringValue) return this.string(db, key, value.content, expiresAt)
    this.key(Effect.Remove, db, key)
    if (value instanceof HashValue) {
      for (const [place, field] of value.fields.keys().entries()) {
        this.field(db, key, field, value.fields.valueAt(place) ?? '')
        const at = value.expiryOf(field)
        if (at !== undefined) this.memberNumber(Effect.HashExpire, db, key, field, at)
      }
    } else if (value instanceof SetValue) for (const member of value.list()) this.member(Effect.SetAdd, db, key, member)
    else value.range(0, value.length - 1, false, (member, score) => this.memberNumber(Effect.SortedAdd, db, key, member, score))
    if (expiresAt > 0) this.expiry(db, key, expiresAt)
  }

  #begin(effect: Effect, db: number, key: string): void {
    if (this.#used > entryBytesMax) {
      this.#full.push(this.#buffer.subarray(0, this.#used))
      this.#buffer = Buffer.allocUnsafe(bufferBytesFirst)
      this.#used = 0
    }
    this.#room(8)
    if (this.#used === 0) this.#buffer[this.#used++] = version
    this.#buffer[this.#used++] = effect
    this.#buffer[this.#used++] = db
    this.#bytes(key)
  }

  #bytes(bytes: string | Buffer): void {
    const { length } = bytes
    this.#room(length + 8)
    const buffer = this.#buffer
    let at = this.#used
    let rest = length
    for (; rest >= 128; rest = Math.floor(rest / 128)) buffer[at++] = (rest % 128) | 128
    buffer[at++] = rest
    if (typeof bytes === 'string') buffer.write(bytes, at, length, 'latin1')
    else bytes.copy(buffer, at)
    this.#used = at + length
  }

  #number(value: number): void {
    this.#room(8)
    this.#used = this.#buffer.writeDoubleLE(value, this.#used)
  }

  #room(bytes: number): void {
    this.#buffer = withRoom(this.#buffer, this.#used, bytes)
  }
}

/** Repeats what an entry says. Throws where it was written by a later version, or is none. */
export function repeatEffects(
  entry: Buffer,
  databases: readonly Database[],
  library: (name: string, code: string) => void,
): void {
  const reader = new EffectReader(entry)
  if (reader.byte() !== version) throw new Error('the journal of the Redis keys was written by a later version')
  while (!reader.atEnd) {
    const effect = reader.byte()
    const index = reader.byte()
    const key = reader.text()
    const db = databases[index]
    if (db === undefined)
      throw new Error(`the journal of the Redis keys names a database ${index}, and there are ${databases.length}`)
    switch (effect) {
      case Effect.String:
        db.putString(key, reader.text(), reader.number())
        break
      case Effect.Remove:
        db.remove(key)
        break
      case Effect.Expiry:
        db.setExpiry(key, reader.number())
        break
      case Effect.Patch:
        db.patchString(key, reader.number(), reader.bytes())
        break
      case Effect.HashSet:
        db.hashSet(key, reader.text(), reader.text())
        break
      case Effect.HashDelete:
        db.hashDelete(key, reader.text())
        break
      case Effect.HashExpire:
        db.hashExpire(key, reader.text(), reader.number())
        break
      case Effect.SetAdd:
        db.setAdd(key, reader.text())
        break
      case Effect.SetRemove:
        db.setRemove(key, reader.text())
        break
      case Effect.SortedAdd:
        db.sortedAdd(key, reader.text(), reader.number())
        break
      case Effect.SortedRemove:
        db.sortedRemove(key, reader.text())
        break
      case Effect.Flush:
        db.clear()
        break
      case Effect.Swap:
        db.swapValues(databases[reader.number()] as Database) // written by swap
        break
      case Effect.Library:
        library(key, reader.text())
        break
      default:
        throw new Error(`the journal of the Redis keys holds an effect of unknown kind ${effect}`)
    }
  }
}

class EffectReader {
  readonly #entry: Buffer
  #at = 0

  constructor(entry: Buffer) {
    this.#entry = entry
  }

  get atEnd(): boolean {
    return this.#at >= this.#entry.length
  }

  byte(): number {
    return this.#entry.readUInt8(this.#at++)
  }

  bytes(): Buffer {
    let length = 0
    for (let unit = 1; ; unit *= 128) {
      const byte = this.byte()
      length += (byte & 127) * unit
      if (byte < 128) break
    }
    const from = this.#at
    this.#at += length
    if (this.#at > this.#entry.length) throw new Error('an entry of the journal of the Redis keys ends too early')
    return this.#entry.subarray(from, this.#at)
  }

  text(): string {
    return this.bytes().toString('latin1')
  }

  number(): number {
    const value = this.#entry.readDoubleLE(this.#at)
    this.#at += 8
    return value
  }
}
