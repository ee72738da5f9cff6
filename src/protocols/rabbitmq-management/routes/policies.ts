/** Policies and operator policies. */
import type { Policy } from '../../../broker/face.ts'
import { notFound } from '../errors.ts'
import { namespaceOf } from '../names.ts'
import { listed } from '../page.ts'
import { policyJson, policyOf } from '../policy-words.ts'
import { type Call, put, type Route } from '../route.ts'

/** Those of the vhosts that the caller may see. */
export function visiblePolicies(call: Call, cap: boolean): Policy[] {
  const namespaces = call.caller.spaces().map((space) => space.namespace)
  return call.broker.policies.list().filter((policy) => policy.cap === cap && namespaces.includes(policy.namespace))
}

export function policiesOf(call: Call, cap: boolean): Policy[] {
  const { namespace } = call.caller.space(call.vhost)
  return call.broker.policies.list().filter((policy) => policy.cap === cap && policy.namespace === namespace)
}

function one(call: Call, cap: boolean): Policy {
  const found = policiesOf(call, cap).find(({ name }) => name === call.parameter('name'))
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
  const isNew = !policiesOf(call, cap).some(({ name }) => name === policy.name)
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
  { method: 'GET', path, handle: (call) => listed(call, visiblePolicies(call, cap).map(policyJson)) },
  { method: 'GET', path: `${path}/:vhost`, handle: (call) => listed(call, policiesOf(call, cap).map(policyJson)) },
  { method: 'GET', path: `${path}/:vhost/:name`, handle: (call) => policyJson(one(call, cap)) },
  { method: 'PUT', path: `${path}/:vhost/:name`, handle: (call) => putPolicy(call, cap) },
  { method: 'DELETE', path: `${path}/:vhost/:name`, handle: (call) => deletePolicy(call, cap) },
]

export const policyRoutes: readonly Route[] = [...routesOf('/policies', false), ...routesOf('/operator-policies', true)]
