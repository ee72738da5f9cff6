/** Limits of vhosts and users. */
import { notFound, vhostNotFound } from '../errors.ts'
import { need } from '../fields.ts'
import { allLimits, limitsOf, putLimits } from '../limits.ts'
import { namespaceOf } from '../names.ts'
import { listed } from '../page.ts'
import { type Call, created, type Route } from '../route.ts'
import { userOf } from './users.ts'

function checkVhost(call: Call): void {
  call.caller.requireAdministrator()
  if (!call.broker.namespaces().includes(namespaceOf(call.vhost)) || call.vhost === 'default') throw vhostNotFound()
}

function checkUser(call: Call): void {
  call.caller.requireAdministrator()
  userOf(call)
}

const owned = {
  vhost: { kind: 'namespace', check: checkVhost, path: '/vhost-limits/:vhost/:name' },
  user: { kind: 'user', check: checkUser, path: '/user-limits/:user/:name' },
} as const

const changing = (of: 'vhost' | 'user'): readonly Route[] => {
  const { kind, check, path } = owned[of]
  return [
    {
      method: 'PUT',
      path,
      handle: async (call) => {
        check(call)
        const body = await call.body()
        need(body, 'value')
        const owner = call.parameter(of)
        const limits = { ...limitsOf(call.broker, kind, owner), [call.parameter('name')]: body['value'] }
        await putLimits(call.broker, kind, owner, limits)
        return created
      },
    },
    {
      method: 'DELETE',
      path,
      handle: async (call) => {
        check(call)
        const owner = call.parameter(of)
        const { [call.parameter('name')]: _, ...others } = limitsOf(call.broker, kind, owner)
        await putLimits(call.broker, kind, owner, of === 'user' && call.parameter('name') === 'all' ? {} : others)
        return null
      },
    },
  ]
}

function one(call: Call, of: 'vhost' | 'user'): unknown {
  const owner = call.parameter(of)
  const value = limitsOf(call.broker, owned[of].kind, owner)
  return listed(call, Object.keys(value).length === 0 ? [] : [{ [of]: owner, value }])
}

export const limitRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/vhost-limits',
    handle: (call) => {
      const visible = call.caller.spaces().map((space) => space.namespace)
      const all = allLimits(call.broker, 'namespace').filter(({ owner }) => visible.includes(namespaceOf(owner)))
      return listed(
        call,
        all.map(({ owner, limits }) => ({ vhost: owner, value: limits })),
      )
    },
  },
  {
    method: 'GET',
    path: '/vhost-limits/:vhost',
    handle: (call) => {
      call.caller.space(call.vhost)
      return one(call, 'vhost')
    },
  },
  ...changing('vhost'),
  {
    method: 'GET',
    path: '/user-limits',
    handle: (call) => {
      call.caller.requireAdministrator()
      return listed(
        call,
        allLimits(call.broker, 'user').map(({ owner, limits }) => ({ user: owner, value: limits })),
      )
    },
  },
  {
    method: 'GET',
    path: '/user-limits/:user',
    handle: (call) => {
      if (call.caller.name !== call.parameter('user')) call.caller.requireMonitor()
      if (call.broker.authenticationRequired && userOf(call) === undefined) throw notFound()
      return one(call, 'user')
    },
  },
  ...changing('user'),
]
