/**
 * Parameters. RabbitMQ keeps operator policies and the limits of vhosts among them, so they can be had here too; the others configure plug-ins
 * (federation, shovels), and there are none here that would read them.
 */

import type { Broker, Policy } from '../../../broker/face.ts'
import { badRequest, notFound } from '../errors.ts'
import { need, object } from '../fields.ts'
import { deleteGlobalParameter, globalParameters, putGlobalParameter } from '../global-parameters.ts'
import type { Json } from '../json.ts'
import { allLimits, putLimits } from '../limits.ts'
import { namespaceOf } from '../names.ts'
import { listed } from '../page.ts'
import { policyJson, policyOf } from '../policy-words.ts'
import { type Call, put, type Route } from '../route.ts'

const limitsComponent = 'vhost-limits'
const components = ['operator_policy', limitsComponent]

export function operatorParameter(policy: Policy): Json {
  const { vhost, name, ...value } = policyJson(policy)
  return { value, vhost, component: 'operator_policy', name }
}

/** As RabbitMQ keeps them and definitions carry them. */
export const limitParameters = (broker: Broker): Json[] =>
  allLimits(broker, 'namespace').map(({ owner, limits }) => ({
    value: limits,
    vhost: owner,
    component: limitsComponent,
    name: 'limits',
  }))

/** Those of the vhosts that the caller may see. */
function parameters(call: Call): Json[] {
  call.caller.requirePolicymaker()
  const visible = call.caller.spaces().map((space) => space.namespace)
  const caps = call.broker.policies.list().filter((policy) => policy.cap)
  return [...caps.map(operatorParameter), ...limitParameters(call.broker)].filter(({ vhost }) =>
    visible.includes(namespaceOf(String(vhost))),
  )
}

function list(call: Call, wanted: (parameter: Json) => boolean): unknown {
  return listed(call, parameters(call).filter(wanted), ['component', 'vhost', 'name'])
}

function needComponent(call: Call): string {
  const component = call.parameter('component')
  if (!components.includes(component)) throw notFound()
  return component
}

const ofComponent = (call: Call): ((parameter: Json) => boolean) => {
  const component = needComponent(call)
  return (parameter) => parameter['component'] === component
}

function one(call: Call): Json {
  const wanted = ofComponent(call)
  call.caller.space(call.vhost)
  const found = parameters(call).find(
    (parameter) => wanted(parameter) && parameter['vhost'] === call.vhost && parameter['name'] === call.parameter('name'),
  )
  if (found === undefined) throw notFound()
  return found
}

function exists(call: Call): boolean {
  return parameters(call).some(
    ({ component, vhost, name }) =>
      component === call.parameter('component') && vhost === call.vhost && name === call.parameter('name'),
  )
}

async function set(call: Call): Promise<unknown> {
  call.caller.requirePolicymaker()
  const { broker, caller, vhost } = call
  const [component, name] = [call.parameter('component'), call.parameter('name')]
  if (component === 'policy') throw badRequest('policies may not be set using this method')
  if (!components.includes(component)) throw badRequest(`Validation failed\n\ncomponent ${component} not found\n`)
  caller.requireAdministrator()
  caller.space(vhost)
  const body = await call.body()
  need(body, 'value')
  const value = object(body, 'value')
  const isNew = !exists(call)
  if (component === 'operator_policy') await broker.policies.put(policyOf(vhost, name, true, value))
  else if (name !== 'limits') throw badRequest(`the parameter of ${limitsComponent} is called limits`)
  else await putLimits(broker, 'namespace', vhost, value)
  return put(isNew)
}

async function clear(call: Call): Promise<null> {
  const { broker, caller, vhost } = call
  caller.requirePolicymaker()
  const component = needComponent(call)
  caller.requireAdministrator()
  caller.space(vhost)
  if (!exists(call)) throw notFound()
  if (component === limitsComponent) await putLimits(broker, 'namespace', vhost, {})
  else await broker.policies.delete({ namespace: namespaceOf(vhost), name: call.parameter('name'), cap: true })
  return null
}

function globals(call: Call): { name: string; value: unknown }[] {
  call.caller.requirePolicymaker()
  return globalParameters(call.broker)
}

const globalName = (call: Call): string => call.parameter('name')

export const parameterRoutes: readonly Route[] = [
  { method: 'GET', path: '/parameters', handle: (call) => list(call, () => true) },
  { method: 'GET', path: '/parameters/:component', handle: (call) => list(call, ofComponent(call)) },
  {
    method: 'GET',
    path: '/parameters/:component/:vhost',
    handle: (call) => {
      const wanted = ofComponent(call)
      call.caller.space(call.vhost)
      return list(call, (parameter) => wanted(parameter) && parameter['vhost'] === call.vhost)
    },
  },
  { method: 'GET', path: '/parameters/:component/:vhost/:name', handle: one },
  { method: 'PUT', path: '/parameters/:component/:vhost/:name', handle: set },
  { method: 'DELETE', path: '/parameters/:component/:vhost/:name', handle: clear },
  { method: 'GET', path: '/global-parameters', handle: (call) => listed(call, globals(call), ['name']) },
  {
    method: 'GET',
    path: '/global-parameters/:name',
    handle: (call) => {
      const found = globals(call).find(({ name }) => name === globalName(call))
      if (found === undefined) throw notFound()
      return found
    },
  },
  {
    method: 'PUT',
    path: '/global-parameters/:name',
    handle: async (call) => {
      const isNew = !globals(call).some(({ name }) => name === globalName(call))
      const body = await call.body()
      need(body, 'value')
      await putGlobalParameter(call.broker, globalName(call), body['value'])
      return put(isNew)
    },
  },
  {
    method: 'DELETE',
    path: '/global-parameters/:name',
    handle: async (call) => {
      if (!globals(call).some(({ name }) => name === globalName(call))) throw notFound()
      if (!(await deleteGlobalParameter(call.broker, globalName(call))))
        throw badRequest(`global parameter ${globalName(call)} is AnyMQ's own`)
      return null
    },
  },
]
