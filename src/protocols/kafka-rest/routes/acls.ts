/** v3: access control lists, as Kafka's admin client makes, finds and deletes them. */
import type { JsonObject } from '../../../lib/schemas/json-text.ts'
import { ApiKey } from '../../kafka/codec.ts'
import type { Message } from '../../kafka/schema.ts'
import { badRequest } from '../errors.ts'
import { check, withKafka } from '../kafka-client.ts'
import { Answer, type Call, listOf, onlyKnown, type Route } from '../route.ts'
import { base, clusterPath, list, own, related, url } from '../v3.ts'

/** By the numbers that the protocol has for them; '' where it has one that is not for requests. */
const words = {
  resource_type: ['', 'ANY', 'TOPIC', 'GROUP', 'CLUSTER', 'TRANSACTIONAL_ID', 'DELEGATION_TOKEN', 'USER'],
  pattern_type: ['', 'ANY', 'MATCH', 'LITERAL', 'PREFIXED'],
  operation: [
    ...['', 'ANY', 'ALL', 'READ', 'WRITE', 'CREATE', 'DELETE', 'ALTER', 'DESCRIBE', 'CLUSTER_ACTION'],
    ...['DESCRIBE_CONFIGS', 'ALTER_CONFIGS', 'IDEMPOTENT_WRITE', 'CREATE_TOKENS', 'DESCRIBE_TOKENS', 'TWO_PHASE_COMMIT'],
  ],
  permission: ['', 'ANY', 'DENY', 'ALLOW'],
} as const

const fields = ['resource_type', 'resource_name', 'pattern_type', 'principal', 'host', 'operation', 'permission'] as const
const path = `${clusterPath}/acls`

export const aclRoutes: readonly Route[] = [
  {
    method: 'GET',
    path,
    handle: async (call) => {
      own(call)
      const answer = await withKafka(call, (kafka) => kafka.ask(ApiKey.DescribeAcls, 3, filterOf(call)))
      check(answer)
      const acls = (answer['resources'] as Message[]).flatMap(({ acls: each, ...resource }) =>
        (each as Message[]).map((acl) => shown(call, { ...resource, ...acl })),
      )
      return list(call, 'KafkaAclList', `${base(call)}/acls`, acls)
    },
  },
  {
    method: 'POST',
    path,
    handle: async (call) => {
      own(call)
      await create(call, [creationOf(await call.body(fields))])
      return new Answer({ status: 201, headers: { location: url(call, `${base(call)}/acls`) } })
    },
  },
  {
    method: 'POST',
    path: `${path}:batch`,
    handle: async (call) => {
      own(call)
      const entries = listOf(await call.body(['data']), 'data')
      await create(
        call,
        entries.map((each) => creationOf(onlyKnown(each, fields, 'an entry'))),
      )
      return new Answer({ status: 201 })
    },
  },
  {
    method: 'DELETE',
    path,
    handle: async (call) => {
      own(call)
      // Without a word about what, it would be all of them.
      for (const needed of ['resource_type', 'pattern_type', 'operation', 'permission'] as const)
        if (!call.query.has(needed)) throw badRequest(`${needed} is missing`)
      const { filterResults } = await withKafka(call, (kafka) => kafka.ask(ApiKey.DeleteAcls, 3, { filters: [filterOf(call)] }))
      check(filterResults[0])
      return { data: (filterResults[0].matchingAcls as Message[]).map((acl) => shown(call, acl)) }
    },
  },
]

function creationOf(entry: JsonObject): Message {
  return {
    resourceType: numberOf('resource_type', entry['resource_type']),
    resourceName: textOf('resource_name', entry['resource_name']),
    resourcePatternType: numberOf('pattern_type', entry['pattern_type']),
    principal: textOf('principal', entry['principal']),
    host: textOf('host', entry['host']),
    operation: numberOf('operation', entry['operation']),
    permissionType: numberOf('permission', entry['permission']),
  }
}

/** Those that can be are made; throws for the first that cannot. */
async function create(call: Call, creations: Message[]): Promise<void> {
  const { results } = await withKafka(call, (kafka) => kafka.ask(ApiKey.CreateAcls, 3, { creations }))
  for (const result of results) check(result)
}

/** What the query does not say is anything. */
function filterOf({ query }: Call): Message {
  const unknown = [...query.keys()].find((key) => !fields.some((field) => field === key))
  if (unknown !== undefined) throw badRequest(`unknown parameter: ${unknown}`)
  const number = (name: keyof typeof words): number => numberOf(name, query.get(name) ?? 'ANY')
  return {
    resourceTypeFilter: number('resource_type'),
    resourceNameFilter: query.get('resource_name'),
    patternTypeFilter: number('pattern_type'),
    principalFilter: query.get('principal'),
    hostFilter: query.get('host'),
    operation: number('operation'),
    permissionType: number('permission'),
  }
}

function numberOf(field: keyof typeof words, value: unknown): number {
  const known: readonly string[] = words[field]
  const found = typeof value === 'string' && value !== '' ? known.indexOf(value.toUpperCase()) : -1
  if (found < 0) throw badRequest(`${field} must be one of ${known.filter((word) => word !== '').join(', ')}`)
  return found
}

function textOf(field: string, value: unknown): string {
  if (typeof value !== 'string' || value === '') throw badRequest(`${field} must be text`)
  return value
}

function shown(call: Call, acl: Message): object {
  const { resourceType, resourceName, patternType, principal, host, operation, permissionType } = acl
  return {
    kind: 'KafkaAcl',
    metadata: related(call, 'acls'),
    cluster_id: call.broker.clusterId,
    resource_type: words.resource_type[resourceType],
    resource_name: resourceName,
    pattern_type: words.pattern_type[patternType],
    principal,
    host,
    operation: words.operation[operation],
    permission: words.permission[permissionType],
  }
}
