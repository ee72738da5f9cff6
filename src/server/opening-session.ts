/** Stands for a session that is still being loaded: the peer's first bytes wait, and no more is read, until it is there. */
import type { CloseCause, Connection, Session } from '../broker/face.ts'

export class OpeningSession implements Session {
  #session: Session | null = null
  #held: Buffer[] = []
  #draining = false
  #closed: CloseCause | null = null

  /** `failed` hears of what goes wrong with the opening, or with what was held. */
  constructor(opening: Promise<Session>, connection: Pick<Connection, 'pause' | 'resume'>, failed: (cause: unknown) => void) {
    connection.pause()
    opening
      .then((session) => {
        this.#become(session)
        connection.resume()
      })
      .catch(failed)
  }

  #become(session: Session): void {
    this.#session = session
    if (this.#closed !== null) return session.onClose(this.#closed)
    const held = this.#held
    this.#held = []
    for (const chunk of held) session.onBytes(chunk)
    if (this.#draining) session.drain()
  }

  onBytes(chunk: Buffer): void {
    if (this.#session === null) this.#held.push(chunk)
    else this.#session.onBytes(chunk)
  }

  onWritable(): void {
    this.#session?.onWritable()
  }

  onTick(now: number): void {
    this.#session?.onTick(now)
  }

  drain(): void {
    this.#draining = true
    this.#session?.drain()
  }

  get describe(): (() => object) | undefined {
    return this.#session?.describe?.bind(this.#session)
  }

  get onEnd(): (() => void) | undefined {
    return this.#session?.onEnd?.bind(this.#session)
  }

  onClose(cause: CloseCause): void {
    this.#closed = cause
    this.#held = []
    this.#session?.onClose(cause)
  }
}
