/**
 * A sorted set: members by score, then by their bytes, with their ranks. The order is kept in chunks of some hundred elements, so that adding and
 * removing move few of them and a rank is a sum over chunks.
 */
import { IndexedMap } from './indexed-map.ts'

const memberOverheadBytes = 96
const chunkMax = 256
/** As Redis's compact encoding has it: for OBJECT ENCODING. Once outgrown it stays so. */
const compactEntriesMax = 128
const compactBytesMax = 64

interface Chunk {
  readonly scores: number[]
  readonly members: string[]
}

/** Called with each element of a range, in order; false ends it. */
export type Visit = (member: string, score: number) => unknown

export class SortedSet {
  readonly type = 'zset'
  readonly #scores = new IndexedMap<number>()
  #chunks: Chunk[] = []
  bytes = 0
  isCompact = true

  get length(): number {
    return this.#scores.size
  }

  get members(): IndexedMap<number> {
    return this.#scores
  }

  score(member: string): number | undefined {
    return this.#scores.get(member)
  }

  /** Adds it, or changes its score. True when it is new. */
  add(member: string, score: number): boolean {
    const present = this.#scores.get(member)
    if (present !== undefined) {
      if (Object.is(present, score)) return false
      this.#removeOrdered(member, present)
      this.#scores.set(member, score)
      this.#insertOrdered(member, score)
      return false
    }
    this.#scores.set(member, score)
    this.#insertOrdered(member, score)
    this.bytes += memberOverheadBytes + member.length
    if (this.isCompact) this.isCompact = this.length <= compactEntriesMax && member.length <= compactBytesMax
    return true
  }

  delete(member: string): boolean {
    const score = this.#scores.get(member)
    if (score === undefined) return false
    this.#scores.delete(member)
    this.#removeOrdered(member, score)
    this.bytes -= memberOverheadBytes + member.length
    return true
  }

  /** The number of elements before it; -1: it is none. */
  rank(member: string): number {
    const score = this.#scores.get(member)
    return score === undefined ? -1 : this.countBefore((at, other) => compare(at, other, score, member) < 0)
  }

  /** How many elements come before the first for which `isBefore` is false; it must be true for a beginning of the order and false for the rest. */
  countBefore(isBefore: (score: number, member: string) => boolean): number {
    let count = 0
    for (const { scores, members } of this.#chunks) {
      const last = members.length - 1
      if (isBefore(scores[last] as number, members[last] as string)) {
        count += members.length
        continue
      }
      let low = 0
      let high = last
      while (low < high) {
        const middle = (low + high) >> 1
        if (isBefore(scores[middle] as number, members[middle] as string)) low = middle + 1
        else high = middle
      }
      return count + low
    }
    return count
  }

  /** Elements of ranks `start` to `stop`, both included, forward or from `stop` back. */
  range(start: number, stop: number, reverse: boolean, visit: Visit): void {
    if (start > stop || start >= this.length) return
    const count = Math.min(stop, this.length - 1) - start + 1
    let chunk = reverse ? this.#chunks.length - 1 : 0
    // Ranks counted from the end at which it begins.
    let skip = reverse ? this.length - 1 - Math.min(stop, this.length - 1) : start
    while (skip >= (this.#chunks[chunk]?.members.length ?? Infinity)) {
      skip -= this.#chunks[chunk]?.members.length ?? 0
      chunk += reverse ? -1 : 1
    }
    for (let left = count; left > 0; chunk += reverse ? -1 : 1) {
      const { scores, members } = this.#chunks[chunk] as Chunk // count elements are there
      const step = reverse ? -1 : 1
      for (let at = reverse ? members.length - 1 - skip : skip; at >= 0 && at < members.length && left > 0; at += step) {
        left--
        if (visit(members[at] as string, scores[at] as number) === false) return
      }
      skip = 0
    }
  }

  copy(): SortedSet {
    const copy = new SortedSet()
    for (const [place, member] of this.#scores.keys().entries()) copy.add(member, this.#scores.valueAt(place) ?? 0)
    copy.isCompact = this.isCompact
    return copy
  }

  #insertOrdered(member: string, score: number): void {
    const place = this.#chunkOf(member, score)
    const chunk = this.#chunks[place]
    if (chunk === undefined) {
      const last = this.#chunks.at(-1)
      if (last !== undefined && last.members.length < chunkMax) {
        last.scores.push(score)
        last.members.push(member)
      } else this.#chunks.push({ scores: [score], members: [member] })
      return
    }
    const at = placeIn(chunk, member, score)
    chunk.scores.splice(at, 0, score)
    chunk.members.splice(at, 0, member)
    if (chunk.members.length <= chunkMax) return
    const half = chunk.members.length >> 1
    this.#chunks.splice(place + 1, 0, { scores: chunk.scores.splice(half), members: chunk.members.splice(half) })
  }

  #removeOrdered(member: string, score: number): void {
    const place = this.#chunkOf(member, score)
    const chunk = this.#chunks[place] as Chunk // it is there
    const at = placeIn(chunk, member, score)
    chunk.scores.splice(at, 1)
    chunk.members.splice(at, 1)
    if (chunk.members.length === 0) this.#chunks.splice(place, 1)
  }

  /** The first chunk whose last element is not before this one. */
  #chunkOf(member: string, score: number): number {
    let low = 0
    let high = this.#chunks.length
    while (low < high) {
      const middle = (low + high) >> 1
      const { scores, members } = this.#chunks[middle] as Chunk // middle < high
      const last = members.length - 1
      if (compare(scores[last] as number, members[last] as string, score, member) < 0) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** The first place in a chunk whose element is not before this one. */
function placeIn({ scores, members }: Chunk, member: string, score: number): number {
  let low = 0
  let high = members.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (compare(scores[middle] as number, members[middle] as string, score, member) < 0) low = middle + 1
    else high = middle
  }
  return low
}

function compare(score: number, member: string, otherScore: number, otherMember: string): number {
  if (score !== otherScore) return score < otherScore ? -1 : 1
  if (member === otherMember) return 0
  return member < otherMember ? -1 : 1
}
