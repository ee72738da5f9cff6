/**
 * One numbered database: keys with their values and times to live. All changes of private types go through the verbs here; each verb changes the memory
 * and tells the journal (journal.ts) the same, so that reading the journal again repeats exactly what happened.
 */
import type { KeyProvider } from './command.ts'
import { Effect, type EffectLog } from './effects.ts'
import { RedisError, wrongType } from './errors.ts'
import { ExpiryQueue } from './expiry-queue.ts'
import { HashValue } from './hash-value.ts'
import { IndexedMap } from './indexed-map.ts'
import { SetValue } from './set-value.ts'
import { SortedSet } from './sorted-set.ts'
import { StringValue } from './string-value.ts'

export type Value = StringValue | HashValue | SetValue | SortedSet

/** About what a key takes beside its own bytes and its value's. */
const keyOverheadBytes = 80
/** Of providers' keys that one SWAPDB takes from a database: they are in memory meanwhile, and in one frame of the write-ahead log. */
const liftedBytesMax = 16 * 1024 * 1024

/** What a database tells the server around it. */
export interface DatabaseHost {
  /** The clock, standing still while a command runs. */
  readonly now: number
  readonly effects: EffectLog
  readonly providers: readonly KeyProvider[]
  /** A key was changed in any way. */
  touched(db: Database, key: string): void
  /** A key may have something for clients that wait for it. */
  ready(db: Database, key: string): void
  /** For keyspace notifications; `kind` is the letter of the class of events. */
  notify(db: Database, kind: string, event: string, key: string): void
  /** Something is due at that time. */
  expires(at: number): void
  expired(count: number): void
}

export class Database {
  readonly index: number
  readonly #host: DatabaseHost
  readonly #values = new IndexedMap<Value>()
  readonly #expires = new Map<string, number>()
  readonly #due = new ExpiryQueue()
  /** Hashes with fields that expire, by the first one's time. */
  readonly #fieldsDue = new ExpiryQueue()
  /** Bytes of keys and values, about. */
  bytes = 0

  constructor(index: number, host: DatabaseHost) {
    this.index = index
    this.#host = host
  }

  // ------------------------------------------------------------------------------------------------------------------ looking

  /** The value of a private type; undefined where there is none, or the key holds a foreign one. Expires it first. */
  get(key: string): Value | undefined {
    const value = this.#values.get(key)
    if (this.#expires.size > 0 && this.#isExpired(key)) {
      this.#expire(key)
      return undefined
    }
    if (value instanceof HashValue && value.nextExpiry <= this.#host.now) {
      this.#expireFields(key, value)
      return this.#values.get(key)
    }
    return value
  }

  /** These throw WRONGTYPE for a key of another type. */
  string(key: string): StringValue | undefined {
    const value = this.get(key)
    if (value instanceof StringValue) return value
    if (value !== undefined || this.provider(key) !== undefined) throw wrongType()
    return undefined
  }

  hash(key: string): HashValue | undefined {
    const value = this.get(key)
    if (value instanceof HashValue) return value
    if (value !== undefined || this.provider(key) !== undefined) throw wrongType()
    return undefined
  }

  set(key: string): SetValue | undefined {
    const value = this.get(key)
    if (value instanceof SetValue) return value
    if (value !== undefined || this.provider(key) !== undefined) throw wrongType()
    return undefined
  }

  sortedSet(key: string): SortedSet | undefined {
    const value = this.get(key)
    if (value instanceof SortedSet) return value
    if (value !== undefined || this.provider(key) !== undefined) throw wrongType()
    return undefined
  }

  /** For providers: throws WRONGTYPE where the key holds anything but `type`. */
  mustBe(key: string, type: string): void {
    const present = this.typeOf(key)
    if (present !== undefined && present !== type) throw wrongType()
  }

