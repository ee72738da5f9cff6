/** Every operation there is. */
import type { Route } from '../route.ts'
import { aclRoutes } from './acls.ts'
import { brokerRoutes } from './brokers.ts'
import { clusterRoutes } from './clusters.ts'
import { configRoutes } from './configs.ts'
import { consumerRoutes } from './consumers.ts'
import { groupRoutes } from './groups.ts'
import { reassignmentRoutes } from './reassignments.ts'
import { recordRoutes } from './records.ts'
import { topicRoutes } from './topics.ts'

export const routes: readonly Route[] = [
  ...topicRoutes,
  ...consumerRoutes,
  ...clusterRoutes,
  ...recordRoutes,
  ...brokerRoutes,
  ...configRoutes,
  ...groupRoutes,
  ...aclRoutes,
  ...reassignmentRoutes,
]
