/** Exchanges and bindings of one namespace: from an exchange and a key to the names of topics. Direct, topic, fanout and headers. */
import { CoreError } from '../core/errors.ts'
import type { Binding, ExchangeInfo } from './face.ts'
import { PatternTrie } from './trie.ts'

type Headers = Readonly<Record<string, unknown>> | null

class Exchange {
  info: ExchangeInfo
  readonly bindings: Binding[] = []
  readonly byKey = new Map<string, Binding[]>()
  readonly trie = new PatternTrie<Binding>()

  constructor(info: ExchangeInfo) {
    this.info = info
  }

  add(binding: Binding): void {
    this.bindings.push(binding)
    if (this.info.kind === 'topic') this.trie.add(binding.key, binding)
    const same = this.byKey.get(binding.key)
    if (same === undefined) this.byKey.set(binding.key, [binding])
    else same.push(binding)
  }

  remove(binding: Binding): void {
    this.bindings.splice(this.bindings.indexOf(binding), 1)
    this.trie.remove(binding.key, binding)
    const same = this.byKey.get(binding.key)
    if (same === undefined) return
    same.splice(same.indexOf(binding), 1)
    if (same.length === 0) this.byKey.delete(binding.key)
  }

  match(key: string, headers: Headers, visit: (binding: Binding) => void): void {
    switch (this.info.kind) {
      case 'direct':
        for (const binding of this.byKey.get(key) ?? []) visit(binding)
        return
      case 'fanout':
        for (const binding of this.bindings) visit(binding)
        return
      case 'topic':
        this.trie.match(key, visit)
        return
      case 'headers':
        for (const binding of this.bindings) if (headersMatch(binding.arguments, headers)) visit(binding)
        return
    }
  }
}

/** Names of exchanges that every namespace has from the start. */
const predeclared: readonly [string, ExchangeInfo['kind']][] = [
  ['', 'direct'],
  ['amq.direct', 'direct'],
  ['amq.fanout', 'fanout'],
  ['amq.topic', 'topic'],
  ['amq.headers', 'headers'],
  ['amq.match', 'headers'],
]

const cachedRoutesMax = 10_000

export class Router {
  readonly #exchanges = new Map<string, Exchange>()
  readonly #hasTopic: (name: string) => boolean
  /** Topic names by exchange and key, where headers do not matter. Emptied by every change. */
  #cache = new Map<string, Map<string, readonly string[]>>()
  #cached = 0

  constructor(hasTopic: (name: string) => boolean) {
    this.#hasTopic = hasTopic
    for (const [name, kind] of predeclared) {
      const info = { name, kind, durable: true, autoDelete: false, internal: false, alternate: null, declaration: {} }
      this.#exchanges.set(name, new Exchange(info))
    }
  }

