/** A protocol's own log: a topic in a namespace without a name, so it is listed nowhere, kept until whoever writes it says what is needed no more. */
import type { EntryContent } from '../core/entry.ts'
import type { Log } from '../core/log.ts'
import { noMarks } from '../core/ops.ts'
import type { Shard } from '../core/shard.ts'
import type { Topic } from '../core/topic.ts'
import type { Journal } from './face.ts'
import { readEntries } from './reading.ts'

/** The format of entries that nobody but their writer reads. */
const ownFormatId = 0
const readBytes = 1024 * 1024

export class TopicJournal implements Journal {
  readonly #shard: Shard
  readonly #topic: Topic
  readonly #log: Log

  constructor(shard: Shard, topic: Topic) {
    this.#shard = shard
    this.#topic = topic
    this.#log = topic.logs[0] as Log // made with one
  }

  get start(): number {
    return this.#log.start
  }

  get next(): number {
    return this.#log.next
  }

  get bytes(): number {
    return this.#log.bytes
  }

  append(entry: Buffer): number {
    const content: EntryContent = {
      format: ownFormatId,
      count: 1,
      timestamp: this.#shard.clock.now(),
      expiresAt: 0,
      keyHash: 0,
      flags: 0,
      subject: null,
      annotations: null,
      payload: entry,
    }
    return this.#shard.committer.append(this.#log, content, noMarks)
  }

  whenDurable(done: (error: Error | null) => void): void {
    this.#shard.committer.whenDurable(done)
  }

  async replay(visit: (entry: Buffer) => void): Promise<void> {
    for (let offset = this.#log.start; offset < this.#log.committed; ) offset = await this.#replayFrom(offset, visit)
  }

  #replayFrom(offset: number, visit: (entry: Buffer) => void): Promise<number> {
    return new Promise((resolve, reject) => {
      readEntries(this.#log, offset, readBytes, ({ error, entries }) => {
        if (error !== null) return reject(new Error(`the journal "${this.#topic.name}" cannot be read at ${offset}: ${error}`))
        let next = this.#log.committed
        try {
          for (const { buffer, start, end, baseOffset } of entries) {
            if (baseOffset >= offset) visit(buffer.subarray(start, end))
            next = baseOffset + 1
          }
          resolve(next)
        } catch (cause) {
          reject(cause)
        }
      })
    })
  }

  truncate(before: number): void {
    const upTo = Math.min(before, this.#log.committed)
    if (upTo > this.#log.start) this.#shard.truncate(this.#topic, this.#log, upTo)
  }
}
