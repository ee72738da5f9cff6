// Kafka's port. A connection's bytes go to session.ts.
import type { Broker, Connection, Protocol, Session } from '../../broker/face.ts'
import { formats } from '../../core/record.ts'
import { batchFormat, recordFormat } from './mapping.ts'
import { KafkaSession } from './session.ts'

formats.register(batchFormat)
formats.register(recordFormat)

export const protocol: Protocol = {
  name: 'kafka',
  listeners: [{ name: 'kafka', port: 9092 }],
  formats: [batchFormat, recordFormat],
  open: (connection: Connection, broker: Broker): Session => new KafkaSession(connection, broker),
}
