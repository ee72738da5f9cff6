/** RabbitMQ's management HTTP API on port 15672 (handler.ts is what happens to a request) and its figures for Prometheus on 15692. */
import type { Protocol } from '../../broker/face.ts'
import { answeringLazily } from '../../lib/lazy.ts'

export const protocol: Protocol = {
  name: 'rabbitmq-management',
  listeners: [
    { name: 'rabbitmq-management', port: 15672, kind: 'http' },
    { name: 'rabbitmq-prometheus', port: 15692, kind: 'http' },
  ],
  formats: [],
  serve: (broker, facts, listener) =>
    answeringLazily(async () => {
      if (listener === 'rabbitmq-prometheus') return new (await import('./prometheus.ts')).PrometheusHandler(broker, facts)
      return new (await import('./handler.ts')).ManagementHandler(broker, facts)
    }),
}
