/** How commands store elements and entries: each in the topic of its name, at once; that it is durable the reply waits for. */
import { CoreError, PublishItem, type Space } from '../../broker/face.ts'
import { ownConnection } from './pubsub.ts'

const nothing = Buffer.alloc(0)
/** One for all: a publish that nobody waits for is over when it returns. */
const item = new PublishItem('', '', 0, nothing)
item.connection = ownConnection
const items = [item]

/** Returns the offset. `alone`: nobody else gets it, as with {@link PublishItem.into}. Throws CoreError. */
export function storeRecord(space: Space, topic: string, format: number, payload: Buffer, alone = false): number {
  item.renew(topic, format, payload)
  item.into = alone ? topic : null
  space.publish(items, null)
  item.payload = nothing
  const { errorCode, errorMessage, routedTo } = item
  if (errorCode !== null || routedTo === 0)
    throw new CoreError(errorCode ?? 'NotFound', errorMessage || `no topic "${topic}"`, topic)
  return item.baseOffset
}
