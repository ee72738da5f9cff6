/** MQTT 3.1, 3.1.1 and 5.0 on port 1883. session.ts is what a connection does. */
import type { Protocol } from '../../broker/face.ts'
import { clientsOf } from './clients.ts'
import { messageFormat } from './mapping.ts'
import { Session } from './session.ts'

export const protocol: Protocol = {
  name: 'mqtt',
  listeners: [{ name: 'mqtt', port: 1883 }],
  formats: [messageFormat],
  start: (broker) => clientsOf(broker).start(),
  open: (connection, broker) => new Session(connection, broker),
}
