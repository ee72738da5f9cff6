/** Addresses turned into others, word by word: words are joined with `.`. Plain data, so that it can be stored. */
import { matchesPattern } from './trie.ts'

export interface Renaming {
  /** What it is for; other addresses stay as they are. `*` is one word, `#` any number. */
  readonly pattern: string
  /** Words of the new address: as they stand, or, as a number, the word at that place of the old one, from 0. */
  readonly words: readonly (string | number)[]
  /** The old words from this place on follow; -1: none. */
  readonly restFrom: number
}

export function renamed({ pattern, words, restFrom }: Renaming, address: string): string {
  if (!matchesPattern(pattern, address)) return address
  const old = address.split('.')
  const found = words.map((word) => (typeof word === 'number' ? (old[word] ?? '') : word))
  if (restFrom >= 0) found.push(...old.slice(restFrom))
  return found.join('.')
}
