/** Databases as namespaces: 0 is the default one, n is `redis-n`. */
import type { Broker, Principal, Space } from '../../broker/face.ts'
import { errorText, RedisError } from './errors.ts'

/** What the executor has allowed is done with the rights of the broker: what users may do is asked before. */
const insider: Principal = { user: '', may: () => true }

export class Spaces {
  readonly #broker: Broker
  readonly #spaces: Space[] = []

  constructor(broker: Broker) {
    this.#broker = broker
  }

  /** The one of a broker. */
  static of(broker: Broker): Spaces {
    return broker.shared('redis.spaces', () => new Spaces(broker))
  }

  /** undefined while there is none. */
  find(index: number): Space | undefined {
    const known = this.#spaces[index]
    if (known !== undefined && index === 0) return known
    const namespace = namespaceOf(index)
    if (index > 0 && !this.#broker.namespaces().includes(namespace)) {
      delete this.#spaces[index]
      return undefined
    }
    return (this.#spaces[index] ??= this.#broker.space(insider, namespace, { protocol: 'redis' }))
  }

  /** The same, made where there is none. */
  open(index: number): Space {
    const present = this.find(index)
    if (present !== undefined) return present
    const namespace = namespaceOf(index)
    this.#broker.createNamespace(this.#broker.anonymous, namespace).catch((cause: unknown) => {
      this.#broker.log.warn({ namespace, error: errorText(cause) }, 'the namespace of a database could not be made')
    })
    const made = this.find(index)
    if (made !== undefined) return made
    throw new RedisError(
      `NOPERM lists and streams of database ${index} are in the namespace ${namespace}, which an administrator has to make`,
    )
  }

  /** Of all namespaces, databases or not. */
  all(): Space[] {
    return this.#broker.namespaces().map((namespace) => this.#broker.space(insider, namespace))
  }
}

const namespaceOf = (index: number): string => (index === 0 ? 'default' : `redis-${index}`)
