// DescribeClientQuotas, AlterClientQuotas (KIP-546).
import { isIP } from 'node:net'
import { plainAddress } from '../../../lib/ip.ts'
import { KafkaError } from '../errors.ts'
import { mayCluster } from '../operations.ts'
import { addressQuotaKeys, clientQuotaKeys, type QuotaEntity, type QuotaKey, Quotas, type QuotaValues } from '../quotas.ts'
import { failure, Refused } from '../refused.ts'
import type { Request } from '../request.ts'
import type { Message } from '../schema.ts'
import type { KafkaSession } from '../session.ts'

const MatchType = { Exact: 0, Default: 1, Any: 2 } as const
type Field = 'user' | 'clientId' | 'ip'
const fields: Readonly<Record<string, Field>> = { user: 'user', 'client-id': 'clientId', ip: 'ip' }
/** May be fractions. */
const fractionKeys: readonly QuotaKey[] = ['request_percentage', 'controller_mutation_rate']
const greatestInt = 0x7fffffff

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
  const asked = new Map<Field, (name: string | null) => boolean>()
  for (const { entityType, matchType, match } of components) {
    const field = fields[entityType]
    if (field === undefined) throw new Refused(KafkaError.UnsupportedVersion, `Unsupported entity type ${entityType}`)
    if (asked.has(field))
      throw new Refused(KafkaError.InvalidRequest, `Entity type ${entityType} cannot appear more than once in the filter.`)
    if (matchType === MatchType.Exact) asked.set(field, (name) => name === match)
    else if (matchType === MatchType.Default) asked.set(field, (name) => name === null)
    else if (matchType === MatchType.Any) asked.set(field, () => true)
    else throw new Refused(KafkaError.InvalidRequest, `Unknown match type ${matchType}`)
  }
  if (asked.has('ip') && asked.size > 1)
    throw new Refused(
      KafkaError.InvalidRequest,
      'Invalid entity filter component combination. IP filter component should not be used with User or ClientId filter component.',
    )
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
  const entity: { -readonly [Part in keyof QuotaEntity]: QuotaEntity[Part] } = {}
  for (const { entityType, entityName } of entry['entity'] as Message[]) {
    const field = fields[entityType]
    if (field === undefined) throw new Refused(KafkaError.InvalidRequest, `Unhandled client quota entity type: ${entityType}`)
    if (entityName === '') throw new Refused(KafkaError.InvalidRequest, `Empty ${entityType} not supported`)
    entity[field] = entityName
  }
  if (Object.keys(entity).length === 0) throw new Refused(KafkaError.InvalidRequest, 'Invalid empty client quota entity')
  if (entity.ip === undefined) return entity
  if (Object.keys(entity).length > 1)
    throw new Refused(
      KafkaError.InvalidRequest,
      'Invalid quota entity combination, IP entity should not be combined with User or ClientId',
    )
  if (entity.ip !== null && isIP(entity.ip) === 0)
    throw new Refused(KafkaError.InvalidRequest, `${entity.ip} is not a valid IP (names are not looked up here).`)
  return { ip: entity.ip === null ? null : plainAddress(entity.ip) }
}

async function alterOne(session: KafkaSession, entity: QuotaEntity, ops: Message[], validateOnly: boolean): Promise<void> {
  if (!mayCluster(session, 'configure'))
    throw new Refused(KafkaError.ClusterAuthorizationFailed, `${session.principal.user} may not configure the cluster`)
  const quotas = Quotas.of(session.broker)
  const values: Partial<Record<QuotaKey, number>> = { ...quotas.get(entity) }
  for (const { key, value, remove } of ops) {
    const known = (entity.ip === undefined ? clientQuotaKeys : addressQuotaKeys).find((each) => each === key)
    if (known === undefined) throw new Refused(KafkaError.InvalidRequest, `Invalid configuration key ${key}`)
    if (remove) delete values[known]
    else values[known] = checkRate(known, value)
  }
  if (quotas.full && Object.keys(quotas.get(entity)).length === 0)
    throw new Refused(KafkaError.PolicyViolation, 'there are as many quotas as there can be')
  if (!validateOnly) await quotas.put(entity, values satisfies QuotaValues)
}

function checkRate(key: QuotaKey, value: number): number {
  if (!(value > 0)) throw new Refused(KafkaError.InvalidRequest, `Quota ${key} must be greater than 0`)
  if (fractionKeys.includes(key)) return value
  if (!Number.isInteger(value)) throw new Refused(KafkaError.InvalidRequest, `${key} cannot be a fractional value.`)
  if (key === 'connection_creation_rate' && value > greatestInt)
    throw new Refused(KafkaError.InvalidRequest, `Proposed value for ${key} is too large for an INT.`)
  return value
}
