/** Vhosts: namespaces, with a description and tags. */
import type { Broker, Space } from '../../../broker/face.ts'
import { badRequest, notFound } from '../errors.ts'
import { flag, object, text } from '../fields.ts'
import type { Json } from '../json.ts'
import { namespaceOf, nodeName, vhostOf } from '../names.ts'
import { listed, shaped } from '../page.ts'
import { depths, keyOfNamespace, messageStats, noTotals, plus, totalsOf } from '../rates.ts'
import { type Call, put, type Route } from '../route.ts'
import { tagsOf } from './users.ts'

export interface VhostWords {
  readonly description: string
  readonly tags: readonly string[]
}

const rows = (broker: Broker) => broker.rows('rabbitmq vhosts')

export function vhostWords(broker: Broker, vhost: string): VhostWords {
  const stored = rows(broker).get(vhost)
  if (stored !== undefined) return JSON.parse(stored) as VhostWords // our own rows
  return { description: vhost === '/' ? 'Default virtual host' : '', tags: [] }
}

/** Creates it or changes its words; true when it is new. */
export async function putVhost(call: Call, vhost: string, body: Json): Promise<boolean> {
  const given = vhostFields(vhost, body)
  const { broker, caller } = call
  const isNew = !broker.namespaces().includes(namespaceOf(vhost))
  if (isNew) await broker.createNamespace(caller.principal, namespaceOf(vhost))
  const present = vhostWords(broker, vhost)
  const words: VhostWords = {
    description: text(given, 'description', present.description),
    tags: given['tags'] === undefined ? present.tags : tagsOf(given['tags']),
  }
  rows(broker).put(vhost, JSON.stringify(words))
  await rows(broker).durable()
  return isNew
}

/** The body with what its metadata say as well; throws an ApiError for what cannot be honoured. */
export function vhostFields(vhost: string, body: Json): Json {
  if (vhost === '' || vhost === 'default')
    throw badRequest(
      `a vhost cannot be called "${vhost}": ${vhost === '' ? 'it needs a name' : 'this name is used for the vhost /'}`,
    )
  const given = { ...object(body, 'metadata'), ...body }
  const type = given['default_queue_type']
  if (type !== undefined && type !== null && type !== 'classic' && type !== 'undefined')
    throw badRequest(`default_queue_type ${String(type)} is not supported: declare queues with x-queue-type`)
  for (const unsupported of ['tracing', 'protected_from_deletion'])
    if (flag(given, unsupported, false)) throw badRequest(`${unsupported} is not supported`)
  return given
}

async function deleteVhost(call: Call): Promise<null> {
  const { broker, caller, vhost } = call
  caller.requireAdministrator()
  const namespace = namespaceOf(vhost)
  if (!broker.namespaces().includes(namespace) || vhost === 'default') throw notFound()
  await broker.deleteNamespace(caller.principal, namespace)
  for (const each of broker.connections())
    if (each.namespace === namespace) broker.closeConnection(each.id, `vhost '${vhost}' is deleted`)
  for (const { name, permissions, keyPermissions } of broker.users.list()) {
    const other = (each: { namespace: string }): boolean => each.namespace !== namespace
    if (permissions.every(other) && keyPermissions.every(other)) continue
    await broker.users.put(name, { permissions: permissions.filter(other), keyPermissions: keyPermissions.filter(other) })
  }
  rows(broker).delete(vhost)
  await rows(broker).durable()
  return null
}

function view(call: Call, space: Space): Json {
  const { broker, rates } = call
  const vhost = vhostOf(space.namespace)
  const words = vhostWords(broker, vhost)
  let totals = noTotals
  for (const { name } of space.topics()) {
    const status = space.status(name)
    if (status !== undefined) totals = plus(totals, totalsOf(status))
  }
  const rate = rates.of(keyOfNamespace(space.namespace))
  return {
    name: vhost,
    ...words,
    metadata: words,
    tracing: false,
    cluster_state: { [nodeName]: 'running' },
    ...depths(totals, rate),
    message_stats: messageStats(totals, rate),
  }
}

export const vhostRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/vhosts',
    handle: (call) =>
      listed(
        call,
        call.caller.spaces().map((space) => view(call, space)),
        ['name'],
      ),
  },
  { method: 'GET', path: '/vhosts/:vhost', handle: (call) => shaped(call, view(call, call.caller.space(call.vhost))) },
  {
    method: 'PUT',
    path: '/vhosts/:vhost',
    handle: async (call) => {
      call.caller.requireAdministrator()
      return put(await putVhost(call, call.vhost, await call.body()))
    },
  },
  { method: 'DELETE', path: '/vhosts/:vhost', handle: deleteVhost },
]
