// Which operations a client may do on a resource, as Metadata and the Describe requests tell who asks for it: a bit for each.
import type { AccessRule, Action, ResourceKind } from '../../broker/face.ts'
import { namespaceName } from './names.ts'
import type { KafkaSession } from './session.ts'

export const Operation = {
  Any: 1,
  All: 2,
  Read: 3,
  Write: 4,
  Create: 5,
  Delete: 6,
  Alter: 7,
  Describe: 8,
  ClusterAction: 9,
  DescribeConfigs: 10,
  AlterConfigs: 11,
  IdempotentWrite: 12,
} as const

/** "The set of operations was not asked for." */
export const notAsked = -2147483648

const bits = (operations: readonly number[]): number => operations.reduce((sum, operation) => sum | (1 << operation), 0)

const { Read, Write, Create, Delete, Alter, Describe, ClusterAction, DescribeConfigs, AlterConfigs, IdempotentWrite } = Operation

type RuleAction = Exclude<AccessRule['action'], 'all'>

export const actionOf: ReadonlyMap<number, RuleAction> = new Map<number, RuleAction>([
  [Read, 'consume'],
  [Write, 'publish'],
  [Create, 'create'],
  [Delete, 'delete'],
  [Alter, 'alter'],
  [Describe, 'describe'],
  [ClusterAction, 'operate'],
  [DescribeConfigs, 'describeConfig'],
  [AlterConfigs, 'configure'],
])

/** What can be done with each kind of resource. */
export const operationsOf: Readonly<Record<ResourceKind, readonly number[]>> = {
  topic: [Read, Write, Create, Delete, Alter, Describe, DescribeConfigs, AlterConfigs],
  group: [Read, Delete, Describe, DescribeConfigs, AlterConfigs],
  transaction: [Write, Describe],
  cluster: [Create, Alter, Describe, ClusterAction, DescribeConfigs, AlterConfigs],
}

export const mayTopic = ({ principal }: KafkaSession, action: Action, topic: string): boolean =>
  principal.may(action, namespaceName, topic)
export const mayGroup = ({ principal }: KafkaSession, action: Action, groupId: string): boolean =>
  principal.may(action, namespaceName, groupId, 'group')
export const mayTransaction = ({ principal }: KafkaSession, action: Action, transactionalId: string): boolean =>
  principal.may(action, namespaceName, transactionalId, 'transaction')
export const mayCluster = ({ principal }: KafkaSession, action: Action): boolean =>
  principal.may(action, namespaceName, '', 'cluster')

export function topicOperations(session: KafkaSession, topic: string, asked: boolean): number {
  if (!asked) return notAsked
  return allowed('topic', (action) => mayTopic(session, action, topic))
}

export function groupOperations(session: KafkaSession, groupId: string, asked: boolean): number {
  if (!asked) return notAsked
  return allowed('group', (action) => mayGroup(session, action, groupId))
}

export function clusterOperations(session: KafkaSession, asked: boolean): number {
  if (!asked) return notAsked
  return allowed('cluster', (action) => mayCluster(session, action)) | bits([IdempotentWrite])
}

function allowed(kind: ResourceKind, may: (action: Action) => boolean): number {
  return bits(
    operationsOf[kind].filter((operation) => {
      const action = actionOf.get(operation)
      return action !== undefined && may(action)
    }),
  )
}
