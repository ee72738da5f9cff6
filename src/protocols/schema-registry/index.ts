/** Confluent's Schema Registry REST API on port 8081, opened when it is enabled (handler.ts is what happens to a request). */
import type { Broker, Protocol } from '../../broker/face.ts'
import { answeringLazily } from '../../lib/lazy.ts'

/** Topics may ask for schemas whether the port is open or not. */
async function judgeRecords(broker: Broker): Promise<void> {
  const [{ recordCheck }, { registryOf }] = await Promise.all([import('./record-check.ts'), import('./registry.ts')])
  broker.checkRecords(recordCheck(registryOf(broker)))
}

export const protocol: Protocol = {
  name: 'schema-registry',
  listeners: [{ name: 'schema-registry', port: 8081, kind: 'http' }],
  formats: [],
  // The check must answer at once, so what it needs is there; ajv and the like are not yet. While no schema is known, nothing is needed.
  start: async (broker) => {
    if (broker.rows('schema-registry.schemas').size > 0) return await judgeRecords(broker)
    broker.checkRecords(() => 'has no schema: none is registered')
  },
  serve: (broker, facts) =>
    answeringLazily(async () => {
      await judgeRecords(broker)
      return new (await import('./handler.ts')).RegistryHandler(broker, facts)
    }),
}
