// The publishers of one connection: what a Publish frame brings goes to the broker in one call, and is confirmed or refused in its callback.
import { PublishItem, PublishStatus } from '../../broker/face.ts'
import { Code, coreCodes } from './errors.ts'
import { batchFormatId } from './mapping.ts'
import { confirmFrame, type Group, type Ids, publishErrorFrame, publishingIds, readPublished } from './publish.ts'
import type { Session } from './session.ts'
import { isSame, type Stream } from './streams.ts'
import type { Reader } from './wire.ts'

/** Published and not yet answered bytes of one connection, above which its socket is not read. */
const publishingBytesMax = 8 * 1024 * 1024

export interface Publisher {
  readonly id: number
  /** '': publishing ids say nothing, and nothing is recognised when it comes again. */
  readonly reference: string
  readonly stream: Stream
}

export class Publishers {
  readonly #session: Session
  readonly #byId = new Map<number, Publisher>()
  #publishingBytes = 0
  paused = false

  constructor(session: Session) {
    this.#session = session
  }

  get(id: number): Publisher | undefined {
    return this.#byId.get(id)
  }

  /** Whether the stream has a publisher of this name here already. */
  hasReference(stream: string, reference: string): boolean {
    for (const publisher of this.#byId.values())
      if (publisher.stream.name === stream && publisher.reference === reference) return true
    return false
  }

  add(publisher: Publisher): void {
    this.#byId.set(publisher.id, publisher)
    this.#session.watch(publisher.stream)
  }

  delete(id: number): boolean {
    const publisher = this.#byId.get(id)
    if (publisher === undefined) return false
    this.#byId.delete(id)
    this.#session.unwatch(publisher.stream.name)
    return true
  }

  uses(stream: string): boolean {
    for (const publisher of this.#byId.values()) if (publisher.stream.name === stream) return true
    return false
  }

  /** Those of a stream that is gone. */
  forget(stream: string): void {
    for (const publisher of [...this.#byId.values()]) if (publisher.stream.name === stream) this.#byId.delete(publisher.id)
  }

  clear(): void {
    this.#byId.clear()
  }

  onPublish(reader: Reader, version: number): void {
    const { connection, space } = this.#session
    const id = reader.u8()
    const publisher = this.#byId.get(id)
    if (publisher === undefined) {
      const ids = publishingIds(reader, version)
      if (0 < ids.count) connection.write(publishErrorFrame(id, ids, Code.PublisherDoesNotExist))
      return
    }
    const { reference, stream } = publisher
    // The stream's end is told by MetadataUpdate; what was on its way to it is refused, not stored in another of its name.
    if (!isSame(space, stream)) {
      const ids = publishingIds(reader, version)
      if (0 < ids.count) connection.write(publishErrorFrame(id, ids, Code.StreamDoesNotExist))
      return
    }
    const after = reference === '' ? null : space.lastSequence(stream.topic.name, stream.partition, reference)
    const bytesMax = space.topic(stream.topic.name)?.config.recordBytesMax ?? 0
    const { groups, repeated, refused } = readPublished(reader, version, after, bytesMax)
    if (0 < refused.count) connection.write(publishErrorFrame(id, refused, Code.PreconditionFailed))
    if (0 < groups.length) this.#store(publisher, groups, repeated)
    else if (0 < repeated.count) {
      // What is repeated may not be durable yet; a transaction of nothing is so behind all of it.
      space.begin().commit((error) => {
        if (error === null) this.#answer(publisher, [repeated])
        else this.#fail(publisher, repeated, Code.StreamNotAvailable)
      })
    }
  }

  #store(publisher: Publisher, groups: readonly Group[], repeated: Ids): void {
    const { reference, stream } = publisher
    let bytes = 0
    const items = groups.map(({ payload, records, lastId }) => {
      const item = new PublishItem(null, stream.topic.name, batchFormatId, payload)
      item.count = records
      item.partition = stream.partition
      if (reference !== '') {
        item.producerName = reference
        item.producerSequence = lastId
      }
      bytes += payload.length
      return item
    })
    this.#started(bytes)
    this.#session.space.publish(items, () => {
      this.#ended(bytes)
      const confirmed: Ids[] = repeated.count === 0 ? [] : [repeated]
      for (const [index, item] of items.entries()) {
        const { ids } = groups[index] as Group // one item was made for each
        if (item.status === PublishStatus.Stored || item.status === PublishStatus.Duplicate) confirmed.push(ids)
        else this.#fail(publisher, ids, coreCodes[item.errorCode ?? 'Internal'])
      }
      if (0 < confirmed.length) this.#answer(publisher, confirmed)
    })
  }

  /** A publisher that was deleted, or whose id is another's by now, is told nothing. */
  #isThere(publisher: Publisher): boolean {
    return !this.#session.closed && this.#byId.get(publisher.id) === publisher
  }

  #answer(publisher: Publisher, ids: readonly Ids[]): void {
    if (this.#isThere(publisher)) this.#session.connection.write(confirmFrame(publisher.id, ids))
  }

  #fail(publisher: Publisher, ids: Ids, code: Code): void {
    if (this.#isThere(publisher)) this.#session.connection.write(publishErrorFrame(publisher.id, ids, code))
  }

  #started(bytes: number): void {
    this.#publishingBytes += bytes
    if (this.paused || this.#publishingBytes <= publishingBytesMax) return
    this.paused = true
    this.#session.connection.pause()
  }

  #ended(bytes: number): void {
    this.#publishingBytes -= bytes
    if (!this.paused || this.#session.closed || publishingBytesMax / 2 <= this.#publishingBytes) return
    this.paused = false
    this.#session.connection.resume()
  }
}
