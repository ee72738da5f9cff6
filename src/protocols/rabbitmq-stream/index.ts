// RabbitMQ's stream protocol, on port 5552. session.ts is what a connection does.
import type { Protocol } from '../../broker/face.ts'
import { batchFormat, messageFormat } from './mapping.ts'
import { Session } from './session.ts'

export const protocol: Protocol = {
  name: 'rabbitmq-stream',
  listeners: [{ name: 'rabbitmq-stream', port: 5552 }],
  formats: [messageFormat, batchFormat],
  open: (connection, broker) => new Session(connection, broker),
}
