/** The one JetStream of each namespace. */
import type { Broker } from '../../../broker/face.ts'
import { JetStream } from './jetstream.ts'

export function jetStreamOf(broker: Broker, namespace: string): JetStream {
  return broker.shared(`nats.jetstream.${namespace}`, () => new JetStream(broker, namespace))
}
