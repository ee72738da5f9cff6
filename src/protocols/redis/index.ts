/** Redis on port 6379: session.ts is what a connection does, executor.ts runs commands, commands/ has them. */
import type { Protocol } from '../../broker/face.ts'
import { Server } from './server.ts'
import { Session } from './session.ts'

export const protocol: Protocol = {
  name: 'redis',
  listeners: [{ name: 'redis', port: 6379 }],
  formats: [],
  start: (broker) => Server.of(broker).load(),
  open: (connection, broker) => new Session(connection, broker),
}
