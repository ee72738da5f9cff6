/** RabbitMQ's management HTTP API on port 15672. handler.ts is what happens to a request. */
import type { Protocol } from '../../broker/face.ts'
import { ManagementHandler } from './handler.ts'

export const protocol: Protocol = {
  name: 'rabbitmq-management',
  listeners: [{ name: 'rabbitmq-management', port: 15672, kind: 'http' }],
  formats: [],
  serve: (broker, facts) => new ManagementHandler(broker, facts),
}
