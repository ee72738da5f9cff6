/** Confluent's Schema Registry REST API on port 8081, opened when it is enabled (handler.ts is what happens to a request). */
import type { Protocol } from '../../broker/face.ts'
import { RegistryHandler } from './handler.ts'
import { recordCheck } from './record-check.ts'
import { registryOf } from './registry.ts'

export const protocol: Protocol = {
  name: 'schema-registry',
  listeners: [{ name: 'schema-registry', port: 8081, kind: 'http' }],
  formats: [],
  // Topics may ask for schemas whether the port is open or not.
  start: (broker) => broker.checkRecords(recordCheck(registryOf(broker))),
  serve: (broker, facts) => new RegistryHandler(broker, facts),
}
