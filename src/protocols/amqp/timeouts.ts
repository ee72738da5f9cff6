// Deliveries that wait too long for their acknowledgement (x-consumer-timeout): a consumer of a quorum queue is cancelled and its
// messages return; everybody else loses the channel, as in RabbitMQ 4.3.
import type { Channel } from './channel.ts'
import { ChannelConsumer, type DeliveryOwner } from './consumer.ts'
import { preconditionFailed } from './errors.ts'

/** What stands for a cancelled consumer: its messages have returned, and late acknowledgements are no error. */
const gone: DeliveryOwner = { limited: false, timeoutMs: 0, settle() {}, settled() {}, close() {} }

/** Called about once a second. */
export function checkTimeouts(channel: Channel, now: number): void {
  if (!channel.open || channel.unacked.count === 0) return
  for (const consumer of channel.consumers.values()) channel.watch(consumer.timeoutMs)
  if (channel.timeoutMsLeast === 0) return
  const late = new Set<DeliveryOwner>()
  channel.unacked.olderThan(now - channel.timeoutMsLeast, (owner, at) => {
    if (0 < owner.timeoutMs && owner.timeoutMs <= now - at) late.add(owner)
  })
  for (const owner of late) {
    if (!channel.open) return
    if (owner instanceof ChannelConsumer && owner.type === 'quorum' && channel.session.capabilities.cancelNotify)
      cancel(channel, owner)
    else {
      const why =
        `delivery acknowledgement on channel ${channel.number} timed out. Timeout value used: ${owner.timeoutMs} ms. ` +
        'This timeout value can be configured, see consumers doc guide to learn more'
      channel.session.fail(channel, preconditionFailed(why), 0, 0)
    }
  }
}

function cancel(channel: Channel, consumer: ChannelConsumer): void {
  channel.flushAcks()
  const returned = channel.unacked.replace(consumer, gone).length
  channel.countUnacked(-returned)
  channel.consumers.delete(consumer.tag)
  // Closing it releases what it held, in place.
  consumer.close()
  channel.session.send(channel.number, 'basic.cancel', { consumerTag: consumer.tag, nowait: true })
}
