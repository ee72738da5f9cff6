/**
 * Finds among many addresses those that a pattern (lib/trie.ts) matches, in their order, without a look at each. It is made only where somebody looks,
 * a part with each look, so that no look takes long; until it is whole, and where there are few addresses, each is looked at. Eight to sixteen bytes an address.
 */
import { type Cursor, SortedKeys } from '../lib/sorted-keys.ts'
import { matcherOf } from '../lib/trie.ts'

/** Fewer are looked at one by one. */
const manyAddresses = 256
/** As many are put in order with each look while it is being made. */
const atOnce = 4096

/** A wildcard that begins a word after the words before it, and where addresses end that begin with these. */
const wildcard = /(^|\.)[*#](\.|$)/

/** The addresses themselves: a Map's iterators see what is added after they were made. */
export interface Addresses {
  readonly size: number
  has(address: string): boolean
  keys(): IterableIterator<string>
}

export class AddressIndex {
  readonly #addresses: Addresses
  readonly #sorted = new SortedKeys()
  /** What is not in order yet; null: all is. undefined: nobody has looked. */
  #rest: IterableIterator<string> | null | undefined

  constructor(addresses: Addresses) {
    this.#addresses = addresses
  }

  /** One that was not there. */
  added(address: string): void {
    if (this.#rest === null) this.#sorted.add(address)
  }

  removed(address: string): void {
    if (this.#rest !== undefined) this.#sorted.delete(address)
  }

  matching(pattern: string): string[] {
    const addresses = this.#addresses
    if (!wildcard.test(pattern)) return addresses.has(pattern) ? [pattern] : []
    if (pattern === '#') return [...addresses.keys()]
    if (addresses.size >= manyAddresses && this.#isWhole()) return search(this.#sorted, pattern)
    const matches = matcherOf(pattern)
    const found: string[] = []
    for (const address of addresses.keys()) if (matches(address)) found.push(address)
    return found
  }

  #isWhole(): boolean {
    if (this.#rest === null) return true
    this.#rest ??= this.#addresses.keys()
    for (let count = 0; count < atOnce; count++) {
      const next = this.#rest.next()
      if (next.done === true) {
        this.#rest = null
        return true
      }
      this.#sorted.add(next.value)
    }
    return false
  }
}

function search(sorted: SortedKeys, pattern: string): string[] {
  // Several `#` one after the other are one.
  const words = pattern.split('.').filter((word, at, all) => word !== '#' || all[at - 1] !== '#')
  const found: string[] = []
  new Search(sorted.cursor(), words, found).below('', 0)
  return found
}

/** What sorts behind all that begins with a prefix, which ends in a dot: `/` follows the dot. */
const behind = (prefix: string): string => `${prefix.slice(0, -1)}/`

class Search {
  readonly #cursor: Cursor
  readonly #words: readonly string[]
  readonly #found: string[]

  constructor(cursor: Cursor, words: readonly string[], found: string[]) {
    this.#cursor = cursor
    this.#words = words
    this.#found = found
  }

  /** Addresses that begin with `prefix` (empty, or ending in a dot) and whose words after it match those from `at` on. The cursor is not behind them. */
  below(prefix: string, at: number): void {
    const words = this.#words
    let place = at
    let begin = prefix
    for (let word = words[place]; word !== undefined && word !== '*' && word !== '#'; word = words[++place]) {
      if (place === words.length - 1) return this.#exactly(begin + word)
      begin += `${word}.`
    }
    if (words[place] === '#') return this.#anyNumber(begin, place, begin !== prefix)
    this.#each(begin, place)
  }

  #exactly(address: string): void {
    this.#cursor.seek(address)
    if (this.#cursor.key === address) this.#found.push(address)
  }

  /** `alone`: the words before, with none after them, were not looked at. */
  #anyNumber(begin: string, place: number, alone: boolean): void {
    const isLast = place === this.#words.length - 1
    if (isLast && alone) this.#exactly(begin.slice(0, -1))
    const matches = isLast ? null : matcherOf(this.#words.join('.'))
    for (this.#cursor.seek(begin); this.#cursor.key?.startsWith(begin) === true; this.#cursor.next())
      if (matches === null || matches(this.#cursor.key)) this.#found.push(this.#cursor.key)
  }

  /** One word of any kind at `place`. */
  #each(begin: string, place: number): void {
    const after = this.#words.length - 1 - place
    // It is enough where nothing has to follow.
    const mayEnd = after === 0 || (after === 1 && this.#words[place + 1] === '#')
    const cursor = this.#cursor
    cursor.seek(begin)
    for (let key = cursor.key; key?.startsWith(begin) === true; key = cursor.key) {
      const end = key.indexOf('.', begin.length)
      if (end < 0) {
        if (mayEnd) this.#found.push(key)
        cursor.next()
        continue
      }
      const group = key.slice(0, end + 1)
      if (after > 0) this.below(group, place + 1)
      cursor.seek(behind(group))
    }
  }
}
