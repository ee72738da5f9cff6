/**
 * Exchanges that send each record to one of their destinations: by weighted consistent hash, by modulus, or at random.
 * A destination counts once, however often it is bound; the first binding's key is its weight.
 */
import { Buffer } from 'node:buffer'
import { hash32 } from '../../lib/bytes.ts'
import type { Binding } from '../face.ts'

const destinationOf = (binding: Binding): string => `${binding.destinationKind} ${binding.destination}`

export class Destinations {
  readonly #bindings: readonly Binding[]
  readonly #seeds: readonly number[]
  readonly #weights: readonly number[]

  constructor(bindings: readonly Binding[]) {
    const byDestination = new Map<string, Binding>()
    for (const binding of bindings) {
      const name = destinationOf(binding)
      if (!byDestination.has(name)) byDestination.set(name, binding)
    }
    // In the order of their names, so that the choice does not depend on when each was bound.
    const names = [...byDestination.keys()].sort()
    this.#bindings = names.map((name) => byDestination.get(name) as Binding) // from its own keys
    this.#seeds = names.map((name) => hash32(Buffer.from(name)))
    this.#weights = this.#bindings.map(({ key }) => Math.max(1, Number.parseInt(key, 10) || 1))
  }

  /**
   * Weighted rendezvous hashing: each destination draws a number from the value and its own name, and the best one wins. When a
   * destination comes or goes, only the values that it wins or won change their place.
   */
  hashed(value: string): Binding | undefined {
    const hash = hash32(Buffer.from(value))
    let best: Binding | undefined
    let bestScore = -Infinity
    for (const [at, binding] of this.#bindings.entries()) {
      const draw = (mixed(hash, this.#seeds[at] as number) + 1) / 0x1_0000_0001 // at < length; within (0, 1)
      const score = -(this.#weights[at] as number) / Math.log(draw)
      if (score <= bestScore) continue
      bestScore = score
      best = binding
    }
    return best
  }

  modulus(value: string): Binding | undefined {
    return this.#bindings[mixed(hash32(Buffer.from(value)), 0) % Math.max(1, this.#bindings.length)]
  }

  /** `random` from 0 up to but not 1. */
  random(random: number): Binding | undefined {
    return this.#bindings[Math.floor(random * this.#bindings.length)]
  }
}

/** Two 32-bit numbers into one that looks unrelated to both (the finalizer of MurmurHash3). */
function mixed(a: number, b: number): number {
  let hash = a ^ Math.imul(b, 0x9e3779b1)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
