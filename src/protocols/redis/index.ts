/** Redis on port 6379: session.ts is what a connection does, executor.ts runs commands, commands/ has them. */
import type { Protocol } from '../../broker/face.ts'
import { elementFormat, placedFormat } from './list-envelope.ts'
import { listsOf } from './lists.ts'
import { payloadFormat } from './mapping.ts'
import { Server } from './server.ts'
import { Session } from './session.ts'
import { entryFormat } from './stream-envelope.ts'
import { streamsOf } from './streams.ts'

export const protocol: Protocol = {
  name: 'redis',
  listeners: [{ name: 'redis', port: 6379 }],
  formats: [elementFormat, placedFormat, entryFormat, payloadFormat],
  start: async (broker) => {
    const server = Server.of(broker)
    server.provide(listsOf(server))
    server.provide(streamsOf(server))
    await streamsOf(server).load()
    await server.load()
  },
  open: (connection, broker) => new Session(connection, broker),
}
