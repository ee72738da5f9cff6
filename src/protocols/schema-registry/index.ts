/** Confluent's Schema Registry REST API on port 8081, opened when it is enabled (handler.ts is what happens to a request). */
import type { Protocol } from '../../broker/face.ts'
import { answeringLazily } from '../../lib/lazy.ts'
import { recordCheck } from './record-check.ts'
import { registryOf } from './registry.ts'

export const protocol: Protocol = {
  name: 'schema-registry',
  listeners: [{ name: 'schema-registry', port: 8081, kind: 'http' }],
  formats: [],
  // Topics may ask for schemas whether the port is open or not. The check must answer at once, so what it needs is there; ajv and the like are not yet.
  start: (broker) => broker.checkRecords(recordCheck(registryOf(broker))),
  serve: (broker, facts) => answeringLazily(async () => new (await import('./handler.ts')).RegistryHandler(broker, facts)),
}
