/** Disque on port 7711: session.ts is what a connection does, commands/ has the commands, queue.ts is what becomes of jobs. */
import type { Broker, Protocol } from '../../broker/face.ts'
import { lazily } from '../../lib/lazy.ts'
import { jobFormat } from './mapping.ts'

export const protocol: Protocol = {
  name: 'disque',
  listeners: [{ name: 'disque', port: 7711 }],
  formats: [jobFormat],
  // Jobs whose delay is not over are held before anybody gets them.
  start: async (broker: Broker) => {
    if (broker.rows('disque.delays').size === 0) return
    const { Server } = await import('./server.ts')
    await Server.of(broker).start()
  },
  open: lazily(
    () => import('./session.ts'),
    ({ Session }, connection, broker) => new Session(connection, broker),
  ),
}
