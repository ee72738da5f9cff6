/** What stands behind the port, loaded and begun once for each broker: keys are read back before the first command. */
import type { Broker } from '../../broker/face.ts'
import { Server } from './server.ts'
import { Session } from './session.ts'

export async function begin(broker: Broker): Promise<typeof Session> {
  const server = Server.of(broker)
  await server.streams.load()
  await server.load()
  return Session
}
