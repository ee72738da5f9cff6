/** MQTT 3.1, 3.1.1 and 5.0 on port 1883, over WebSocket on 8083. session.ts is what a connection does. */
import type { Broker, Connection, Protocol } from '../../broker/face.ts'
import { lazily } from '../../lib/lazy.ts'
import { clientsOf } from './clients.ts'
import { messageFormat } from './mapping.ts'

export const protocol: Protocol = {
  name: 'mqtt',
  listeners: [
    { name: 'mqtt', port: 1883 },
    { name: 'mqtt-websocket', port: 8083, kind: 'websocket' },
  ],
  // MQTT 5 [6.0.0-1] to [6.0.0-4]; `mqttv3.1` is what clients of MQTT 3.1 offer.
  webSocket: { subprotocols: ['mqtt', 'mqttv3.1'], messages: 'binary' },
  formats: [messageFormat],
  start: (broker) => clientsOf(broker).start(),
  open: lazily(
    () => import('./session.ts'),
    ({ Session }, connection: Connection, broker: Broker) => new Session(connection, broker),
  ),
}
