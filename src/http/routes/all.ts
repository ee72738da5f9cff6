/** Every operation of the API. */
import type { Route } from '../route.ts'
import { connectionRoutes } from './connections.ts'
import { deadLetterRoutes } from './dead-letters.ts'
import { drainingRoutes } from './draining.ts'
import { recordRoutes } from './records.ts'
import { ruleRoutes } from './rules.ts'
import { scheduledRoutes } from './scheduled.ts'
import { subscriptionRoutes } from './subscriptions.ts'
import { systemRoutes } from './system.ts'
import { topicRoutes } from './topics.ts'
import { userRoutes } from './users.ts'

export const apiRoutes: readonly Route[] = [
  ...systemRoutes,
  ...drainingRoutes,
  ...topicRoutes,
  ...subscriptionRoutes,
  ...recordRoutes,
  ...scheduledRoutes,
  ...deadLetterRoutes,
  ...connectionRoutes,
  ...userRoutes,
  ...ruleRoutes,
]
