/** After a start: what topics delay and is stored too lately to be seen is held back again. */
import { entryBase, entryCount, entryLength, entryTimestamp } from '../core/entry.ts'
import type { Log } from '../core/log.ts'
import type { Topic } from '../core/topic.ts'
import { findTime } from './reading.ts'

const chunkBytes = 256 * 1024

/** Entries of such topics bear the time of their arrival. */
export async function holdBack(topic: Topic, now: number): Promise<void> {
  const { delayMs } = topic.config
  if (delayMs === 0) return
  for (const [partition, log] of topic.logs.entries()) {
    const first = await findTime(log, now - delayMs + 1)
    for (let offset = first?.offset ?? log.next; offset < log.next; ) {
      const chunk = await chunkAt(log, offset)
      if (chunk === null || chunk.start === chunk.end) break
      for (let at = chunk.start; at < chunk.end; at += entryLength(chunk.buffer, at)) {
        const dueAt = entryTimestamp(chunk.buffer, at) + delayMs
        // One that is due stays hidden behind one that is not: the order of the log holds.
        if (dueAt > now || log.held !== null) topic.hold(partition, entryBase(chunk.buffer, at), dueAt)
      }
      offset = chunk.next
    }
  }
}

/** null: it cannot be read; reading it will say so. */
function chunkAt(log: Log, offset: number): Promise<{ buffer: Buffer; start: number; end: number; next: number } | null> {
  return new Promise((resolve) => {
    log.readChunk(offset, chunkBytes, (error, buffer, start, end) => {
      if (error !== null) return resolve(null)
      let next = offset
      for (let at = start; at < end; at += entryLength(buffer, at)) next = nextOf(buffer, at)
      resolve({ buffer, start, end, next })
    })
  })
}

const nextOf = (buffer: Buffer, at: number): number => entryBase(buffer, at) + entryCount(buffer, at)
