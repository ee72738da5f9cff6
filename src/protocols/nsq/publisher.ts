/** What a connection publishes: all of a turn at once, each command answered in its place when it is durable, and reading held back while much is on its way. */
import { type Connection, type PublishItem, PublishStatus, type Space } from '../../broker/face.ts'
import { type NsqError, refused } from './errors.ts'
import { messageItem } from './mapping.ts'
import type { Replies } from './replies.ts'
import type { Topics } from './topics.ts'

/** Bytes that were published and are not confirmed, above which a client has to wait. */
const unconfirmedBytesMax = 16 * 1024 * 1024

/** A command that publishes `items[from..to)` of its turn. */
interface Published {
  readonly command: string
  readonly topic: string
  readonly from: number
  readonly to: number
  readonly answer: (act: () => void) => void
}

export interface PublisherHost {
  readonly connection: Pick<Connection, 'id' | 'pause' | 'resume'>
  readonly replies: Replies
  confirmed(): void
  failed(error: NsqError): void
}

export class Publisher {
  readonly #host: PublisherHost
  readonly #topics: Topics
  /** Of this turn. */
  #items: PublishItem[] = []
  #commands: Published[] = []
  #unconfirmedBytes = 0
  #holdsBack = false
  /** Messages by topic. */
  readonly counts = new Map<string, number>()

  constructor(topics: Topics, host: PublisherHost) {
    this.#topics = topics
    this.#host = host
  }

  /** One message of the command that {@link complete} ends. The body is copied. */
  add(topic: string, body: Buffer, delayMs: number): void {
    const item = messageItem(topic, body, delayMs, delayMs > 0 ? this.#topics.broker.clock.now() : 0)
    item.connection = this.#host.connection.id
    this.#items.push(item)
  }

  /** The last so many messages are all that the command publishes. */
  complete(command: string, topic: string, count: number): void {
    const to = this.#items.length
    this.#commands.push({ command, topic, from: to - count, to, answer: this.#host.replies.later() })
  }

  /** Publishes what this turn has collected, but for the last messages, of a command that is not complete. */
  flush(space: Space, incomplete: number): void {
    const count = this.#items.length - incomplete
    if (count === 0) return
    const items = this.#items
    const commands = this.#commands
    this.#items = items.splice(count)
    this.#commands = []
    const bytes = items.reduce((sum, { payload }) => sum + payload.length, 0)
    this.#unconfirmedBytes += bytes
    this.#holdBack()
    space.publish(items, () => {
      this.#unconfirmedBytes -= bytes
      for (const command of commands) command.answer(() => this.#confirm(command, items))
      this.#holdBack()
    })
  }

  #confirm({ command, topic, from, to }: Published, items: readonly PublishItem[]): void {
    let bytes = 0
    for (let at = from; at < to; at++) {
      const item = items[at] as PublishItem // to is within
      if (item.status === PublishStatus.Failed)
        return this.#host.failed(refused(command, topic, '', item.errorCode ?? 'Internal', item.errorMessage))
      bytes += item.payload.length - 1
    }
    this.counts.set(topic, (this.counts.get(topic) ?? 0) + to - from)
    this.#topics.countIn(topic, bytes)
    this.#host.confirmed()
  }

  #holdBack(): void {
    const tooMuch = this.#unconfirmedBytes > unconfirmedBytesMax
    if (tooMuch === this.#holdsBack) return
    this.#holdsBack = tooMuch
    if (tooMuch) this.#host.connection.pause()
    else this.#host.connection.resume()
  }
}
