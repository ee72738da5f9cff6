/** NATS core publish and subscribe on port 4222, over WebSocket on 8080 (session.ts is what a connection does), and its monitoring pages on 8222 (monitoring.ts). */
import type { Broker, Connection, Protocol } from '../../broker/face.ts'
import { answeringLazily, lazily } from '../../lib/lazy.ts'
import { messageFormat, payloadFormat } from './mapping.ts'

export const protocol: Protocol = {
  name: 'nats',
  speaksFirst: true,
  listeners: [
    { name: 'nats', port: 4222 },
    { name: 'nats-websocket', port: 8080, kind: 'websocket' },
    { name: 'nats-monitoring', port: 8222, kind: 'http' },
  ],
  webSocket: { subprotocols: ['nats'], messages: 'any' },
  formats: [messageFormat, payloadFormat],
  open: lazily(
    () => import('./session.ts'),
    ({ Session }, connection: Connection, broker: Broker) => new Session(connection, broker),
  ),
  serve: (broker, facts) => answeringLazily(async () => new (await import('./monitoring.ts')).MonitoringHandler(broker, facts)),
}
