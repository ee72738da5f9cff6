/** One exchange and its bindings: which of them a record follows, by the exchange's kind. */

import { PatternTrie } from '../../lib/trie.ts'
import type { Binding, ExchangeInfo, ExchangeKind } from '../face.ts'
import { headersMatch } from './headers.ts'
import { Destinations } from './one.ts'
import type { Routed } from './routed.ts'

/** Kinds that send a record to one destination, whatever further keys it has. */
export const choosesOne: ReadonlySet<ExchangeKind> = new Set<ExchangeKind>(['hash', 'modulus', 'random'])

export class Exchange {
  info: ExchangeInfo
  /** As declared, or as a policy has it. */
  alternate: string | null
  readonly bindings: Binding[] = []
  readonly #byKey = new Map<string, Binding[]>()
  readonly #trie = new PatternTrie<Binding>()
  #destinations: Destinations | null = null

  constructor(info: ExchangeInfo) {
    this.info = info
    this.alternate = info.alternate
  }

  add(binding: Binding): void {
    this.bindings.push(binding)
    this.#destinations = null
    if (this.info.kind === 'topic') this.#trie.add(binding.key, binding)
    const same = this.#byKey.get(binding.key)
    if (same === undefined) this.#byKey.set(binding.key, [binding])
    else same.push(binding)
  }

  remove(binding: Binding): void {
    this.bindings.splice(this.bindings.indexOf(binding), 1)
    this.#destinations = null
    this.#trie.remove(binding.key, binding)
    const same = this.#byKey.get(binding.key)
    if (same === undefined) return
    same.splice(same.indexOf(binding), 1)
    if (same.length === 0) this.#byKey.delete(binding.key)
  }

  /** Whether where a record goes depends on its key alone, so that it can be remembered. */
  get byKeyAlone(): boolean {
    const { kind, hashOn } = this.info
    if (kind === 'hash') return hashOn === undefined
    return kind !== 'headers' && kind !== 'random' && kind !== 'history'
  }

  match(key: string, routed: Routed, random: () => number, visit: (binding: Binding) => void): void {
    switch (this.info.kind) {
      case 'direct':
        for (const binding of this.#byKey.get(key) ?? []) visit(binding)
        return
      case 'fanout':
      case 'history':
        for (const binding of this.bindings) visit(binding)
        return
      case 'topic':
        this.#trie.match(key, visit)
        return
      case 'headers':
        for (const binding of this.bindings) if (headersMatch(binding.arguments, routed.headers)) visit(binding)
        return
      case 'hash':
      case 'modulus':
      case 'random': {
        const chosen = this.#choose(key, routed, random)
        if (chosen !== undefined) visit(chosen)
      }
    }
  }

  #choose(key: string, routed: Routed, random: () => number): Binding | undefined {
    this.#destinations ??= new Destinations(this.bindings)
    const { kind, hashOn } = this.info
    if (kind === 'random') return this.#destinations.random(random())
    if (kind === 'modulus') return this.#destinations.modulus(key)
    if (hashOn === undefined) return this.#destinations.hashed(key)
    if ('attribute' in hashOn) return this.#destinations.hashed(routed.attribute(hashOn.attribute))
    return this.#destinations.hashed(String(routed.headers[hashOn.header] ?? ''))
  }
}
