// Which operations a client may do on a resource, as Metadata and the Describe requests tell who asks for it: a bit for each.
import type { Action } from '../../broker/face.ts'
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
  return allowed(topicActions, (action) => mayTopic(session, action, topic))
}

export function groupOperations(session: KafkaSession, groupId: string, asked: boolean): number {
  if (!asked) return notAsked
  return allowed(groupActions, (action) => mayGroup(session, action, groupId))
}

export function clusterOperations(session: KafkaSession, asked: boolean): number {
  if (!asked) return notAsked
  return allowed(clusterActions, (action) => mayCluster(session, action)) | bits([IdempotentWrite])
}

type Row = readonly [number, Action]

const topicActions: readonly Row[] = [
  [Read, 'consume'],
  [Write, 'publish'],
  [Create, 'create'],
  [Delete, 'delete'],
  [Alter, 'alter'],
  [Describe, 'describe'],
  [DescribeConfigs, 'describeConfig'],
  [AlterConfigs, 'configure'],
]
const groupActions: readonly Row[] = [
  [Read, 'consume'],
  [Delete, 'delete'],
  [Describe, 'describe'],
  [DescribeConfigs, 'describeConfig'],
  [AlterConfigs, 'configure'],
]
const clusterActions: readonly Row[] = [
  [Create, 'create'],
  [Alter, 'alter'],
  [Describe, 'describe'],
  [ClusterAction, 'operate'],
  [DescribeConfigs, 'describeConfig'],
  [AlterConfigs, 'configure'],
]

function allowed(rows: readonly Row[], may: (action: Action) => boolean): number {
  return bits(rows.filter(([, action]) => may(action)).map(([operation]) => operation))
}
