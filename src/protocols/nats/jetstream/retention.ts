/** Streams of the retention `interest` and `workqueue`: messages go as they are acknowledged, or when no consumer wants them. */
import { CoreError, type Space } from '../../../broker/face.ts'
import type { Consumer } from './consumer.ts'
import type { Stream } from './stream.ts'

export class Retention {
  readonly #space: Space
  readonly #going = new Map<Stream, number[]>()

  constructor(space: Space) {
    this.#space = space
  }

  /** A consumer is done with a message. */
  acknowledged(consumer: Consumer, sequence: number, subject: string): void {
    const stream = consumer.owner
    switch (stream.config.retention) {
      case 'limits':
        return
      case 'workqueue':
        return this.#remove(stream, sequence)
      case 'interest':
        if (!this.#isWanted(stream, sequence, subject, consumer)) this.#remove(stream, sequence)
    }
  }

  /** A message was stored that nobody may want. */
  stored(stream: Stream, sequence: number, subject: string): void {
    if (stream.config.retention !== 'interest') return
    for (const consumer of stream.consumers.values()) if (consumer.wants(subject)) return
    this.#remove(stream, sequence)
  }

  /** A consumer is gone, or begins elsewhere, and what it alone wanted is not wanted any more. */
  consumerGone(stream: Stream): void {
    if (stream.config.retention !== 'interest') return
    for (const { subject } of stream.subjects('>'))
      for (const sequence of stream.sequencesOf(subject))
        if (!this.#isWanted(stream, sequence, subject, null)) this.#remove(stream, sequence)
  }

  #isWanted(stream: Stream, sequence: number, subject: string, except: Consumer | null): boolean {
    for (const consumer of stream.consumers.values()) {
      if (consumer === except || (subject !== '' && !consumer.wants(subject))) continue
      if (this.#waitsFor(consumer, sequence)) return true
    }
    return false
  }

  #waitsFor({ owner, name }: Consumer, sequence: number): boolean {
    try {
      return !this.#space.isDone(owner.name, name, 0, owner.offsetOf(sequence))
    } catch (cause) {
      if (cause instanceof CoreError) return false // its subscription was deleted this turn
      throw cause
    }
  }

  /** All of one turn in one step. */
  #remove(stream: Stream, sequence: number): void {
    const going = this.#going.get(stream)
    if (going !== undefined) {
      going.push(sequence)
      return
    }
    const first = [sequence]
    this.#going.set(stream, first)
    queueMicrotask(() => {
      this.#going.delete(stream)
      // A stream that is gone meanwhile took them with it.
      stream.remove(first.sort((a, b) => a - b)).catch(() => undefined)
    })
  }
}
