// AMQP 0-9-1 with RabbitMQ's extensions, on port 5672. session.ts is what a connection does.
import type { Broker, Connection, Protocol } from '../../broker/face.ts'
import { lazily } from '../../lib/lazy.ts'
import { messageFormat } from './mapping.ts'

export const protocol: Protocol = {
  name: 'amqp',
  listeners: [{ name: 'amqp', port: 5672 }],
  formats: [messageFormat],
  /** Bytes 5-8 of the header tell the versions apart: 0 0 9 1 is ours; 0, 2 or 3 followed by 1 0 0 is AMQP 1.0. */
  detect(firstBytes) {
    if (firstBytes.length < 8) return undefined
    return !(firstBytes.toString('latin1', 0, 4) === 'AMQP' && firstBytes[5] === 1)
  },
  open: lazily(
    () => import('./session.ts'),
    ({ Session }, connection: Connection, broker: Broker) => new Session(connection, broker),
  ),
}
