/** What stands behind the port, loaded and begun once for each broker: keys are read back before the first command. */
import type { Broker } from '../../broker/face.ts'
import { listsOf } from './lists.ts'
import { Server } from './server.ts'
import { Session } from './session.ts'
import { streamsOf } from './streams.ts'

export async function begin(broker: Broker): Promise<typeof Session> {
  const server = Server.of(broker)
  server.provide(listsOf(server))
  server.provide(streamsOf(server))
  await streamsOf(server).load()
  await server.load()
  return Session
}
