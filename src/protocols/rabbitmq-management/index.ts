/** RabbitMQ's management HTTP API on port 15672 (handler.ts is what happens to a request) and its figures for Prometheus on 15692. */
import type { Protocol } from '../../broker/face.ts'
import { ManagementHandler } from './handler.ts'
import { PrometheusHandler } from './prometheus.ts'

export const protocol: Protocol = {
  name: 'rabbitmq-management',
  listeners: [
    { name: 'rabbitmq-management', port: 15672, kind: 'http' },
    { name: 'rabbitmq-prometheus', port: 15692, kind: 'http' },
  ],
  formats: [],
  serve: (broker, facts, listener) =>
    listener === 'rabbitmq-prometheus' ? new PrometheusHandler(broker, facts) : new ManagementHandler(broker, facts),
}
