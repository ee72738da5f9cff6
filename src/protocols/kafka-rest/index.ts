/** Confluent's REST proxy for Kafka on port 8082, opened when it is enabled (handler.ts is what happens to a request). */
import type { Protocol } from '../../broker/face.ts'
import { answeringLazily } from '../../lib/lazy.ts'

export const protocol: Protocol = {
  name: 'kafka-rest',
  listeners: [{ name: 'kafka-rest', port: 8082, kind: 'http' }],
  formats: [],
  serve: (broker) => answeringLazily(async () => new (await import('./handler.ts')).RestHandler(broker)),
}
