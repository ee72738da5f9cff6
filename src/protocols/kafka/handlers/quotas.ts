// DescribeClientQuotas, AlterClientQuotas (KIP-546).
import { KafkaError } from '../errors.ts'
import { mayCluster } from '../operations.ts'
import { type QuotaEntity, type QuotaKey, Quotas, type QuotaValues, quotaKeys } from '../quotas.ts'
import { failure, Refused } from '../refused.ts'
import type { Message } from '../schema.ts'
import type { KafkaSession, Request } from '../session.ts'

/** Known to Kafka, and not enforced here: better refused than kept for nothing. */
const notEnforced = new Set(['request_percentage', 'controller_mutation_rate', 'connection_creation_rate'])
const MatchType = { Exact: 0, Default: 1, Any: 2 } as const
const fields: Readonly<Record<string, 'user' | 'clientId'>> = { user: 'user', 'client-id': 'clientId' }

export function describeClientQuotas(request: Request): void {
  const { session } = request
  const body = request.body()
  try {
    if (!mayCluster(session, 'describeConfig'))
      throw new Refused(
        KafkaError.ClusterAuthorizationFailed,
        `${session.principal.user} may not describe the configuration of the cluster`,
      )
    const matches = matcherOf(body['components'], body['strict'])
    const entries = Quotas.of(session.broker)
      .all()
      .filter(({ entity }) => matches(entity))
      .map(({ entity, values }) => ({
        entity: shownEntity(entity),
        values: Object.entries(values).map(([key, value]) => ({ key, value })),
      }))
    request.respond({ errorMessage: '', entries })
  } catch (cause) {
    request.respond({ ...failure(cause), entries: null })
  }
}

function shownEntity(entity: QuotaEntity): object[] {
  return Object.entries(fields).flatMap(([entityType, field]) =>
    entity[field] === undefined ? [] : [{ entityType, entityName: entity[field] }],
  )
}

/** `strict`: the entity has the parts that are asked for and no others. */
function matcherOf(components: Message[], strict: boolean): (entity: QuotaEntity) => boolean {
  const asked = new Map<'user' | 'clientId', (name: string | null) => boolean>()
  for (const { entityType, matchType, match } of components) {
    const field = fields[entityType]
    if (field === undefined) {
      // Connections by address have no quota here, so none is found.
      if (entityType === 'ip') return () => false
      throw new Refused(KafkaError.UnsupportedVersion, `Unsupported entity type ${entityType}`)
    }
    if (asked.has(field))
      throw new Refused(KafkaError.InvalidRequest, `Entity type ${entityType} cannot appear more than once in the filter.`)
    if (matchType === MatchType.Exact) asked.set(field, (name) => name === match)
    else if (matchType === MatchType.Default) asked.set(field, (name) => name === null)
    else if (matchType === MatchType.Any) asked.set(field, () => true)
    else throw new Refused(KafkaError.InvalidRequest, `Unknown match type ${matchType}`)
  }
  return (entity) => {
    for (const field of Object.values(fields)) {
      const name = entity[field]
      const test = asked.get(field)
      if (test === undefined ? strict && name !== undefined : name === undefined || !test(name)) return false
    }
    return true
  }
}

export async function alterClientQuotas(request: Request): Promise<void> {
  const { session } = request
  const body = request.body()
  const shown = (entry: Message): object[] => (entry['entity'] as Message[]).map((part) => ({ ...part }))
  const entries: object[] = []
  const times = new Map<string, number>()
  const keyOf = (entry: Message): string => JSON.stringify(entry['entity'])
  for (const entry of body['entries'] as Message[]) times.set(keyOf(entry), (times.get(keyOf(entry)) ?? 0) + 1)
  for (const entry of body['entries'] as Message[]) {
    const asked = times.get(keyOf(entry)) ?? 0
    // What is named more than once is refused, with one answer.
    if (asked === 0) continue
    times.set(keyOf(entry), 0)
    try {
      const entity = entityOf(entry)
      if (asked > 1) throw new Refused(KafkaError.InvalidRequest, 'the entity appears more than once')
      await alterOne(session, entity, entry['ops'], body['validateOnly'])
      entries.push({ errorMessage: null, entity: shownEntity(entity) })
    } catch (cause) {
      entries.push({ ...failure(cause), entity: shown(entry) })
    }
  }
  request.respond({ entries })
}

function entityOf(entry: Message): QuotaEntity {
  const entity: { user?: string | null; clientId?: string | null } = {}
  for (const { entityType, entityName } of entry['entity'] as Message[]) {
    const field = fields[entityType]
    if (field === undefined) {
      const why =
        entityType === 'ip' ? 'connections by address are not limited here' : `Unhandled client quota entity type: ${entityType}`
      throw new Refused(KafkaError.InvalidRequest, why)
    }
    if (entityName === '') throw new Refused(KafkaError.InvalidRequest, `Empty ${entityType} not supported`)
    entity[field] = entityName
  }
  if (Object.keys(entity).length === 0) throw new Refused(KafkaError.InvalidRequest, 'Invalid empty client quota entity')
  return entity
}

async function alterOne(session: KafkaSession, entity: QuotaEntity, ops: Message[], validateOnly: boolean): Promise<void> {
  if (!mayCluster(session, 'configure'))
    throw new Refused(KafkaError.ClusterAuthorizationFailed, `${session.principal.user} may not configure the cluster`)
  const quotas = Quotas.of(session.broker)
  const values: Partial<Record<QuotaKey, number>> = { ...quotas.get(entity) }
  for (const { key, value, remove } of ops) {
    const known = quotaKeys.find((each) => each === key)
    if (known === undefined) {
      const why = notEnforced.has(key) ? `${key} is not enforced here` : `Invalid configuration key ${key}`
      throw new Refused(KafkaError.InvalidRequest, why)
    }
    if (remove) delete values[known]
    else values[known] = checkRate(key, value)
  }
  if (quotas.full && Object.keys(quotas.get(entity)).length === 0)
    throw new Refused(KafkaError.PolicyViolation, 'there are as many quotas as there can be')
  if (!validateOnly) await quotas.put(entity, values satisfies QuotaValues)
}

function checkRate(key: string, value: number): number {
  if (!(value > 0)) throw new Refused(KafkaError.InvalidRequest, `Quota ${key} must be greater than 0`)
  if (!Number.isInteger(value)) throw new Refused(KafkaError.InvalidRequest, `${key} cannot be a fractional value.`)
  return value
}
