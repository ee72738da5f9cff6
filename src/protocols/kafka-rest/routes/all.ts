/** Every operation there is. */
import type { Route } from '../route.ts'
import { clusterRoutes } from './clusters.ts'
import { consumerRoutes } from './consumers.ts'
import { recordRoutes } from './records.ts'
import { topicRoutes } from './topics.ts'

export const routes: readonly Route[] = [...topicRoutes, ...consumerRoutes, ...clusterRoutes, ...recordRoutes]
