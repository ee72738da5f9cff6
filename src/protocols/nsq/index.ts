/**
 * NSQ: nsqd's protocol V2 (session.ts) and HTTP (http/), nsqlookupd's protocol V1 and HTTP (lookup/). The two ports of bytes tell clients apart by their
 * first four (greeting.ts).
 */
import type { Broker, Connection, Protocol } from '../../broker/face.ts'
import { answeringLazily, lazily } from '../../lib/lazy.ts'
import { messageFormat } from './mapping.ts'

export const protocol: Protocol = {
  name: 'nsq',
  asksForTls: true,
  listeners: [
    { name: 'nsqd', port: 4150 },
    { name: 'nsqd-http', port: 4151, kind: 'http' },
    { name: 'nsqlookupd', port: 4160 },
    { name: 'nsqlookupd-http', port: 4161, kind: 'http' },
  ],
  formats: [messageFormat],
  open: lazily(
    () => import('./greeting.ts'),
    ({ Greeting }, connection: Connection, broker: Broker) => new Greeting(connection, broker),
  ),
  serve: (broker, server, listener) => {
    if (listener !== 'nsqd-http')
      return answeringLazily(async () => new (await import('./lookup/handler.ts')).LookupHandler(broker, server))
    const handler = answeringLazily(async () => new (await import('./http/handler.ts')).NsqdHandler(broker, server))
    // Where it was told to announce itself, it does so from the start.
    if (broker.rows('nsq.lookupd').size === 0) return handler
    const announcing = import('./lookup/announcing.ts').then(({ Announcing }) => Announcing.of(broker))
    const failed = (cause: unknown): void => broker.log.error({ error: String(cause) }, 'nsqlookupd cannot be told')
    announcing.then((each) => each.begin(server), failed)
    return {
      answer: handler.answer,
      drain: () => {
        handler.drain()
        announcing.then((each) => each.stop(), failed)
      },
    }
  },
}
