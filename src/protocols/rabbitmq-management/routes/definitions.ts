/** Definitions: export and import of everything but messages. */
import { exportAll, exportVhost } from '../definitions-export.ts'
import { importDefinitions, type Report } from '../definitions-import.ts'
import { badRequest } from '../errors.ts'
import type { Call, Route } from '../route.ts'

async function take(call: Call, vhost: string | null): Promise<Report> {
  call.caller.requireAdministrator()
  if (vhost !== null) call.caller.space(vhost)
  const report = await importDefinitions(call, await call.body(), vhost, call.query.get('unsupported') === 'skip')
  const { refused, skipped } = report
  for (const { what, why } of [...skipped, ...refused]) call.broker.log.warn({ what, why }, 'not imported from definitions')
  if (refused.length > 0 && call.query.get('unsupported') !== 'skip')
    throw badRequest(`Imported, but for what was refused:\n${refused.map(({ what, why }) => `${what}: ${why}`).join('\n')}`)
  return report
}

function give(call: Call): unknown {
  call.caller.requireAdministrator()
  return exportAll(call.broker, call.caller.spaces(), call.facts.version, call.rates)
}

export const definitionRoutes: readonly Route[] = [
  { method: 'GET', path: '/definitions', handle: give },
  { method: 'POST', path: '/definitions', handle: (call) => take(call, null) },
  {
    method: 'GET',
    path: '/definitions/:vhost',
    handle: (call) => {
      call.caller.requireAdministrator()
      return exportVhost(call.broker, call.caller.space(call.vhost), call.facts.version, call.rates)
    },
  },
  { method: 'POST', path: '/definitions/:vhost', handle: (call) => take(call, call.vhost) },
  // Their old name.
  { method: 'GET', path: '/all-configuration', handle: give },
]