  /** Call when a topic came or went. */
  changed(): void {
    if (this.#cached === 0) return
    this.#cache = new Map()
    this.#cached = 0
  }

  exchange(name: string): ExchangeInfo | undefined {
    return this.#exchanges.get(name)?.info
  }

  exchanges(): ExchangeInfo[] {
    return [...this.#exchanges.values()].map((exchange) => exchange.info)
  }

  declare(info: ExchangeInfo): void {
    if (!this.#exchanges.has(info.name)) this.#exchanges.set(info.name, new Exchange(info))
    this.changed()
  }

  /** Removes it with its bindings, which are returned. */
  delete(name: string): Binding[] {
    const exchange = this.#exchanges.get(name)
    if (exchange === undefined) return []
    this.#exchanges.delete(name)
    const gone = [
      ...exchange.bindings,
      ...this.#detach((binding) => binding.destinationKind === 'exchange' && binding.destination === name),
    ]
    this.changed()
    return gone
  }

  /** Removes every binding to a topic. */
  topicDeleted(name: string): Binding[] {
    const gone = this.#detach((binding) => binding.destinationKind === 'topic' && binding.destination === name)
    this.changed()
    return gone
  }

  #detach(which: (binding: Binding) => boolean): Binding[] {
    const gone: Binding[] = []
    for (const exchange of this.#exchanges.values()) {
      for (const binding of exchange.bindings.filter(which)) {
        exchange.remove(binding)
        gone.push(binding)
      }
    }
    return gone
  }

  /** False when it was there already. */
  bind(binding: Binding): boolean {
    const source = this.#exchanges.get(binding.source)
    if (source === undefined) throw new CoreError('NotFound', `no exchange "${binding.source}"`, 'exchange')
    if (binding.destinationKind === 'exchange' && !this.#exchanges.has(binding.destination)) {
      throw new CoreError('NotFound', `no exchange "${binding.destination}"`, 'exchange')
    }
    if (source.bindings.some((present) => sameBinding(present, binding))) return false
    source.add(binding)
    this.changed()
    return true
  }

  /** False when it was not there. */
  unbind(binding: Binding): boolean {
    const source = this.#exchanges.get(binding.source)
    const present = source?.bindings.find((candidate) => sameBinding(candidate, binding))
    if (source === undefined || present === undefined) return false
    source.remove(present)
    this.changed()
    return true
  }

  bindings(): Binding[] {
    return [...this.#exchanges.values()].flatMap((exchange) => exchange.bindings)
  }

  bindingsFrom(name: string): readonly Binding[] {
    return this.#exchanges.get(name)?.bindings ?? []
  }

  /** Names of the topics a message goes to, each once. Throws NotFound for a missing exchange. */
  route(exchange: string, key: string, headers: Headers): readonly string[] {
    if (exchange === '') return this.#hasTopic(key) ? [key] : []
    const cached = this.#cache.get(exchange)?.get(key)
    if (cached !== undefined) return cached
    if (!this.#exchanges.has(exchange)) throw new CoreError('NotFound', `no exchange "${exchange}"`, 'exchange')
    const topics = new Set<string>()
    const cacheable = this.#follow(exchange, key, headers, topics, new Set())
    const routes = [...topics]
    if (cacheable) this.#remember(exchange, key, routes)
    return routes
  }

  #remember(exchange: string, key: string, routes: readonly string[]): void {
    if (this.#cached >= cachedRoutesMax) this.changed()
    let keys = this.#cache.get(exchange)
    if (keys === undefined) {
      keys = new Map()
      this.#cache.set(exchange, keys)
    }
    keys.set(key, routes)
    this.#cached++
  }

  /** Returns whether the result depends on the key alone. */
  #follow(name: string, key: string, headers: Headers, topics: Set<string>, seen: Set<string>): boolean {
    const exchange = this.#exchanges.get(name)
    if (exchange === undefined || seen.has(name)) return true
    seen.add(name)
    let cacheable = exchange.info.kind !== 'headers'
    let matched = false
    exchange.match(key, headers, (binding) => {
      matched = true
      if (binding.destinationKind === 'topic') topics.add(binding.destination)
      else if (!this.#follow(binding.destination, key, headers, topics, seen)) cacheable = false
    })
    if (!matched && exchange.info.alternate !== null && !this.#follow(exchange.info.alternate, key, headers, topics, seen))
      cacheable = false
    return cacheable
  }
}

function sameBinding(a: Binding, b: Binding): boolean {
  return (
    a.source === b.source &&
    a.destination === b.destination &&
    a.destinationKind === b.destinationKind &&
    a.key === b.key &&
    plainText(a.arguments) === plainText(b.arguments)
  )
}

/** Equal for equal arguments, whatever the order of their names. */
function plainText(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) => {
    if (typeof inner === 'bigint') return `${inner}n`
    if (inner === null || typeof inner !== 'object' || Array.isArray(inner)) return inner
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
  })
}

/** Header matching: `match` all (default) or any, over names that do not begin with `x-`; the `-with-x` forms take those too. */
function headersMatch(wanted: Readonly<Record<string, unknown>>, headers: Headers): boolean {
  const mode = wanted['x-match'] ?? 'all'
  const withX = mode === 'all-with-x' || mode === 'any-with-x'
  const any = mode === 'any' || mode === 'any-with-x'
  let matched = false
  for (const [name, value] of Object.entries(wanted)) {
    if (name === 'x-match' || (!withX && name.startsWith('x-'))) continue
    const present = headers !== null && Object.hasOwn(headers, name)
    const equal = present && (value === null || value === undefined || plainText(value) === plainText(headers[name]))
    if (equal && any) return true
    if (!equal && !any) return false
    matched ||= equal
  }
  return any ? matched : true
}
