/** Exchanges and bindings of one namespace: from an exchange and a key to the names of topics. How each kind chooses: exchanges/. */
import { CoreError } from '../core/errors.ts'
import { choosesOne, Exchange } from './exchanges/exchange.ts'
import { plainText } from './exchanges/headers.ts'
import { Routed, type RouteSource } from './exchanges/routed.ts'
import type { Binding, Copies, ExchangeInfo } from './face.ts'

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

  /** By exchange: further copies of what passes it. */
  readonly #copies = new Map<string, Copies>()
  readonly #random: () => number

  /** `random` gives numbers from 0 up to but not 1. */
  constructor(hasTopic: (name: string) => boolean, random: () => number) {
    this.#hasTopic = hasTopic
    this.#random = random
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

  /** Also for an exchange that is not there yet, or comes again. */
  copyOnPassage(exchange: string, copies: Copies | null): void {
    if (copies === null) this.#copies.delete(exchange)
    else this.#copies.set(exchange, copies)
    this.changed()
  }

  copiesOf(exchange: string): Copies | undefined {
    return this.#copies.get(exchange)
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

  /** Where it sends what no binding wants, whatever it was declared with. */
  setAlternate(name: string, alternate: string | null): void {
    const exchange = this.#exchanges.get(name)
    if (exchange === undefined || exchange.alternate === alternate) return
    exchange.alternate = alternate
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

  hasBindings(name: string): boolean {
    return (this.#exchanges.get(name)?.bindings.length ?? 0) > 0
  }

  /** Whether it leads nowhere, whatever the key. */
  leadsNowhere(name: string): boolean {
    const exchange = this.#exchanges.get(name)
    return exchange !== undefined && exchange.bindings.length === 0 && exchange.alternate === null
  }

  bindingsFrom(name: string): readonly Binding[] {
    return this.#exchanges.get(name)?.bindings ?? []
  }

  /** Whether further keys of a record lead nowhere else. */
  choosesOne(name: string): boolean {
    const kind = this.#exchanges.get(name)?.info.kind
    return kind !== undefined && choosesOne.has(kind)
  }

  /**
   * Names of the topics a record goes to, each once. Throws NotFound for a missing exchange. `passed` is told of each exchange on
   * the way that keeps a history, or of whose records further copies are made.
   */
  route(exchange: string, key: string, source: RouteSource | null, passed?: (exchange: ExchangeInfo) => void): readonly string[] {
    if (exchange === '') return this.#hasTopic(key) ? [key] : []
    const cached = this.#cache.get(exchange)?.get(key)
    if (cached !== undefined) return cached
    if (!this.#exchanges.has(exchange)) throw new CoreError('NotFound', `no exchange "${exchange}"`, 'exchange')
    const walk: Walk = { key, routed: new Routed(source), topics: new Set(), seen: new Set(), byKeyAlone: true, passed }
    this.#follow(exchange, walk)
    const routes = [...walk.topics]
    if (walk.byKeyAlone) this.#remember(exchange, key, routes)
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

  #follow(name: string, walk: Walk): void {
    const exchange = this.#exchanges.get(name)
    if (exchange === undefined || walk.seen.has(name)) return
    walk.seen.add(name)
    const isCopied = this.#copies.has(name)
    if (!exchange.byKeyAlone || isCopied) walk.byKeyAlone = false
    if (exchange.info.kind === 'history' || isCopied) walk.passed?.(exchange.info)
    let matched = false
    exchange.match(walk.key, walk.routed, this.#random, (binding) => {
      matched = true
      if (binding.destinationKind === 'topic') walk.topics.add(binding.destination)
      else this.#follow(binding.destination, walk)
    })
    if (!matched && exchange.alternate !== null) this.#follow(exchange.alternate, walk)
  }
}

/** One record's way through the exchanges. */
interface Walk {
  readonly key: string
  readonly routed: Routed
  readonly topics: Set<string>
  readonly seen: Set<string>
  /** Whether every exchange on the way looked at the key alone. */
  byKeyAlone: boolean
  readonly passed: ((exchange: ExchangeInfo) => void) | undefined
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
