// channel, access, confirm and tx: what sets or ends the state of a channel.
import { AmqpError, preconditionFailed } from '../errors.ts'
import type { Handlers } from './all.ts'

type Names =
  | 'channel.open'
  | 'channel.flow'
  | 'channel.close'
  | 'access.request'
  | 'confirm.select'
  | 'tx.select'
  | 'tx.commit'
  | 'tx.rollback'

export const channelHandlers: Handlers<Names> = {
  'channel.open'() {
    throw new AmqpError('CHANNEL_ERROR', "second 'channel.open' seen")
  },
  'channel.flow'(channel, { active }) {
    if (!active) throw new AmqpError('NOT_IMPLEMENTED', 'active=false')
    channel.session.send(channel.number, 'channel.flow-ok', { active })
  },
  'channel.close'(channel) {
    channel.session.closeChannel(channel)
  },
  'access.request'(channel) {
    channel.session.send(channel.number, 'access.request-ok', { ticket: 1 })
  },
  'confirm.select'(channel, { nowait }) {
    if (channel.transactional) throw preconditionFailed('cannot switch from tx to confirm mode')
    channel.publisher.confirming = true
    if (!nowait) channel.session.send(channel.number, 'confirm.select-ok', {})
  },
  'tx.select'(channel) {
    if (channel.publisher.confirming) throw preconditionFailed('cannot switch from confirm to tx mode')
    channel.selectTransactions()
    channel.session.send(channel.number, 'tx.select-ok', {})
  },
  async 'tx.commit'(channel) {
    if (!channel.transactional) throw preconditionFailed('channel is not transactional')
    await channel.commit()
    channel.session.send(channel.number, 'tx.commit-ok', {})
  },
  'tx.rollback'(channel) {
    if (!channel.transactional) throw preconditionFailed('channel is not transactional')
    channel.rollback()
    channel.session.send(channel.number, 'tx.rollback-ok', {})
  },
}
