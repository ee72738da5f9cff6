/** Protocols that take no new records, so that what there is can be worked off. */
import { flag, onlyKeys } from '../input.ts'
import type { Route, Schema } from '../route.ts'

const drainingSchema: Schema = {
  type: 'object',
  properties: { protocol: { type: 'string' }, draining: { type: 'boolean' } },
}

export const drainingRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/draining',
    tag: 'server',
    summary: 'List protocols that can be told to take no new records',
    response: { type: 'object', properties: { protocols: { type: 'array', items: drainingSchema } } },
    handle: ({ broker }) => ({ protocols: broker.draining.list() }),
  },
  {
    method: 'PUT',
    path: '/v1/draining/{protocol}',
    tag: 'server',
    summary: 'Let clients of a protocol put no new records, or let them again',
    description: 'They are refused in the protocol’s own words, and consumers go on. It ends with a restart.',
    admin: true,
    body: { type: 'object', required: ['draining'], properties: { draining: { type: 'boolean' } } },
    response: drainingSchema,
    handle: ({ broker, parameter, body }) => {
      onlyKeys(body, ['draining'])
      const draining = flag(body, 'draining')
      const protocol = parameter('protocol')
      broker.draining.set(protocol, draining)
      broker.log.info({ protocol, draining }, draining ? 'takes no new records' : 'takes new records again')
      return { protocol, draining }
    },
  },
]
