// Kafka's port. A connection's bytes go to session.ts.
import type { Broker, Connection, Protocol } from '../../broker/face.ts'
import { formats } from '../../core/record.ts'
import { lazily } from '../../lib/lazy.ts'
import { batchFormat, recordFormat } from './mapping.ts'
import { TransactionCoordinator } from './transaction-coordinator.ts'

formats.register(batchFormat)
formats.register(recordFormat)

export const protocol: Protocol = {
  name: 'kafka',
  listeners: [{ name: 'kafka', port: 9092 }],
  formats: [batchFormat, recordFormat],
  start: (broker: Broker) => void TransactionCoordinator.of(broker),
  open: lazily(
    () => import('./session.ts'),
    ({ KafkaSession }, connection: Connection, broker: Broker) => new KafkaSession(connection, broker),
  ),
}
