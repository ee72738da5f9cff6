/** The one JetStream of each namespace. */
import type { Broker } from '../../../broker/face.ts'
import { accountsOf } from '../accounts/accounts.ts'
import { JetStream } from './jetstream.ts'

export function jetStreamOf(broker: Broker, namespace: string): JetStream {
  return broker.shared(`nats.jetstream.${namespace}`, () => {
    const account = accountsOf(broker)?.all.find((each) => each.namespace === namespace)
    return new JetStream(broker, namespace, account?.streamLimits ?? undefined)
  })
}
