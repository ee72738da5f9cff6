/** NATS core publish and subscribe on port 4222, over WebSocket on 8080 (session.ts is what a connection does), JetStream (jetstream/), and its monitoring pages on 8222 (monitoring.ts). */
import type { Broker, Connection, Protocol } from '../../broker/face.ts'
import { answeringLazily, lazily } from '../../lib/lazy.ts'
import { deliveryFormat, messageFormat, payloadFormat } from './mapping.ts'
import { declaredBy, everything, factsKey } from './owner.ts'

export const protocol: Protocol = {
  name: 'nats',
  speaksFirst: true,
  listeners: [
    { name: 'nats', port: 4222 },
    { name: 'nats-websocket', port: 8080, kind: 'websocket' },
    { name: 'nats-monitoring', port: 8222, kind: 'http' },
  ],
  webSocket: { subprotocols: ['nats'], messages: 'any' },
  formats: [messageFormat, payloadFormat, deliveryFormat],
  // Consumers and copies act by themselves: where there are streams, they begin with the broker.
  start: async (broker) => {
    if (broker.settingsOf('nats') !== undefined) await (await import('./accounts/accounts.ts')).makeNamespaces(broker)
    const holding = broker.namespaces().filter((namespace) =>
      broker
        .space(everything, namespace)
        .topics()
        .some((topic) => topic.declaredBy === declaredBy),
    )
    if (holding.length === 0) return
    import('./jetstream/of.ts').then(
      ({ jetStreamOf }) => {
        for (const namespace of holding) jetStreamOf(broker, namespace)
      },
      (cause: unknown) => broker.log.error({ error: String(cause) }, 'JetStream could not be started'),
    )
  },
  open: lazily(
    () => import('./session.ts'),
    ({ Session }, connection: Connection, broker: Broker) => new Session(connection, broker),
  ),
  serve: (broker, facts) => {
    // For requests of tools that come over the protocol.
    broker.shared(factsKey, () => facts)
    return answeringLazily(async () => new (await import('./monitoring.ts')).MonitoringHandler(broker, facts))
  },
}
