/** A message on its way into a queue: its group and its place against repetitions, and the queue's delay. */
import { PublishItem } from '../../../broker/face.ts'
import type { Clock } from '../../../lib/timers.ts'
import { encodeMessage, type Message, messageFormatId } from '../mapping.ts'
import type { Queue } from './queue.ts'

/**
 * `from`: the topic that it comes from; undefined when it was sent to the queue itself. A FIFO topic's message is not repeated in a standard queue
 * either.
 */
export function itemFor(
  clock: Clock,
  queue: Queue,
  message: Message,
  from?: string,
  delaySeconds = queue.number('DelaySeconds'),
): PublishItem {
  const item = new PublishItem(from === undefined ? null : '', queue.name, messageFormatId, encodeMessage(message))
  const { group, dedup } = message
  if (group !== undefined) item.key = Buffer.from(group)
  if (delaySeconds > 0) item.deliverAt = clock.now() + delaySeconds * 1000
  if (dedup === undefined) return item
  const scope = queue.attribute('DeduplicationScope') === 'messageGroup' ? `${group ?? ''}\u0000` : ''
  item.dedupId = queue.fifo ? scope + dedup : `${from ?? ''}\u0000${dedup}`
  return item
}
