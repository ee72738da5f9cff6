/**
 * The consumer instances of all groups, and which partitions each has: those of a group share the partitions of what they subscribe to, in the order of
 * their names. Instances that nobody uses any more end by themselves.
 */
import { randomUUID } from 'node:crypto'
import type { Broker, Space } from '../../broker/face.ts'
import { type ConsumerSettings, type Place, RestConsumer } from './consumer.ts'
import { denied, instanceExists, instanceNotFound, kafkaError } from './errors.ts'

const instancesMax = 1000
/** consumer.instance.timeout.ms of the proxy. */
export const idleMs = 300_000
const sweepMs = 10_000

export class Consumers {
  readonly #broker: Broker
  readonly #groups = new Map<string, Map<string, RestConsumer>>()
  #count = 0
  #sweeping = false

  constructor(broker: Broker) {
    this.#broker = broker
  }

  create(group: string, name: string | null, space: Space, settings: ConsumerSettings): RestConsumer {
    if (!space.principal.may('consume', space.namespace, group, 'group'))
      throw denied(`${space.principal.user} may not read the group "${group}"`)
    if (this.#count >= instancesMax) throw kafkaError(`there are ${instancesMax} consumer instances already`)
    const instances = this.#groups.get(group) ?? new Map<string, RestConsumer>()
    const own = name ?? `rest-consumer-${randomUUID()}`
    if (instances.has(own)) throw instanceExists()
    const consumer = new RestConsumer(group, own, space, settings, this.#broker.clock.now())
    instances.set(own, consumer)
    this.#groups.set(group, instances)
    this.#count++
    this.#sweep()
    return consumer
  }

  /** The instance, which is in use from now on. Another user's is as good as not there. */
  use(group: string, name: string, user: string): RestConsumer {
    const consumer = this.#groups.get(group)?.get(name)
    if (consumer === undefined || consumer.user !== user) throw instanceNotFound()
    consumer.usedAt = this.#broker.clock.now()
    return consumer
  }

  async end(consumer: RestConsumer): Promise<void> {
    const instances = this.#groups.get(consumer.group)
    if (instances?.delete(consumer.name) !== true) return
    this.#count--
    if (instances.size === 0) this.#groups.delete(consumer.group)
    if (consumer.settings.autoCommit) await consumer.commit(null)
  }

  /** What an instance reads now. */
  placesOf(consumer: RestConsumer): Place[] {
    const { reading } = consumer
    if (reading.kind === 'partitions') return [...reading.places]
    const members = [...(this.#groups.get(consumer.group)?.values() ?? [])].sort((a, b) => (a.name < b.name ? -1 : 1))
    return consumer.wants().flatMap((topic) => {
      const sharing = members.filter((member) => member.wants().includes(topic))
      const own = sharing.indexOf(consumer)
      const partitions = consumer.space.topic(topic)?.config.partitions ?? 0
      return Array.from({ length: partitions }, (_, partition) => ({ topic, partition })).filter(
        ({ partition }) => partition % sharing.length === own,
      )
    })
  }

  /** Ends instances that were not used for {@link idleMs}. */
  #sweep(): void {
    if (this.#sweeping) return
    this.#sweeping = true
    this.#broker.clock.after(sweepMs, () => {
      this.#sweeping = false
      const idle = [...this.#groups.values()]
        .flatMap((instances) => [...instances.values()])
        .filter(({ usedAt }) => usedAt + idleMs <= this.#broker.clock.now())
      for (const consumer of idle)
        this.end(consumer).catch((error: Error) =>
          this.#broker.log.warn({ error: error.message }, 'offsets could not be committed'),
        )
      if (this.#count > 0) this.#sweep()
    })
  }
}
