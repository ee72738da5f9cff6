/** Health, and what is running here. */
import { CoreError } from '../../broker/face.ts'
import { text } from '../input.ts'
import type { Route } from '../route.ts'

export const systemRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/healthz',
    tag: 'server',
    summary: 'Whether the process lives',
    open: true,
    handle: () => ({ status: 'ok' }),
  },
  {
    method: 'GET',
    path: '/readyz',
    tag: 'server',
    summary: 'Whether every listener is open and records can be stored',
    open: true,
    handle: ({ broker, server }) => {
      if (!server.ready()) throw new CoreError('Unavailable', 'not every listener is open')
      const { walFailed } = broker.stats()
      if (walFailed !== null) throw new CoreError('Unavailable', 'the write-ahead log has failed; nothing more is confirmed')
      return { status: 'ready' }
    },
  },
  {
    method: 'GET',
    path: '/v1/overview',
    tag: 'server',
    summary: 'Version, listeners and figures of this broker',
    handle: ({ broker, server }) => ({
      version: server.version,
      node: process.version,
      clusterId: broker.clusterId,
      startedAt: server.startedAt,
      listeners: server.listeners(),
      namespaces: broker.namespaces(),
      authenticationRequired: broker.authenticationRequired,
      limits: broker.limits,
      stats: broker.stats(),
    }),
  },
  {
    method: 'GET',
    path: '/v1/namespaces',
    tag: 'namespaces',
    summary: 'List namespaces',
    handle: ({ broker }) => ({ namespaces: broker.namespaces() }),
  },
  {
    method: 'POST',
    path: '/v1/namespaces',
    tag: 'namespaces',
    summary: 'Create a namespace',
    admin: true,
    status: 201,
    body: { type: 'object', required: ['name'], properties: { name: { type: 'string' } } },
    handle: async ({ broker, principal, body }) => {
      const name = text(body, 'name')
      await broker.createNamespace(principal, name)
      return { name }
    },
  },
  {
    method: 'DELETE',
    path: '/v1/namespaces/{name}',
    tag: 'namespaces',
    summary: 'Delete a namespace with all in it',
    admin: true,
    status: 204,
    handle: ({ broker, principal, parameter }) => broker.deleteNamespace(principal, parameter('name')),
  },
]
