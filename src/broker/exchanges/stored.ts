/** Exchanges and bindings of all namespaces: declared, governed, deleted, and what is stored of them. How they route is the router's. */
import type { Shard } from '../../core/shard.ts'
import { everyone } from '../access.ts'
import type { Binding, ExchangeInfo } from '../face.ts'
import type { Namespace } from '../namespace.ts'
import { effectiveAlternate, type Policies } from '../policy.ts'
import type { Publisher } from '../publisher.ts'
import type { Histories } from './history.ts'

export class StoredExchanges {
  readonly #shard: Shard
  readonly #namespaces: ReadonlyMap<string, Namespace>
  readonly #policies: Policies
  readonly #publisher: Publisher
  readonly #histories: Histories

  constructor(
    shard: Shard,
    namespaces: ReadonlyMap<string, Namespace>,
    policies: Policies,
    publisher: Publisher,
    histories: Histories,
  ) {
    this.#shard = shard
    this.#namespaces = namespaces
    this.#policies = policies
    this.#publisher = publisher
    this.#histories = histories
  }

  declare(namespace: Namespace, exchange: ExchangeInfo): void {
    namespace.router.declare(exchange)
    this.govern(namespace, exchange.name)
    if (exchange.durable) this.#shard.putMetadata('exchange', `${namespace.name}\u0000${exchange.name}`, JSON.stringify(exchange))
  }

  /** What policies say of it holds. */
  govern(namespace: Namespace, name: string): void {
    const info = namespace.router.exchange(name)
    if (info === undefined) return
    namespace.router.setAlternate(name, effectiveAlternate(info, this.#policies.ofExchange(namespace.name, name)))
  }

  /** The router has a new binding. */
  bound(namespace: Namespace, binding: Binding): void {
    this.#store(namespace, binding)
    this.#handHistory(namespace, binding)
  }

  /** What a `history` exchange has kept goes to who is bound to it now. */
  #handHistory(namespace: Namespace, binding: Binding): void {
    if (namespace.router.exchange(binding.source)?.kind !== 'history') return
    for (const item of this.#histories.of(namespace.name, binding.source)) {
      if (binding.destinationKind === 'topic') {
        item.exchange = null
        item.address = binding.destination
      } else item.exchange = binding.destination
      this.#publisher.append(namespace, everyone, item)
      if (item.errorCode === null) continue
      const about = { exchange: binding.source, destination: binding.destination, error: item.errorMessage }
      this.#shard.log.warn(about, 'a record of the history was refused and is not handed over')
    }
  }

  #store(namespace: Namespace, binding: Binding): void {
    const topic = binding.destinationKind === 'topic' ? namespace.topics.get(binding.destination) : undefined
    const source = namespace.router.exchange(binding.source)
    if (topic?.config.storage === 'memory' || source?.durable === false) return
    this.#shard.putMetadata('binding', bindingKey(namespace, binding), bindingText(binding))
  }

  /** The router has lost bindings. A source that goes with its last one goes too. */
  unbound(namespace: Namespace, bindings: readonly Binding[]): void {
    for (const binding of bindings) this.#shard.putMetadata('binding', bindingKey(namespace, binding), null)
    for (const source of new Set(bindings.map((binding) => binding.source))) {
      const info = namespace.router.exchange(source)
      if (info?.autoDelete === true && namespace.router.bindingsFrom(source).length === 0) this.delete(namespace, source)
    }
  }

  delete(namespace: Namespace, name: string): void {
    const gone = namespace.router.delete(name)
    this.#histories.forget(namespace.name, name)
    this.#shard.putMetadata('exchange', `${namespace.name}\u0000${name}`, null)
    this.unbound(namespace, gone)
  }

  /** Makes a stored row live; null is its deletion. */
  apply(key: string, text: string | null): void {
    const [namespace = '', name = ''] = key.split('\u0000')
    const router = this.#namespaces.get(namespace)?.router
    if (text === null) router?.delete(name)
    else router?.declare(JSON.parse(text))
  }

  applyBinding(key: string, text: string | null): void {
    const at = key.indexOf('\u0000')
    const router = this.#namespaces.get(key.slice(0, at))?.router
    const binding = parseBinding(text ?? key.slice(at + 1))
    if (router === undefined) return
    if (text === null) router.unbind(binding)
    else if (
      router.exchange(binding.source) !== undefined &&
      (binding.destinationKind === 'topic' || router.exchange(binding.destination) !== undefined)
    )
      router.bind(binding)
  }
}

const bindingKey = (namespace: Namespace, binding: Binding): string => `${namespace.name}\u0000${bindingText(binding)}`

/** JSON, with big integers as {"$i64": "…"}. */
function bindingText(binding: Binding): string {
  return JSON.stringify(binding, (_key, value: unknown) => (typeof value === 'bigint' ? { $i64: value.toString() } : value))
}

function parseBinding(text: string): Binding {
  return JSON.parse(text, (_key, value: unknown) => {
    if (typeof value === 'object' && value !== null && '$i64' in value) return BigInt(String(value.$i64))
    return value
  }) as Binding // our own rows
}