  /** Which provider holds the key, if one does and it has not expired. */
  provider(key: string): KeyProvider | undefined {
    for (const provider of this.#host.providers) {
      if (!provider.exists(this, key)) continue
      if (!this.#isExpired(key)) return provider
      this.#expire(key)
      return undefined
    }
    return undefined
  }

  exists(key: string): boolean {
    return this.get(key) !== undefined || this.provider(key) !== undefined
  }

  typeOf(key: string): string | undefined {
    return this.get(key)?.type ?? this.provider(key)?.type
  }

  /** When a key goes, ms since the epoch; undefined: it stays. */
  expiryOf(key: string): number | undefined {
    return this.#expires.get(key)
  }

  get size(): number {
    let size = this.#values.size
    for (const provider of this.#host.providers) size += provider.count(this)
    return size
  }

  get expiring(): number {
    return this.#expires.size
  }

  /** All keys that exist. */
  *keys(): IterableIterator<string> {
    for (let at = this.#values.size - 1; at >= 0; at--) {
      const key = this.#values.keyAt(at)
      if (key !== undefined && !this.#isExpired(key)) yield key
    }
    for (const provider of this.#host.providers) for (const key of provider.keys(this)) if (!this.#isExpired(key)) yield key
  }

  /**
   * A part of all keys, from a cursor on (0 begins); returns the next cursor, 0 at the end. Keys there all the time are met at least once. Keys of
   * providers come with the first part, all of them: they are as many as topics.
   */
  scan(cursor: number, count: number, visit: (key: string) => void): number {
    if (cursor === 0)
      for (const provider of this.#host.providers) for (const key of provider.keys(this)) if (!this.#isExpired(key)) visit(key)
    return this.#values.scan(cursor, count, (key) => {
      if (!this.#isExpired(key)) visit(key)
    })
  }

  randomKey(): string | undefined {
    const own = this.#values.size
    let foreign = 0
    for (const provider of this.#host.providers) foreign += provider.count(this)
    for (let tries = 0; tries < 100 && own + foreign > 0; tries++) {
      const at = Math.floor(Math.random() * (own + foreign))
      const key = at < own ? this.#values.keyAt(at) : [...this.keys()].at(-1 - (at - own))
      if (key !== undefined && this.exists(key)) return key
    }
    return undefined
  }

  // ----------------------------------------------------------------------------------------------------------------- changing

  /** Sets a string, whatever the key held; `expiresAt` 0: it stays. */
  putString(key: string, content: string | Buffer, expiresAt: number): void {
    this.#host.effects.string(this.index, key, content, expiresAt)
    const present = this.#values.get(key)
    if (present instanceof StringValue) {
      this.bytes += content.length - present.length
      present.content = content
    } else this.#replace(key, new StringValue(content))
    this.#setExpiry(key, expiresAt)
    this.touched(key)
  }

  /** Changes a part of a string that exists, or makes it; what is between its end and `at` is zeros. Keeps its time to live. */
  patchString(key: string, at: number, bytes: Buffer): void {
    this.#host.effects.patch(this.index, key, at, bytes)
    let value = this.#values.get(key)
    if (!(value instanceof StringValue)) {
      value = new StringValue('')
      this.#replace(key, value)
    }
    const before = value.length
    value.patch(at, bytes)
    this.bytes += value.length - before
    this.touched(key)
  }

  /** Puts a whole value in the place of whatever there is. It is empty: the key goes. */
  put(key: string, value: Value, expiresAt: number): void {
    if (value.length === 0 && value.type !== 'string') {
      this.remove(key)
      return
    }
    this.#host.effects.whole(this.index, key, value, expiresAt)
    this.#replace(key, value)
    this.#setExpiry(key, expiresAt)
    if (value instanceof HashValue) this.#watchFields(key, value)
    this.touched(key)
  }

  /** False when there was none. */
  remove(key: string): boolean {
    const value = this.#values.get(key)
    if (value === undefined) {
      const provider = this.#providerOf(key)
      if (provider === undefined) return false
      provider.remove(this, key)
      if (this.#expires.delete(key)) this.#host.effects.expiry(this.index, key, 0)
    } else {
      this.#host.effects.key(Effect.Remove, this.index, key)
      this.#drop(key, value)
    }
    this.touched(key)
    return true
  }

  /** A key of a provider was or became none by itself, with its last element: so does its time to live. */
  vanished(key: string): void {
    if (this.#expires.size > 0 && this.#expires.delete(key)) this.#host.effects.expiry(this.index, key, 0)
  }

  /** `expiresAt` 0: it stays. The key exists. */
  setExpiry(key: string, expiresAt: number): void {
    this.#host.effects.expiry(this.index, key, expiresAt)
    this.#setExpiry(key, expiresAt)
    this.touched(key)
  }

  /** Gives a key that exists another name, with its time to live; what had that name is gone already. */
  rename(key: string, toDb: Database, to: string): void {
    const expiresAt = this.#expires.get(key) ?? 0
    const value = this.#values.get(key)
    if (value === undefined) {
      this.#providerOf(key)?.rename(this, key, toDb, to)
      if (expiresAt > 0) {
        this.setExpiry(key, 0)
        toDb.setExpiry(to, expiresAt)
      }
    } else {
      this.remove(key)
      toDb.put(to, value, expiresAt)
    }
    this.touched(key)
    toDb.touched(to)
    toDb.ready(to)
  }

  /** Sets a field of a hash, which is made where there is none. True when the field is new. It keeps no time to live. */
  hashSet(key: string, field: string, content: string): boolean {
    this.#host.effects.field(this.index, key, field, content)
    const hash = this.#own(key, HashValue)
    const before = hash.bytes
    const isNew = hash.set(field, content)
    this.bytes += hash.bytes - before
    this.touched(key)
    return isNew
  }

  /** The last field takes the hash with it. */
  hashDelete(key: string, field: string): boolean {
    const hash = this.#values.get(key)
    if (!(hash instanceof HashValue) || !hash.has(field)) return false
    this.#host.effects.member(Effect.HashDelete, this.index, key, field)
    const before = hash.bytes
    hash.delete(field)
    this.bytes += hash.bytes - before
    if (hash.length === 0) this.#drop(key, hash)
    this.touched(key)
    return true
  }

  /** `expiresAt` 0: it stays. The field exists. */
  hashExpire(key: string, field: string, expiresAt: number): void {
    const hash = this.#values.get(key)
    if (!(hash instanceof HashValue)) return
    this.#host.effects.memberNumber(Effect.HashExpire, this.index, key, field, expiresAt)
    hash.expire(field, expiresAt)
    this.#watchFields(key, hash)
    this.touched(key)
  }

  setAdd(key: string, member: string): boolean {
    const set = this.#own(key, SetValue)
    const before = set.bytes
    if (!set.add(member)) return false
    this.#host.effects.member(Effect.SetAdd, this.index, key, member)
    this.bytes += set.bytes - before
    this.touched(key)
    return true
  }

  setRemove(key: string, member: string): boolean {
    const set = this.#values.get(key)
    if (!(set instanceof SetValue)) return false
    const before = set.bytes
    if (!set.delete(member)) return false
    this.#host.effects.member(Effect.SetRemove, this.index, key, member)
    this.bytes += set.bytes - before
    if (set.length === 0) this.#drop(key, set)
    this.touched(key)
    return true
  }

  /** True when the member is new. */
  sortedAdd(key: string, member: string, score: number): boolean {
    this.#host.effects.memberNumber(Effect.SortedAdd, this.index, key, member, score)
    const sorted = this.#own(key, SortedSet)
    const before = sorted.bytes
    const isNew = sorted.add(member, score)
    this.bytes += sorted.bytes - before
    this.touched(key)
    this.ready(key)
    return isNew
  }

  sortedRemove(key: string, member: string): boolean {
    const sorted = this.#values.get(key)
    if (!(sorted instanceof SortedSet)) return false
    const before = sorted.bytes
    if (!sorted.delete(member)) return false
    this.#host.effects.member(Effect.SortedRemove, this.index, key, member)
    this.bytes += sorted.bytes - before
    if (sorted.length === 0) this.#drop(key, sorted)
    this.touched(key)
    return true
  }

  /** Removes everything, keys of providers too. */
  flush(): void {
    for (const provider of this.#host.providers)
      for (const key of [...provider.keys(this)]) if (provider.owns?.(this, key) !== false) this.remove(key)
    for (const key of this.#values.keys()) this.#host.touched(this, key)
    this.#host.effects.key(Effect.Flush, this.index, '')
    this.clear()
  }

  /** Without telling anybody. */
  clear(): void {
    this.#values.clear()
    this.#expires.clear()
    this.#due.clear()
    this.#fieldsDue.clear()
    this.bytes = 0
  }

  /** Exchanges contents with another database. Throws, with nothing changed, where what others made is in one of them, or providers' keys hold too much. */
  swap(other: Database): void {
    const lifted = [...this.#lift(other), ...other.#lift(this)]
    for (const { provider, from, key } of lifted) {
      provider.remove(from, key)
      this.#host.touched(from, key)
    }
    this.swapValues(other)
    for (const { put, to, key } of lifted) {
      put()
      this.#host.touched(to, key)
    }
    for (const { to, key } of lifted) this.#host.ready(to, key)
  }

  /** The same without the keys of providers; their times to live are exchanged. */
  swapValues(other: Database): void {
    this.#host.effects.swap(this.index, other.index)
    for (const key of this.#values.keys()) this.#host.touched(this, key)
    for (const key of other.#values.keys()) this.#host.touched(other, key)
    this.#values.swap(other.#values)
    swapMaps(this.#expires, other.#expires)
    this.#due.swap(other.#due)
    this.#fieldsDue.swap(other.#fieldsDue)
    const { bytes } = this
    this.bytes = other.bytes
    other.bytes = bytes
    for (const db of [this, other]) for (const key of db.#values.keys()) this.#host.touched(db, key)
    for (const db of [this, other]) for (const key of db.#values.keys()) this.#host.ready(db, key)
  }

  /** The keys of providers, read, to be put elsewhere. */
  #lift(to: Database): { provider: KeyProvider; from: Database; to: Database; key: string; put: () => void }[] {
    const lifted = []
    let bytes = 0
    for (const provider of this.#host.providers) {
      for (const key of provider.keys(this)) {
        if (provider.owns?.(this, key) === false)
          throw new RedisError(
            `ERR the ${provider.type} '${Buffer.from(key, 'latin1')}' was made by others, and stays in its namespace`,
          )
        bytes += provider.bytes(this, key)
        if (bytes > liftedBytesMax)
          throw new RedisError(`ERR lists and streams of more than ${liftedBytesMax} bytes cannot go to another database at once`)
        lifted.push({ provider, from: this, to, key, put: provider.lift(this, key, to) })
      }
    }
    return lifted
  }

  /** A key was changed: whoever watches it hears, and the reply waits until all is durable. */
  touched(key: string): void {
    this.#host.touched(this, key)
  }

  /** Clients that wait for this key may find something. */
  ready(key: string): void {
    this.#host.ready(this, key)
  }

  notify(kind: string, event: string, key: string): void {
    this.#host.notify(this, kind, event, key)
  }

  // ----------------------------------------------------------------------------------------------------------------- expiring

  /** When the next key or field is due; Infinity: none. */
  get nextExpiry(): number {
    return Math.min(this.#due.next, this.#fieldsDue.next)
  }

  /** Removes what is due, at most `limit` keys. */
  expireDue(limit: number): void {
    const { now } = this.#host
    for (let count = 0; count < limit && this.#due.next <= now; count++) {
      const key = this.#due.take()
      if (this.#isExpired(key)) this.#expire(key)
    }
    for (let count = 0; count < limit && this.#fieldsDue.next <= now; count++) {
      const key = this.#fieldsDue.take()
      const hash = this.#values.get(key)
      if (hash instanceof HashValue && hash.nextExpiry <= now) this.#expireFields(key, hash)
    }
  }

  #isExpired(key: string): boolean {
    const at = this.#expires.get(key)
    return at !== undefined && at <= this.#host.now
  }

  #expire(key: string): void {
    if (!this.remove(key)) {
      this.#expires.delete(key)
      return
    }
    this.#host.expired(1)
    this.notify('x', 'expired', key)
  }

  #expireFields(key: string, hash: HashValue): void {
    const { now } = this.#host
    for (const field of hash.dueFields(now)) this.hashDelete(key, field)
    this.notify('h', 'hexpired', key)
    if (hash.length === 0) this.notify('g', 'del', key)
    else this.#watchFields(key, hash)
  }

  #watchFields(key: string, hash: HashValue): void {
    if (hash.nextExpiry === Infinity) return
    this.#fieldsDue.add(key, hash.nextExpiry)
    this.#host.expires(hash.nextExpiry)
  }

  #setExpiry(key: string, expiresAt: number): void {
    if (expiresAt === 0) {
      if (this.#expires.size > 0) this.#expires.delete(key)
      return
    }
    this.#expires.set(key, expiresAt)
    this.#due.add(key, expiresAt)
    this.#host.expires(expiresAt)
    this.#due.sweep(this.#expires.size, (due, at) => this.#expires.get(due) === at)
  }

  // ------------------------------------------------------------------------------------------------------------------ holding

  /** The value to change, made where there is none. Callers know that no other type is there. */
  #own<V extends Value>(key: string, kind: new () => V): V {
    const present = this.#values.get(key)
    if (present instanceof kind) return present
    const made = new kind()
    this.#replace(key, made)
    this.#host.notify(this, 'n', 'new', key)
    return made
  }

  #providerOf(key: string): KeyProvider | undefined {
    return this.#host.providers.find((provider) => provider.exists(this, key))
  }

  #replace(key: string, value: Value): void {
    const present = this.#values.get(key)
    if (present !== undefined) this.#drop(key, present)
    else this.#providerOf(key)?.remove(this, key)
    this.#values.set(key, value)
    this.bytes += keyOverheadBytes + key.length + value.bytes
  }

  #drop(key: string, value: Value): void {
    this.#values.delete(key)
    if (this.#expires.size > 0) this.#expires.delete(key)
    this.bytes -= keyOverheadBytes + key.length + value.bytes
  }

  /** For a snapshot: a part of all keys, as {@link scan}, as they are. A key of a provider has its time to live here alone, and no value. */
  contents(cursor: number, count: number, visit: (key: string, value: Value | undefined, expiresAt: number) => void): number {
    if (cursor === 0) for (const [key, at] of this.#expires) if (!this.#values.has(key)) visit(key, undefined, at)
    return this.#values.scan(cursor, count, (key, value) => visit(key, value, this.#expires.get(key) ?? 0))
  }
}

function swapMaps<K, V>(one: Map<K, V>, other: Map<K, V>): void {
  const kept = [...one]
  one.clear()
  for (const [key, value] of other) one.set(key, value)
  other.clear()
  for (const [key, value] of kept) other.set(key, value)
}
