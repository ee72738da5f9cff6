// Every method a client may send on an open channel, and what it does. Hot ones (basic.publish, basic.ack) never come this way.
import type { Channel } from '../channel.ts'
import type { MethodFields, MethodName } from '../methods.ts'
import { basicHandlers } from './basic.ts'
import { channelHandlers } from './channel.ts'
import { exchangeHandlers } from './exchange.ts'
import { queueHandlers } from './queue.ts'

/** A handler that returns a promise holds back the connection's next frame until it is settled. */
export type Handlers<N extends MethodName> = {
  readonly [K in N]: (channel: Channel, fields: MethodFields<K>) => void | Promise<void>
}

export const handlers = { ...channelHandlers, ...exchangeHandlers, ...queueHandlers, ...basicHandlers }

/** Methods that need not see the effect of what was published before them. */
export const immediateMethods: ReadonlySet<MethodName> = new Set<MethodName>([
  'basic.nack',
  'basic.reject',
  'basic.qos',
  'basic.consume',
  'basic.cancel',
  'basic.recover',
  'basic.recover-async',
  'confirm.select',
  'channel.flow',
  'access.request',
])
