// Kafka's access control lists over the broker's rules. A rule has the same parts in other words; what has no place in a rule (host names,
// principals that are no users, tokens) is refused.
import type { AccessRule, ResourceKind } from '../../broker/face.ts'
import { KafkaError } from './errors.ts'
import { actionOf, Operation, operationsOf } from './operations.ts'
import { Refused } from './refused.ts'

const ResourceType = { Any: 1, Topic: 2, Group: 3, Cluster: 4, TransactionalId: 5 } as const
const PatternType = { Any: 1, Match: 2, Literal: 3, Prefixed: 4 } as const
const PermissionType = { Any: 1, Deny: 2, Allow: 3 } as const
const clusterName = 'kafka-cluster'
const userPrefix = 'User:'
const wildcard = '*'

const kinds: readonly (readonly [number, ResourceKind])[] = [
  [ResourceType.Topic, 'topic'],
  [ResourceType.Group, 'group'],
  [ResourceType.Cluster, 'cluster'],
  [ResourceType.TransactionalId, 'transaction'],
]

const { All, IdempotentWrite } = Operation

const ruleActionOf = new Map<number, AccessRule['action']>([[All, 'all'], ...actionOf])

/** An entry about any other operation would say nothing. */
const saysSomething = (kind: ResourceKind, operation: number): boolean =>
  operation === All || operationsOf[kind].includes(operation) || (kind === 'cluster' && operation === IdempotentWrite)

/** One entry as requests and answers carry it. */
export interface Acl {
  readonly resourceType: number
  readonly resourceName: string
  readonly patternType: number
  readonly principal: string
  readonly host: string
  readonly operation: number
  readonly permissionType: number
}

export interface AclFilter {
  readonly resourceTypeFilter: number
  readonly resourceNameFilter: string | null
  readonly patternTypeFilter: number
  readonly principalFilter: string | null
  readonly hostFilter: string | null
  readonly operation: number
  readonly permissionType: number
}

/** Throws Refused. */
export function ruleFrom(acl: Acl, namespace: string): AccessRule {
  const refuse = (why: string): never => {
    throw new Refused(KafkaError.InvalidRequest, why)
  }
  const kind = kinds.find(([type]) => type === acl.resourceType)?.[1]
  if (kind === undefined) return refuse(`resources of the type ${acl.resourceType} have no rules here`)
  const { resourceName, patternType, permissionType, operation } = acl
  if (patternType !== PatternType.Literal && patternType !== PatternType.Prefixed)
    return refuse(`an entry is literal or prefixed`)
  if (kind === 'cluster' && (resourceName !== clusterName || patternType !== PatternType.Literal))
    return refuse(`the only cluster is the literal ${clusterName}`)
  if (resourceName === '') return refuse('the resource has no name')
  if (permissionType !== PermissionType.Allow && permissionType !== PermissionType.Deny)
    return refuse('an entry allows or denies')
  const user = acl.principal.startsWith(userPrefix) ? acl.principal.slice(userPrefix.length) : ''
  if (user === '') return refuse(`principals are written ${userPrefix}name here, not ${acl.principal}`)
  // Every producer may be idempotent, so that allowing it changes nothing and denying it cannot be done.
  if (operation === IdempotentWrite && permissionType === PermissionType.Deny)
    return refuse('idempotent writes are not denied here')
  const action = operation === IdempotentWrite ? 'publish' : ruleActionOf.get(operation)
  if (action === undefined || !saysSomething(kind, operation))
    return refuse(`the operation ${operation} says nothing about a ${kind}`)
  return {
    namespace,
    kind,
    match: patternType === PatternType.Literal ? 'exact' : 'prefix',
    name: kind === 'cluster' ? '' : resourceName,
    user,
    from: acl.host,
    action,
    effect: permissionType === PermissionType.Allow ? 'allow' : 'deny',
  }
}

export function aclFrom(rule: AccessRule): Acl {
  const cluster = rule.kind === 'cluster'
  const operation = [...ruleActionOf].find(([, action]) => action === rule.action)?.[0] ?? All
  return {
    resourceType: kinds.find(([, kind]) => kind === rule.kind)?.[0] ?? ResourceType.Topic,
    resourceName: cluster ? clusterName : rule.name,
    patternType: rule.match === 'exact' ? PatternType.Literal : PatternType.Prefixed,
    principal: `${userPrefix}${rule.user}`,
    host: rule.from,
    operation: cluster && rule.action === 'publish' ? IdempotentWrite : operation,
    permissionType: rule.effect === 'allow' ? PermissionType.Allow : PermissionType.Deny,
  }
}

/** Throws Refused for a filter that asks for nothing known. */
export function checkFilter(filter: AclFilter): void {
  const { resourceTypeFilter, patternTypeFilter, operation, permissionType } = filter
  const unknown =
    resourceTypeFilter < ResourceType.Any ||
    patternTypeFilter < PatternType.Any ||
    patternTypeFilter > PatternType.Prefixed ||
    operation < Operation.Any ||
    permissionType < PermissionType.Any ||
    permissionType > PermissionType.Allow
  if (unknown) throw new Refused(KafkaError.InvalidRequest, 'the filter has an element that is not known')
}

export function matchesFilter(acl: Acl, filter: AclFilter): boolean {
  const { resourceTypeFilter, principalFilter, hostFilter, operation, permissionType } = filter
  return (
    (resourceTypeFilter === ResourceType.Any || resourceTypeFilter === acl.resourceType) &&
    matchesName(acl, filter) &&
    (principalFilter === null || principalFilter === acl.principal) &&
    (hostFilter === null || hostFilter === acl.host) &&
    (operation === Operation.Any || operation === acl.operation) &&
    (permissionType === PermissionType.Any || permissionType === acl.permissionType)
  )
}

function matchesName(acl: Acl, { resourceNameFilter: name, patternTypeFilter: pattern }: AclFilter): boolean {
  if (pattern !== PatternType.Match) {
    return (pattern === PatternType.Any || pattern === acl.patternType) && (name === null || name === acl.resourceName)
  }
  // MATCH: every entry that has to do with a resource of this name.
  if (name === null) return true
  if (acl.patternType === PatternType.Prefixed) return name.startsWith(acl.resourceName)
  return acl.resourceName === name || acl.resourceName === wildcard
}
