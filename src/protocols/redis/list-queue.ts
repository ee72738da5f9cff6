/** The queue that a list is, as the list needs it: one topic kept until acknowledged, and its default subscription. */
import type { Buffer } from 'node:buffer'
import type { Broker, ReadyRecords, Space, TopicInfo } from '../../broker/face.ts'
import type { ListHost, ListMemory } from './list.ts'
import { storeRecord } from './store-record.ts'

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
    if (first !== undefined && payloads.length === 1) return this.#store(format, first, replacing)
    const places: number[] = []
    this.together(() => {
      try {
        for (const payload of payloads) places.push(this.#store(format, payload, replacing))
      } catch (cause) {
        // Where one is refused, none stays.
        if (this.records.lanes === 1) for (const place of places) this.records.drop(place)
        throw cause
      }
    })
    return places[0] ?? -1
  }

  #store(format: number, payload: Buffer, replacing: boolean): number {
    const place = storeRecord(this.#space, this.name, format, payload, replacing)
    this.published++
    return place
  }

  together(run: () => void): void {
    this.#broker.atomically(run, ignore)
  }

  remember(memory: ListMemory): void {
    this.#remember(memory)
  }
}
