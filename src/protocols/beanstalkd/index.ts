/** beanstalkd's protocol (1.13) on port 11300. session.ts is what a connection does, server.ts what becomes of jobs. */
import type { Broker, Connection, Protocol } from '../../broker/face.ts'
import { Login } from './login.ts'
import { jobFormat } from './mapping.ts'
import { Server } from './server.ts'

export const protocol: Protocol = {
  name: 'beanstalkd',
  listeners: [{ name: 'beanstalkd', port: 11300 }],
  formats: [jobFormat],
  start: async (broker) => await Server.of(broker).tubes.start(),
  open: (connection: Connection, broker: Broker) => new Login(connection, broker),
}
