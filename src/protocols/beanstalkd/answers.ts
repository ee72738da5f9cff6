/** Answers leave in the order of their commands. Those that come before what they stand behind wait for it. */
import type { Connection } from '../../broker/face.ts'

/** The place of an answer that is still to come. */
export interface Place {
  /** With the end of its line. */
  text: string | null
}

/** An answer, or null while it is still to come. */
interface Waiting {
  readonly text: string | Buffer | null
}

export class Answers {
  readonly #connection: Pick<Connection, 'write' | 'reserve' | 'commit' | 'slab'>
  #waiting: Waiting[] = []
  /** Of what waits. */
  bytes = 0

  constructor(connection: Pick<Connection, 'write' | 'reserve' | 'commit' | 'slab'>) {
    this.#connection = connection
  }

  /** Answers that are still to come, or wait for one. */
  get size(): number {
    return this.#waiting.length
  }

  /** No answer is still to come. */
  get isEmpty(): boolean {
    return this.#waiting.length === 0
  }

  /** Latin-1 text with the end of its line, or bytes as they are. */
  add(text: string | Buffer): void {
    if (this.isEmpty) return this.#write(text)
    this.#waiting.push({ text })
    this.bytes += text.length
  }

  /** A place for an answer, to be filled. */
  later(): Place {
    const place: Place = { text: null }
    this.#waiting.push(place)
    return place
  }

  /** Once for each place. */
  fill(place: Place, text: string): void {
    place.text = text
    this.bytes += text.length
    this.#send()
  }

  #send(): void {
    const waiting = this.#waiting
    let sent = 0
    for (; sent < waiting.length; sent++) {
      const { text } = waiting[sent] as Waiting // sent < length
      if (text === null) break
      this.#write(text)
      this.bytes -= text.length
    }
    if (sent === waiting.length) this.#waiting = []
    else if (sent > 0) this.#waiting = waiting.slice(sent)
  }

  #write(text: string | Buffer): void {
    const connection = this.#connection
    if (typeof text !== 'string') return connection.write(text)
    const at = connection.reserve(text.length)
    connection.slab.write(text, at, 'latin1')
    connection.commit(text.length)
  }
}
