/** Policies, operator policies, and the parameters among which RabbitMQ keeps the latter. */
import type { Policy } from '../../../broker/face.ts'
import { badRequest, notFound } from '../errors.ts'
import type { Json } from '../json.ts'
import { namespaceOf } from '../names.ts'
import { listed } from '../page.ts'
import { policyJson, policyOf } from '../policy-words.ts'
import { type Call, put, type Route } from '../route.ts'

/** Those of the vhosts that the caller may see. */
function visible(call: Call, cap: boolean): Policy[] {
  const namespaces = call.caller.spaces().map((space) => space.namespace)
  return call.broker.policies.list().filter((policy) => policy.cap === cap && namespaces.includes(policy.namespace))
}

function inVhost(call: Call, cap: boolean): Policy[] {
  const { namespace } = call.caller.space(call.vhost)
  return call.broker.policies.list().filter((policy) => policy.cap === cap && policy.namespace === namespace)
}

function one(call: Call, cap: boolean): Policy {
  const found = inVhost(call, cap).find(({ name }) => name === call.parameter('name'))
  if (found === undefined) throw notFound()
  return found
}

/** Operator policies are administrators' alone. */
function requireAuthor(call: Call, cap: boolean): void {
  if (cap) call.caller.requireAdministrator()
  else call.caller.requirePolicymaker()
  call.caller.space(call.vhost)
}

async function putPolicy(call: Call, cap: boolean): Promise<unknown> {
  requireAuthor(call, cap)
  const policy = policyOf(call.vhost, call.parameter('name'), cap, await call.body())
  const isNew = !inVhost(call, cap).some(({ name }) => name === policy.name)
  await call.broker.policies.put(policy)
  return put(isNew)
}

async function deletePolicy(call: Call, cap: boolean): Promise<null> {
  requireAuthor(call, cap)
  const of = { namespace: namespaceOf(call.vhost), name: call.parameter('name'), cap }
  if (!(await call.broker.policies.delete(of))) throw notFound()
  return null
}

const routesOf = (path: string, cap: boolean): readonly Route[] => [
  { method: 'GET', path, handle: (call) => listed(call, visible(call, cap).map(policyJson)) },
  { method: 'GET', path: `${path}/:vhost`, handle: (call) => listed(call, inVhost(call, cap).map(policyJson)) },
  { method: 'GET', path: `${path}/:vhost/:name`, handle: (call) => policyJson(one(call, cap)) },
  { method: 'PUT', path: `${path}/:vhost/:name`, handle: (call) => putPolicy(call, cap) },
  { method: 'DELETE', path: `${path}/:vhost/:name`, handle: (call) => deletePolicy(call, cap) },
]

export function operatorParameter(policy: Policy): Json {
  const { vhost, name, ...value } = policyJson(policy)
  return { value, vhost, component: 'operator_policy', name }
}

function parameters(call: Call, policies: readonly Policy[]): unknown {
  call.caller.requirePolicymaker()
  return listed(call, policies.map(operatorParameter), ['component', 'vhost', 'name'])
}

function needComponent(call: Call): void {
  if (call.parameter('component') !== 'operator_policy') throw notFound()
}

/** Parameters configure plug-ins (federation, shovels) and there are none here that would read them. */
function refuseParameter(call: Call): never {
  call.caller.requirePolicymaker()
  throw badRequest(`Validation failed\n\ncomponent ${call.parameter('component')} not found\n`)
}

export const policyRoutes: readonly Route[] = [
  ...routesOf('/policies', false),
  ...routesOf('/operator-policies', true),
  { method: 'GET', path: '/parameters', handle: (call) => parameters(call, visible(call, true)) },
  {
    method: 'GET',
    path: '/parameters/:component',
    handle: (call) => {
      needComponent(call)
      return parameters(call, visible(call, true))
    },
  },
  {
    method: 'GET',
    path: '/parameters/:component/:vhost',
    handle: (call) => {
      needComponent(call)
      return parameters(call, inVhost(call, true))
    },
  },
  {
    method: 'GET',
    path: '/parameters/:component/:vhost/:name',
    handle: (call) => {
      needComponent(call)
      call.caller.requirePolicymaker()
      return operatorParameter(one(call, true))
    },
  },
  { method: 'PUT', path: '/parameters/:component/:vhost/:name', handle: refuseParameter },
  { method: 'DELETE', path: '/parameters/:component/:vhost/:name', handle: () => Promise.reject(notFound()) },
  { method: 'GET', path: '/global-parameters', handle: (call) => listed(call, globalParameters(call), ['name']) },
  {
    method: 'GET',
    path: '/global-parameters/:name',
    handle: (call) => {
      const found = globalParameters(call).find(({ name }) => name === call.parameter('name'))
      if (found === undefined) throw notFound()
      return found
    },
  },
  {
    method: 'PUT',
    path: '/global-parameters/:name',
    handle: (call) => {
      call.caller.requirePolicymaker()
      throw badRequest(`global parameter ${call.parameter('name')}: nothing here reads it, so it is not kept`)
    },
  },
  // Limits of vhosts and users are not there to be set.
  { method: 'GET', path: '/vhost-limits', handle: (call) => listed(call, []) },
  {
    method: 'GET',
    path: '/vhost-limits/:vhost',
    handle: (call) => {
      call.caller.space(call.vhost)
      return []
    },
  },
  { method: 'PUT', path: '/vhost-limits/:vhost/:name', handle: (call) => refuseLimit(call, 'vhost') },
  { method: 'GET', path: '/user-limits', handle: (call) => listed(call, []) },
  { method: 'GET', path: '/user-limits/:user', handle: () => [] },
  { method: 'PUT', path: '/user-limits/:user/:name', handle: (call) => refuseLimit(call, 'user') },
]

function refuseLimit(call: Call, what: string): never {
  call.caller.requireAdministrator()
  throw badRequest(`${what} limit ${call.parameter('name')} is not supported`)
}

function globalParameters(call: Call): Json[] {
  call.caller.requirePolicymaker()
  const { clusterId } = call.broker
  return [
    { name: 'cluster_name', value: `anymq@${clusterId}` },
    { name: 'internal_cluster_id', value: `anymq-cluster-id-${clusterId}` },
  ]
}
