/** Connections of clients, their channels and consumers. Monitoring sees everybody's, others their own. */

import { notFound } from '../errors.ts'
import { listed, shaped } from '../page.ts'
import type { Call, Route } from '../route.ts'
import {
  type ClientConnection,
  channelsOf,
  channelView,
  clientConnections,
  connectionView,
  consumersOf,
  consumerView,
} from '../views.ts'

function visible(call: Call): ClientConnection[] {
  const { caller } = call
  const all = clientConnections(call.broker)
  return caller.monitor ? all : all.filter(({ listing }) => listing.user === caller.name)
}

function inVhost(call: Call): ClientConnection[] {
  const { namespace } = call.caller.space(call.vhost)
  return visible(call).filter(({ listing }) => listing.namespace === namespace)
}

function connection(call: Call): ClientConnection {
  const found = visible(call).find(({ name }) => name === call.parameter('name'))
  if (found === undefined) throw notFound()
  return found
}

const connectionList = (call: Call, connections: readonly ClientConnection[]): unknown =>
  listed(
    call,
    connections.map((each) => connectionView(each, call.rates)),
    ['name'],
  )

const channelList = (call: Call, connections: readonly ClientConnection[]): unknown =>
  listed(call, channelsOf(connections).map(channelView), ['name'])

const consumerList = (call: Call, connections: readonly ClientConnection[]): unknown =>
  listed(call, consumersOf(channelsOf(connections)), ['consumer_tag'])

/** Closes it in its protocol's own words; the reason that the caller may give goes to the log. */
function close(call: Call, { listing }: ClientConnection): null {
  const reason = call.request.headers['x-reason']
  const why = typeof reason === 'string' && reason !== '' ? reason : 'Closed via management plugin'
  call.broker.closeConnection(listing.id, why)
  return null
}

export const connectionRoutes: readonly Route[] = [
  { method: 'GET', path: '/connections', handle: (call) => connectionList(call, visible(call)) },
  { method: 'GET', path: '/vhosts/:vhost/connections', handle: (call) => connectionList(call, inVhost(call)) },
  {
    method: 'GET',
    path: '/connections/username/:user',
    handle: (call) =>
      connectionList(
        call,
        visible(call).filter(({ listing }) => listing.user === call.parameter('user')),
      ),
  },
  {
    method: 'DELETE',
    path: '/connections/username/:user',
    handle: (call) => {
      for (const each of visible(call)) if (each.listing.user === call.parameter('user')) close(call, each)
      return null
    },
  },
  { method: 'GET', path: '/connections/:name', handle: (call) => shaped(call, connectionView(connection(call), call.rates)) },
  { method: 'DELETE', path: '/connections/:name', handle: (call) => close(call, connection(call)) },
  { method: 'GET', path: '/connections/:name/channels', handle: (call) => channelList(call, [connection(call)]) },
  { method: 'GET', path: '/channels', handle: (call) => channelList(call, visible(call)) },
  { method: 'GET', path: '/vhosts/:vhost/channels', handle: (call) => channelList(call, inVhost(call)) },
  {
    method: 'GET',
    path: '/channels/:channel',
    handle: (call) => {
      const found = channelsOf(visible(call)).find(({ name }) => name === call.parameter('channel'))
      if (found === undefined) throw notFound()
      const details = found.channel.consumers.map((consumer) => consumerView(found, consumer))
      return shaped(call, { ...channelView(found), consumer_details: details })
    },
  },
  { method: 'GET', path: '/consumers', handle: (call) => consumerList(call, visible(call)) },
  { method: 'GET', path: '/consumers/:vhost', handle: (call) => consumerList(call, inVhost(call)) },
]
