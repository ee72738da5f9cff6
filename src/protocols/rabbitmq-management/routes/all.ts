/** Every operation of the API. Where two paths fit a request the earlier one counts. */
import type { Route } from '../route.ts'
import { bindingRoutes } from './bindings.ts'
import { connectionRoutes } from './connections.ts'
import { definitionRoutes } from './definitions.ts'
import { exchangeRoutes } from './exchanges.ts'
import { healthRoutes } from './health.ts'
import { limitRoutes } from './limits.ts'
import { overviewRoutes } from './overview.ts'
import { parameterRoutes } from './parameters.ts'
import { permissionRoutes } from './permissions.ts'
import { policyRoutes } from './policies.ts'
import { queueRoutes } from './queues.ts'
import { userRoutes } from './users.ts'
import { vhostRoutes } from './vhosts.ts'

export const routes: readonly Route[] = [
  ...overviewRoutes,
  ...healthRoutes,
  ...vhostRoutes,
  ...userRoutes,
  ...permissionRoutes,
  ...policyRoutes,
  ...parameterRoutes,
  ...limitRoutes,
  ...queueRoutes,
  ...exchangeRoutes,
  ...bindingRoutes,
  ...connectionRoutes,
  ...definitionRoutes,
]
