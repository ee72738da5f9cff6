/** The queue that a list is, as the list needs it: one topic kept until acknowledged, and its default subscription. */
import type { Buffer } from 'node:buffer'
import { type Broker, CoreError, PublishItem, type ReadyRecords, type Space, type TopicInfo } from '../../broker/face.ts'
import type { ListHost, ListMemory } from './list.ts'
import { ownConnection } from './pubsub.ts'

const ignore = (): void => undefined

export class ListQueue implements ListHost {
  readonly records: ReadyRecords
  readonly name: string
  readonly #broker: Broker
  readonly #space: Space
  readonly #remember: (memory: ListMemory) => void
  /** Records it has published. */
  published = 0

  constructor(broker: Broker, space: Space, name: string, remember: (memory: ListMemory) => void) {
    this.#broker = broker
    this.#space = space
    this.name = name
    this.#remember = remember
    this.records = space.ready(name)
  }

  get info(): TopicInfo | undefined {
    return this.#space.topic(this.name)
  }

  get isLog(): boolean {
    return this.info?.config.retention === 'time'
  }

  append(format: number, payloads: readonly Buffer[], replacing: boolean): number {
    const [first] = payloads
    if (first !== undefined && payloads.length === 1) return this.#stored([this.#item(format, first, replacing)])
    const items = payloads.map((payload) => this.#item(format, payload, replacing))
    let place = -1
    this.together(() => {
      place = this.#stored(items)
    })
    return place
  }

  #item(format: number, payload: Buffer, replacing: boolean): PublishItem {
    const item = new PublishItem('', this.name, format, payload)
    item.connection = ownConnection
    if (replacing) item.into = this.name
    return item
  }

  /** Returns the place of the first. Where one is refused, none stays. */
  #stored(items: readonly PublishItem[]): number {
    this.#space.publish(items, null)
    this.published += items.length
    const refused = items.find(({ errorCode, routedTo }) => errorCode !== null || routedTo === 0)
    if (refused === undefined) return items[0]?.baseOffset ?? -1
    for (const { baseOffset } of items) if (baseOffset >= 0 && this.records.lanes === 1) this.records.drop(baseOffset)
    throw new CoreError(refused.errorCode ?? 'NotFound', refused.errorMessage || `no topic "${this.name}"`, this.name)
  }

  together(run: () => void): void {
    this.#broker.atomically(run, ignore)
  }

  remember(memory: ListMemory): void {
    this.#remember(memory)
  }
}
