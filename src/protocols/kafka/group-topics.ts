// What groups know of the broker's topics, and patterns over their names (KIP-848's SubscribedTopicRegex, in RE2's syntax).
import { RE2JS } from 're2js'
import type { Space } from '../../broker/face.ts'

export interface KnownTopic {
  readonly id: string
  readonly name: string
  readonly partitions: number
}

/** The topics of the default namespace, whoever may read them. */
export class GroupTopics {
  readonly #space: () => Space

  constructor(space: () => Space) {
    this.#space = space
  }

  byName(name: string): KnownTopic | undefined {
    const info = this.#space().topic(name)
    return info && { id: info.id.toString('hex'), name: info.name, partitions: info.config.partitions }
  }

  byId(id: string): KnownTopic | undefined {
    const info = this.#space().topicById(Buffer.from(id, 'hex'))
    return info && { id, name: info.name, partitions: info.config.partitions }
  }

  names(): string[] {
    return this.#space()
      .topics()
      .map((topic) => topic.name)
  }
}

const patternBytesMax = 1024
/** Matching takes time in proportion to this and to the length of the name, whatever the pattern. */
const programSizeMax = 2000
/** What one evaluation may take; the names that are left are looked at in the next. */
const evaluationMs = 50
const patternsMax = 1000

/** One pattern and which names it matched; a name is looked at once. */
class TopicPattern {
  readonly #regex: RE2JS
  readonly #seen = new Set<string>()
  readonly #matched = new Set<string>()

  constructor(regex: RE2JS) {
    this.#regex = regex
  }

  matching(names: readonly string[]): string[] {
    if (this.#seen.size > 2 * names.length + 100) this.#forget()
    const until = performance.now() + evaluationMs
    for (const name of names) {
      if (this.#seen.has(name)) continue
      if (performance.now() > until) break
      this.#seen.add(name)
      if (this.#regex.matches(name)) this.#matched.add(name)
    }
    return names.filter((name) => this.#matched.has(name))
  }

  /** Names that are gone pile up. */
  #forget(): void {
    this.#seen.clear()
    this.#matched.clear()
  }
}

/** Compiled patterns of all groups, the least recently used first. */
export class TopicPatterns {
  readonly #patterns = new Map<string, TopicPattern>()

  /** Why a pattern can not be used, or undefined. */
  refuse(pattern: string): string | undefined {
    if (this.#patterns.has(pattern)) return undefined
    if (Buffer.byteLength(pattern) > patternBytesMax) return `the pattern is longer than ${patternBytesMax} bytes`
    try {
      const regex = RE2JS.compile(pattern)
      if (regex.programSize() > programSizeMax)
        return `the pattern is too large: ${regex.programSize()} steps, ${programSizeMax} at most`
      this.#patterns.set(pattern, new TopicPattern(regex))
      if (this.#patterns.size > patternsMax) this.#patterns.delete(this.#patterns.keys().next().value ?? '')
      return undefined
    } catch (cause) {
      return cause instanceof Error ? cause.message : String(cause)
    }
  }

  /** The names that the whole pattern matches; none when it can not be used. */
  matching(pattern: string, names: readonly string[]): string[] {
    if (this.refuse(pattern) !== undefined) return []
    const found = this.#patterns.get(pattern)
    if (found === undefined) return []
    this.#patterns.delete(pattern)
    this.#patterns.set(pattern, found)
    return found.matching(names)
  }
}
