/** v3: partitions on their way to other brokers. There is one broker, so there are none: lists are empty, and no partition has one. */
import { RestError } from '../errors.ts'
import type { Route } from '../route.ts'
import { base, clusterPath, list, own } from '../v3.ts'

const kind = 'KafkaReassignmentList'

export const reassignmentRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: `${clusterPath}/topics/-/partitions/-/reassignment`,
    handle: (call) => {
      own(call)
      return list(call, kind, `${base(call)}/topics/-/partitions/-/reassignment`, [])
    },
  },
  {
    method: 'GET',
    path: `${clusterPath}/topics/:topic/partitions/-/reassignment`,
    handle: (call) => {
      own(call)
      const { name } = call.topic(call.parameter('topic'))
      return list(call, kind, `${base(call)}/topics/${encodeURIComponent(name)}/partitions/-/reassignment`, [])
    },
  },
  {
    method: 'GET',
    path: `${clusterPath}/topics/:topic/partitions/:partition/reassignment`,
    handle: (call) => {
      own(call)
      call.partition()
      throw new RestError(404, 'HTTP 404 Not Found')
    },
  },
]
