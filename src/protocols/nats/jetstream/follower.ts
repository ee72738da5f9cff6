/** Reads what is stored in a stream from now on, whoever published it: for messages to be published again, and those that nobody wants. */
import type { Space } from '../../../broker/face.ts'
import type { StoredMessage } from './stored.ts'
import type { Stream } from './stream.ts'

const atOnce = 256

export class Follower {
  readonly #stream: Stream
  readonly #space: Space
  readonly #onMessage: (message: StoredMessage) => void
  #next: number
  #cancel: () => void = () => undefined
  #closed = false

  constructor(stream: Stream, space: Space, onMessage: (message: StoredMessage) => void) {
    this.#stream = stream
    this.#space = space
    this.#onMessage = onMessage
    this.#next = stream.lastSequence + 1
    this.#wait()
  }

  #wait(): void {
    if (this.#closed) return
    this.#cancel = this.#space.whenReadable(this.#stream.name, 0, this.#stream.offsetOf(this.#next), () => {
      this.#read().then(
        () => this.#wait(),
        () => undefined, // the stream is gone, or damaged, which is logged
      )
    })
  }

  async #read(): Promise<void> {
    const messages = await this.#stream.messagesFrom(this.#next, atOnce)
    for (const message of messages) {
      if (this.#closed) return
      this.#next = message.sequence + 1
      this.#onMessage(message)
    }
    // What was taken away at the end is passed over.
    if (messages.length === 0) this.#next = Math.max(this.#next, this.#stream.lastSequence + 1)
  }

  close(): void {
    this.#closed = true
    this.#cancel()
  }
}
