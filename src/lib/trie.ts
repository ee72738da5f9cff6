/** Patterns over words joined with `.`: `*` is one word, `#` any number of words, also none. */

class Node<T> {
  readonly children = new Map<string, Node<T>>()
  readonly values: T[] = []
}

export class PatternTrie<T> {
  readonly #root = new Node<T>()

  add(pattern: string, value: T): void {
    let node = this.#root
    for (const word of pattern.split('.')) {
      let child = node.children.get(word)
      if (child === undefined) {
        child = new Node()
        node.children.set(word, child)
      }
      node = child
    }
    node.values.push(value)
  }

  remove(pattern: string, value: T): void {
    this.#remove(this.#root, pattern.split('.'), 0, value)
  }

  #remove(node: Node<T>, words: readonly string[], at: number, value: T): void {
    const word = words[at]
    if (word === undefined) {
      const index = node.values.indexOf(value)
      if (index >= 0) node.values.splice(index, 1)
      return
    }
    const child = node.children.get(word)
    if (child === undefined) return
    this.#remove(child, words, at + 1, value)
    if (child.values.length === 0 && child.children.size === 0) node.children.delete(word)
  }

  /** Visits each value whose pattern matches; one that matches in several ways is visited once. */
  match(key: string, visit: (value: T) => void): void {
    const words = key.split('.')
    const seen = new Set<Node<T>>()
    // States (node, place) already tried: a pattern such as #.#.# cannot make the search explode.
    const tried = new Map<Node<T>, Set<number>>()
    const walk = (node: Node<T>, at: number): void => {
      let places = tried.get(node)
      if (places === undefined) {
        places = new Set()
        tried.set(node, places)
      }
      if (places.has(at)) return
      places.add(at)
      if (at === words.length && node.values.length > 0 && !seen.has(node)) {
        seen.add(node)
        for (const value of node.values) visit(value)
      }
      const many = node.children.get('#')
      if (many !== undefined) for (let skip = at; skip <= words.length; skip++) walk(many, skip)
      const word = words[at]
      if (word === undefined) return
      const exact = node.children.get(word)
      if (exact !== undefined && word !== '#') walk(exact, at + 1)
      const one = node.children.get('*')
      if (one !== undefined && one !== exact) walk(one, at + 1)
    }
    walk(this.#root, 0)
  }
}

/** Whether one pattern matches one key. For many patterns use the trie. */
export function matchesPattern(pattern: string, key: string): boolean {
  if (pattern === '#') return true
  const words = key.split('.')
  // Which places in the key the pattern read so far may have reached.
  let places = new Set([0])
  for (const wanted of pattern.split('.')) {
    const next = new Set<number>()
    for (const place of places) {
      if (wanted === '#') for (let at = place; at <= words.length; at++) next.add(at)
      else if (place < words.length && (wanted === '*' || wanted === words[place])) next.add(place + 1)
    }
    places = next
  }
  return places.has(words.length)
}
