/** Health checks: 200 with status ok, or 503 with what is wrong. */
import type { HttpAnswer } from '../../../broker/face.ts'
import { badRequest } from '../errors.ts'
import { json } from '../json.ts'
import { nodeName } from '../names.ts'
import type { Call, Route } from '../route.ts'
import { Answer } from '../route.ts'
import { listeners } from './overview.ts'

const ok = { status: 'ok' }
const failed = (reason: string, more: object = {}): Answer =>
  new Answer(json({ status: 'failed', reason, ...more }, 503) satisfies HttpAnswer)

function alarms({ broker }: Call): unknown {
  if (broker.pressure === 'none') return ok
  return failed('There are alarms in effect in the cluster', { alarms: [{ node: nodeName, resource: broker.pressure }] })
}

/** There are no replicas, so none can be missing. */
const singleNode = (): unknown => ({ status: 'ok', reason: 'single node cluster' })

const check = (path: string, handle: Route['handle']): Route => ({ method: 'GET', path: `/health/checks/${path}`, handle })

export const healthRoutes: readonly Route[] = [
  check('alarms', alarms),
  // The one check of older versions.
  { method: 'GET', path: '/healthchecks/node', handle: alarms },
  { method: 'GET', path: '/healthchecks/node/:node', handle: alarms },
  check('local-alarms', alarms),
  check('virtual-hosts', () => ok),
  check('node-is-mirror-sync-critical', singleNode),
  check('node-is-quorum-critical', singleNode),
  // There are no replicas that could be without a leader, and one node is the whole cluster.
  ...['all-vhosts', 'vhost/:vhost', 'all-vhosts/pattern/:pattern', 'vhost/:vhost/pattern/:pattern'].map((path) =>
    check(`quorum-queues-without-elected-leaders/${path}`, () => ok),
  ),
  check('reached-target-cluster-size', () => ok),
  // It listens only once everything that was stored is read.
  check('metadata-store/initialized', () => ok),
  check('metadata-store/initialized/with-data', () => ok),
  check('is-in-service', ({ facts }) => (facts.ready() ? ok : failed('the node is starting or stopping'))),
  check('ready-to-serve-clients', ({ facts }) => (facts.ready() ? ok : failed('the node is starting or stopping'))),
  check('below-node-connection-limit', ({ broker }) => {
    const { connections } = broker.stats()
    const limit = broker.limits.connectionsMax
    return connections < limit
      ? { ...ok, connections, limit }
      : failed('the limit on connections is reached', { connections, limit })
  }),
  check('port-listener/:port', (call) => {
    const port = Number(call.parameter('port'))
    if (!Number.isInteger(port) || port < 1 || port > 65_535) throw badRequest('Invalid port')
    const ports = listeners(call).map((each) => each.port)
    return ports.includes(port) ? { ...ok, port } : failed('No active listener', { missing: port, ports })
  }),
  check('protocol-listener/:protocol', (call) => {
    const protocol = call.parameter('protocol')
    const protocols = listeners(call).map((each) => each.protocol)
    return protocols.includes(protocol) ? { ...ok, protocol } : failed('No active listener', { missing: protocol, protocols })
  }),
]
