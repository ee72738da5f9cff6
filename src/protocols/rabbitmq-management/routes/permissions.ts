/** Permissions (configure, write, read) and topic permissions (write, read), as the broker's manage, publish and consume. */
import type { KeyPermission, Permission, UserListing } from '../../../broker/face.ts'
import { badRequest, notFound } from '../errors.ts'
import { need, text } from '../fields.ts'
import type { Json } from '../json.ts'
import { namespaceOf, vhostOf } from '../names.ts'
import { listed } from '../page.ts'
import { fromWhole, toWhole } from '../pattern.ts'
import { type Call, put, type Route } from '../route.ts'
import { userOf } from './users.ts'

export const permissionJson = (user: string, { namespace, manage, publish, consume }: Permission): Json => ({
  user,
  vhost: vhostOf(namespace),
  configure: fromWhole(manage),
  write: fromWhole(publish),
  read: fromWhole(consume),
})

export const topicPermissionJson = (user: string, { namespace, exchange, publish, consume }: KeyPermission): Json => ({
  user,
  vhost: vhostOf(namespace),
  exchange,
  write: fromWhole(publish),
  read: fromWhole(consume),
})

export function permissionOf(vhost: string, body: Json): Permission {
  need(body, 'configure', 'write', 'read')
  return {
    namespace: namespaceOf(vhost),
    manage: toWhole(text(body, 'configure')),
    publish: toWhole(text(body, 'write')),
    consume: toWhole(text(body, 'read')),
  }
}

/** Topic permissions may name the user and the vhost they are for; the id of a client is not known here. */
export function topicPermissionOf(vhost: string, user: string, body: Json): KeyPermission {
  need(body, 'exchange', 'write', 'read')
  const filled = (name: string): string => {
    const pattern = text(body, name)
    if (pattern.includes('{client_id}')) throw badRequest('{client_id} is not supported in topic permissions')
    return toWhole(pattern.replaceAll('{username}', RegExp.escape(user)).replaceAll('{vhost}', RegExp.escape(vhost)))
  }
  return { namespace: namespaceOf(vhost), exchange: text(body, 'exchange'), publish: filled('write'), consume: filled('read') }
}

const byVhost = ['vhost', 'user'] as const
const all = (users: readonly UserListing[]): Json[] =>
  users.flatMap(({ name, permissions }) => permissions.map((permission) => permissionJson(name, permission)))
const allTopics = (users: readonly UserListing[]): Json[] =>
  users.flatMap(({ name, keyPermissions }) => keyPermissions.map((permission) => topicPermissionJson(name, permission)))

function administrated(call: Call): UserListing[] {
  call.caller.requireAdministrator()
  return call.broker.users.list()
}

function inVhost(call: Call, permissions: readonly Json[]): Json[] {
  call.caller.space(call.vhost)
  return permissions.filter(({ vhost }) => vhost === call.vhost)
}

/** The user of a rule to be changed; both it and the vhost must be there. */
function target(call: Call): UserListing {
  const user = administrated(call).find(({ name }) => name === call.parameter('user'))
  if (user === undefined || !call.broker.namespaces().includes(namespaceOf(call.vhost)))
    throw badRequest('vhost_or_user_not_found')
  return user
}

const ofVhost =
  (call: Call) =>
  ({ namespace }: { readonly namespace: string }): boolean =>
    namespace === namespaceOf(call.vhost)

async function putPermission(call: Call): Promise<unknown> {
  const { name } = target(call)
  const permission = permissionOf(call.vhost, await call.body())
  let isNew = false
  await call.broker.users.change(name, () => {
    const { permissions } = target(call)
    const others = permissions.filter((each) => each.namespace !== permission.namespace)
    isNew = others.length === permissions.length
    return { permissions: [...others, permission] }
  })
  return put(isNew)
}

async function putTopicPermission(call: Call): Promise<unknown> {
  const { name } = target(call)
  const rule = topicPermissionOf(call.vhost, name, await call.body())
  let isNew = false
  await call.broker.users.change(name, () => {
    const { keyPermissions } = target(call)
    const others = keyPermissions.filter((each) => each.namespace !== rule.namespace || each.exchange !== rule.exchange)
    isNew = others.length === keyPermissions.length
    return { keyPermissions: [...others, rule] }
  })
  return put(isNew)
}

async function deleteTopicPermissions(call: Call, which: (rule: KeyPermission) => boolean): Promise<null> {
  call.caller.requireAdministrator()
  await call.broker.users.change(userOf(call).name, () => {
    const { keyPermissions } = userOf(call)
    const others = keyPermissions.filter((rule) => !which(rule))
    if (others.length === keyPermissions.length) throw notFound()
    return { keyPermissions: others }
  })
  return null
}

const list = (call: Call, permissions: readonly Json[]): unknown => listed(call, permissions, byVhost)

export const permissionRoutes: readonly Route[] = [
  { method: 'GET', path: '/permissions', handle: (call) => list(call, all(administrated(call))) },
  { method: 'GET', path: '/vhosts/:vhost/permissions', handle: (call) => list(call, inVhost(call, all(administrated(call)))) },
  {
    method: 'GET',
    path: '/users/:user/permissions',
    handle: (call) => {
      call.caller.requireAdministrator()
      return list(call, all([userOf(call)]))
    },
  },
  {
    method: 'GET',
    path: '/permissions/:vhost/:user',
    handle: (call) => {
      call.caller.requireAdministrator()
      const user = userOf(call)
      const found = user.permissions.find(ofVhost(call))
      if (found === undefined) throw notFound()
      return permissionJson(user.name, found)
    },
  },
  { method: 'PUT', path: '/permissions/:vhost/:user', handle: putPermission },
  {
    method: 'DELETE',
    path: '/permissions/:vhost/:user',
    handle: async (call) => {
      call.caller.requireAdministrator()
      await call.broker.users.change(userOf(call).name, () => {
        const { permissions } = userOf(call)
        const others = permissions.filter((each) => !ofVhost(call)(each))
        if (others.length === permissions.length) throw notFound()
        return { permissions: others }
      })
      return null
    },
  },
  { method: 'GET', path: '/topic-permissions', handle: (call) => list(call, allTopics(administrated(call))) },
  {
    method: 'GET',
    path: '/vhosts/:vhost/topic-permissions',
    handle: (call) => list(call, inVhost(call, allTopics(administrated(call)))),
  },
  {
    method: 'GET',
    path: '/users/:user/topic-permissions',
    handle: (call) => {
      call.caller.requireAdministrator()
      return list(call, allTopics([userOf(call)]))
    },
  },
  {
    method: 'GET',
    path: '/topic-permissions/:vhost/:user',
    handle: (call) => {
      call.caller.requireAdministrator()
      const user = userOf(call)
      return list(call, allTopics([{ ...user, keyPermissions: user.keyPermissions.filter(ofVhost(call)) }]))
    },
  },
  { method: 'PUT', path: '/topic-permissions/:vhost/:user', handle: putTopicPermission },
  {
    method: 'DELETE',
    path: '/topic-permissions/:vhost/:user',
    handle: (call) => deleteTopicPermissions(call, ofVhost(call)),
  },
  {
    method: 'DELETE',
    path: '/topic-permissions/:vhost/:user/:exchange',
    handle: (call) => deleteTopicPermissions(call, (rule) => ofVhost(call)(rule) && rule.exchange === call.parameter('exchange')),
  },
]
