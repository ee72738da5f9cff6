// RabbitMQ's stream protocol, on port 5552. session.ts is what a connection does.
import type { Broker, Connection, Protocol } from '../../broker/face.ts'
import { lazily } from '../../lib/lazy.ts'
import { batchFormat, messageFormat } from './mapping.ts'

export const protocol: Protocol = {
  name: 'rabbitmq-stream',
  listeners: [{ name: 'rabbitmq-stream', port: 5552 }],
  formats: [messageFormat, batchFormat],
  open: lazily(
    () => import('./session.ts'),
    ({ Session }, connection: Connection, broker: Broker) => new Session(connection, broker),
  ),
}
