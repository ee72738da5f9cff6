// Which operations a client may do on a resource, as Metadata and the Describe requests tell who asks for it: a bit for each.
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

export function topicOperations(session: KafkaSession, topic: string, asked: boolean): number {
  if (!asked) return notAsked
  const { principal, space } = session
  const may = (action: 'publish' | 'consume' | 'manage'): boolean => principal.may(action, space.namespace, topic)
  return bits([
    ...(may('consume') ? [Read] : []),
    ...(may('publish') ? [Write] : []),
    ...(may('manage') ? [Create, Delete, Alter, AlterConfigs] : []),
    Describe,
    DescribeConfigs,
  ])
}

export function clusterOperations(_session: KafkaSession, asked: boolean): number {
  return asked ? bits([Create, Alter, Describe, ClusterAction, DescribeConfigs, AlterConfigs, IdempotentWrite]) : notAsked
}
