/** Vhosts: namespaces, with a description and tags. */
import type { Space } from '../../../broker/face.ts'
import { type VhostWords, vhostRows, vhostWords } from '../../amqp/vhosts.ts'
import { ApiError, badRequest, notFound } from '../errors.ts'
import { flag, object, text } from '../fields.ts'
import type { Json } from '../json.ts'
import { namespaceOf, nodeName, vhostOf } from '../names.ts'
import { listed, shaped } from '../page.ts'
import { depths, keyOfNamespace, messageStats, noTotals, plus, totalsOf } from '../rates.ts'
import { type Call, created, put, type Route } from '../route.ts'
import { tagsOf } from './users.ts'

/** Creates it or changes its words; true when it is new. */
export async function putVhost(call: Call, vhost: string, body: Json): Promise<boolean> {
  const given = vhostFields(vhost, body)
  const { broker, caller } = call
  const isNew = !broker.namespaces().includes(namespaceOf(vhost))
  if (isNew) await broker.createNamespace(caller.principal, namespaceOf(vhost))
  const present = vhostWords(broker, vhost)
  const type = given['default_queue_type']
  await keepWords(call, vhost, {
    ...present,
    description: text(given, 'description', present.description),
    tags: given['tags'] === undefined ? present.tags : tagsOf(given['tags']),
    ...(isQueueType(type) ? { default_queue_type: type } : {}),
    ...(flag(given, 'protected_from_deletion', false) ? { protected_from_deletion: true } : {}),
  })
  return isNew
}

async function keepWords({ broker }: Call, vhost: string, words: VhostWords): Promise<void> {
  vhostRows(broker).put(vhost, JSON.stringify(words))
  await vhostRows(broker).durable()
}

type QueueType = NonNullable<VhostWords['default_queue_type']>
const isQueueType = (given: unknown): given is QueueType => given === 'classic' || given === 'quorum' || given === 'stream'

async function protect(call: Call, isProtected: boolean): Promise<unknown> {
  call.caller.requireAdministrator()
  call.caller.space(call.vhost)
  const { protected_from_deletion: _, ...words } = vhostWords(call.broker, call.vhost)
  await keepWords(call, call.vhost, isProtected ? { ...words, protected_from_deletion: true } : words)
  return isProtected ? created : null
}

/** The body with what its metadata say as well; throws an ApiError for what cannot be honoured. */
export function vhostFields(vhost: string, body: Json): Json {
  if (vhost === '' || vhost === 'default')
    throw badRequest(
      `a vhost cannot be called "${vhost}": ${vhost === '' ? 'it needs a name' : 'this name is used for the vhost /'}`,
    )
  const given = { ...object(body, 'metadata'), ...body }
  const type = given['default_queue_type']
  if (type !== undefined && type !== null && type !== 'undefined' && !isQueueType(type))
    throw badRequest(`default_queue_type ${String(type)} is unknown`)
  if (flag(given, 'tracing', false)) throw badRequest('tracing is not supported')
  return given
}

async function deleteVhost(call: Call): Promise<null> {
  const { broker, caller, vhost } = call
  caller.requireAdministrator()
  const namespace = namespaceOf(vhost)
  if (!broker.namespaces().includes(namespace) || vhost === 'default') throw notFound()
  if (vhostWords(broker, vhost).protected_from_deletion === true)
    throw new ApiError(
      412,
      'precondition_failed',
      `Refusing to delete virtual host '${vhost}' because it is protected from deletion`,
    )
  await broker.deleteNamespace(caller.principal, namespace)
  for (const each of broker.connections())
    if (each.namespace === namespace) broker.closeConnection(each.id, `vhost '${vhost}' is deleted`)
  for (const { name, permissions, keyPermissions } of broker.users.list()) {
    const other = (each: { namespace: string }): boolean => each.namespace !== namespace
    if (permissions.every(other) && keyPermissions.every(other)) continue
    await broker.users.change(name, (present) =>
      present === undefined
        ? null
        : { permissions: present.permissions.filter(other), keyPermissions: present.keyPermissions.filter(other) },
    )
  }
  vhostRows(broker).delete(vhost)
  await vhostRows(broker).durable()
  return null
}

/** As lists and definitions show it. */
export function vhostFacts(words: VhostWords): Json {
  const typed = { ...words, default_queue_type: words.default_queue_type ?? 'classic' }
  return { protected_from_deletion: false, ...typed, metadata: typed }
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
    ...vhostFacts(words),
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
  {
    method: 'GET',
    path: '/vhosts/:vhost/deletion/protection',
    handle: (call) => {
      call.caller.space(call.vhost)
      return { protected_from_deletion: vhostWords(call.broker, call.vhost).protected_from_deletion === true }
    },
  },
  { method: 'POST', path: '/vhosts/:vhost/deletion/protection', handle: (call) => protect(call, true) },
  { method: 'DELETE', path: '/vhosts/:vhost/deletion/protection', handle: (call) => protect(call, false) },
]
