// Kafka's port. A connection's bytes go to session.ts.
import type { Broker, Connection, Protocol } from '../../broker/face.ts'
import { formats } from '../../core/record.ts'
import { lazily } from '../../lib/lazy.ts'
import { BrokerConfigs } from './broker-configs.ts'
import { batchFormat, recordFormat } from './mapping.ts'
import { TransactionCoordinator } from './transaction-coordinator.ts'

formats.register(batchFormat)
formats.register(recordFormat)

export const protocol: Protocol = {
  name: 'kafka',
  listeners: [{ name: 'kafka', port: 9092 }],
  formats: [batchFormat, recordFormat],
  start: async (broker: Broker) => {
    TransactionCoordinator.of(broker)
    await BrokerConfigs.of(broker).follow()
  },
  open: lazily(
    () => import('./session.ts'),
    ({ KafkaSession }, connection: Connection, broker: Broker) => new KafkaSession(connection, broker),
  ),
}
