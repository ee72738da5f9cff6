// What one connection has published and what is not answered yet: its socket is not read above a limit, and what has to see it waits for it.
import type { Connection, Space } from '../../broker/face.ts'

/** Published and not yet answered bytes of one connection, above which its socket is not read. */
const publishingBytesMax = 8 * 1024 * 1024

export class PublishFlow {
  /** Transient messages went to a topic on disk, so they were answered before they can be read. */
  unread = false
  /** Above the limit: the socket is paused. */
  paused = false
  readonly #connection: Connection
  #count = 0
  #bytes = 0
  #afterwards: (() => void) | null = null

  constructor(connection: Connection) {
    this.#connection = connection
  }

  /** Nothing is on its way that a reader would have to wait for. */
  get settled(): boolean {
    return this.#count === 0 && !this.unread
  }

  started(bytes: number): void {
    this.#count++
    this.#bytes += bytes
    if (!this.paused && publishingBytesMax < this.#bytes) {
      this.paused = true
      this.#connection.pause()
    }
  }

  ended(bytes: number): void {
    this.#count--
    this.#bytes -= bytes
    if (this.paused && this.#bytes < publishingBytesMax / 2) {
      this.paused = false
      this.#connection.resume()
    }
    if (this.#count > 0 || this.#afterwards === null) return
    // After the caller has sent its confirms: they come before what is done now.
    queueMicrotask(this.#afterwards)
    this.#afterwards = null
  }

  /** Calls `proceed`, later, once everything published so far is answered and can be read. Not while {@link settled}. */
  whenSettled(space: Space, proceed: () => void): void {
    const readable = (): void => {
      if (!this.unread) return proceed()
      this.unread = false
      // What is answered early is read only once it is on disk; an empty transaction comes after it.
      space.begin().commit(proceed)
    }
    if (this.#count === 0) readable()
    else this.#afterwards = readable
  }
}
