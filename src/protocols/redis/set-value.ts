/** A set of members. */
import { IndexedMap } from './indexed-map.ts'

const memberOverheadBytes = 32
/** As Redis's encodings have it: for OBJECT ENCODING. What was outgrown stays so. */
const integersMax = 512
const compactEntriesMax = 128
const compactBytesMax = 64

export class SetValue {
  readonly type = 'set'
  readonly #members = new IndexedMap<true>()
  bytes = 0
  encoding: 'intset' | 'listpack' | 'hashtable' = 'intset'

  get length(): number {
    return this.#members.size
  }

  get members(): IndexedMap<true> {
    return this.#members
  }

  /** Members as they are; not to be changed. */
  list(): readonly string[] {
    return this.#members.keys()
  }

  has(member: string): boolean {
    return this.#members.has(member)
  }

  add(member: string): boolean {
    if (!this.#members.set(member, true)) return false
    this.bytes += memberOverheadBytes + member.length
    if (this.encoding !== 'hashtable') this.#outgrow(member)
    return true
  }

  delete(member: string): boolean {
    if (!this.#members.delete(member)) return false
    this.bytes -= memberOverheadBytes + member.length
    return true
  }

  copy(): SetValue {
    const copy = new SetValue()
    for (const member of this.list()) copy.add(member)
    copy.encoding = this.encoding
    return copy
  }

  #outgrow(member: string): void {
    if (this.encoding === 'intset') {
      if (isInteger64(member) && this.length <= integersMax) return
      this.encoding = 'listpack'
      if (this.length > 1 && this.list().some((other) => other.length > compactBytesMax)) this.encoding = 'hashtable'
    }
    if (this.length > compactEntriesMax || member.length > compactBytesMax) this.encoding = 'hashtable'
  }
}

/** Whether Redis would store it as a 64-bit integer. */
export function isInteger64(text: string): boolean {
  if (!/^(0|-?[1-9]\d{0,18})$/.test(text)) return false
  if (text.length < 18) return true
  const value = BigInt(text)
  return BigInt.asIntN(64, value) === value
}
