/** Patterns over words joined with `.`: `*` is one word, `#` any number of words, also none. */

class Node<T> {
  readonly children = new Map<string, Node<T>>()
  readonly values: T[] = []
}

export class PatternTrie<T> {
  readonly #root = new Node<T>()
  /** Patterns with more than one `#`: with them a search comes to the same place in several ways. */
  #ambiguous = 0

  add(pattern: string, value: T): void {
    const words = pattern.split('.')
    let node = this.#root
    for (const word of words) {
      let child = node.children.get(word)
      if (child === undefined) {
        child = new Node()
        node.children.set(word, child)
      }
      node = child
    }
    node.values.push(value)
    if (isAmbiguous(words)) this.#ambiguous++
  }

  remove(pattern: string, value: T): void {
    const words = pattern.split('.')
    if (this.#remove(this.#root, words, 0, value) && isAmbiguous(words)) this.#ambiguous--
  }

  #remove(node: Node<T>, words: readonly string[], at: number, value: T): boolean {
    const word = words[at]
    if (word === undefined) {
      const index = node.values.indexOf(value)
      if (index >= 0) node.values.splice(index, 1)
      return index >= 0
    }
    const child = node.children.get(word)
    if (child === undefined) return false
    const removed = this.#remove(child, words, at + 1, value)
    if (child.values.length === 0 && child.children.size === 0) node.children.delete(word)
    return removed
  }

  /** Visits each value whose pattern matches; one that matches in several ways is visited once. */
  match(key: string, visit: (value: T) => void): void {
    walk(this.#root, key.split('.'), 0, this.#ambiguous > 0 ? new Map() : null, visit)
  }

  /** Whether some pattern begins as the key does: nothing matches else. */
  begins(key: string): boolean {
    const { children } = this.#root
    if (children.size === 0) return false
    if (children.has('#') || children.has('*')) return true
    const end = key.indexOf('.')
    return children.has(end < 0 ? key : key.slice(0, end))
  }

  /** Whether a key with any other last word matches the same patterns. */
  isSameForAnyLast(key: string): boolean {
    const words = key.split('.')
    return this.#ambiguous === 0 && asksNothingOfLast(this.#root, words, 0, words.length - 1)
  }
}

const isAmbiguous = (words: readonly string[]): boolean => words.indexOf('#') !== words.lastIndexOf('#')

/** `tried`: states (node, place) already tried, so that a pattern such as #.#.# cannot make the search explode. */
function walk<T>(
  node: Node<T>,
  words: readonly string[],
  at: number,
  tried: Map<Node<T>, Set<number>> | null,
  visit: (value: T) => void,
): void {
  if (tried !== null && !isNew(tried, node, at)) return
  if (at === words.length) for (const value of node.values) visit(value)
  if (node.children.size === 0) return
  const many = node.children.get('#')
  if (many !== undefined)
    for (let next = many.children.size === 0 ? words.length : at; next <= words.length; next++)
      walk(many, words, next, tried, visit)
  const word = words[at]
  if (word === undefined) return
  const exact = node.children.get(word)
  if (exact !== undefined && word !== '#') walk(exact, words, at + 1, tried, visit)
  const one = node.children.get('*')
  if (one !== undefined && one !== exact) walk(one, words, at + 1, tried, visit)
}

/** Whether no place that the search comes to before the last word leads on by that word alone. */
function asksNothingOfLast<T>(node: Node<T>, words: readonly string[], at: number, last: number): boolean {
  const many = node.children.get('#')
  const one = node.children.get('*')
  if (many !== undefined) for (let next = at; next <= last; next++) if (!asksNothingOfLast(many, words, next, last)) return false
  if (at === last) return node.children.size === (many === undefined ? 0 : 1) + (one === undefined ? 0 : 1)
  const exact = node.children.get(words[at] as string) // at < last
  if (exact !== undefined && exact !== one && exact !== many && !asksNothingOfLast(exact, words, at + 1, last)) return false
  return one === undefined || asksNothingOfLast(one, words, at + 1, last)
}

function isNew<T>(tried: Map<Node<T>, Set<number>>, node: Node<T>, at: number): boolean {
  const places = tried.get(node)
  if (places === undefined) tried.set(node, new Set([at]))
  else if (places.has(at)) return false
  else places.add(at)
  return true
}

/** Whether one pattern matches one key. For many keys use {@link matcherOf}, for many patterns the trie. */
export function matchesPattern(pattern: string, key: string): boolean {
  return matcherOf(pattern)(key)
}

/** Tells of keys whether a pattern matches them. */
export function matcherOf(pattern: string): (key: string) => boolean {
  if (pattern === '#') return () => true
  const wanted = pattern.split('.')
  const wild = wanted.findIndex((word) => word === '*' || word === '#')
  if (wild < 0) return (key) => key === pattern
  // Most keys differ in what comes before the first wildcard.
  const prefix = wanted.slice(0, wild).join('.')
  return (key) => key.startsWith(prefix) && matchesWords(wanted, key.split('.'))
}

function matchesWords(wanted: readonly string[], words: readonly string[]): boolean {
  for (const [at, word] of wanted.entries()) {
    if (word === '#') return at === wanted.length - 1 ? at <= words.length : matchesFrom(wanted, words, at)
    if (at >= words.length || (word !== '*' && word !== words[at])) return false
  }
  return wanted.length === words.length
}

/** As {@link matchesWords}, from a `#` on. */
function matchesFrom(wanted: readonly string[], words: readonly string[], from: number): boolean {
  // Which places in the key the pattern read so far may have reached.
  let places = new Set([from])
  for (const word of wanted.slice(from)) {
    const next = new Set<number>()
    for (const place of places) {
      if (word === '#') for (let at = place; at <= words.length; at++) next.add(at)
      else if (place < words.length && (word === '*' || word === words[place])) next.add(place + 1)
    }
    places = next
  }
  return places.has(words.length)
}
