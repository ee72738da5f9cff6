/** Who is connected. */
import { CoreError } from '../../broker/face.ts'
import { invalid } from '../errors.ts'
import type { Route } from '../route.ts'

export const connectionRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/connections',
    tag: 'connections',
    summary: 'List connections with protocol, client name and version',
    admin: true,
    handle: ({ broker }) => ({ connections: broker.connections() }),
  },
  {
    method: 'DELETE',
    path: '/v1/connections/{id}',
    tag: 'connections',
    summary: 'Close a connection',
    admin: true,
    status: 204,
    handle: ({ broker, parameter }) => {
      const id = Number(parameter('id'))
      if (!Number.isSafeInteger(id)) throw invalid(`"${parameter('id')}" is not the id of a connection`)
      if (!broker.closeConnection(id, 'closed by an administrator'))
        throw new CoreError('NotFound', `there is no connection ${id}`)
    },
  },
]
