/** STOMP 1.0, 1.1 and 1.2 in the dialects of RabbitMQ and ActiveMQ, on port 61613, over WebSocket on 15674. session.ts is what a connection does. */
import type { Broker, Connection, Protocol } from '../../broker/face.ts'
import { lazily } from '../../lib/lazy.ts'
import { messageFormat } from './mapping.ts'

export const protocol: Protocol = {
  name: 'stomp',
  listeners: [
    { name: 'stomp', port: 61613 },
    { name: 'stomp-websocket', port: 15674, kind: 'websocket' },
  ],
  // Clients in web pages expect text, and take binary messages where a body is no text.
  webSocket: { subprotocols: ['v12.stomp', 'v11.stomp', 'v10.stomp'], messages: 'text' },
  formats: [messageFormat],
  open: lazily(
    () => import('./session.ts'),
    ({ Session }, connection: Connection, broker: Broker) => new Session(connection, broker),
  ),
}
