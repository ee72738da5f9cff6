/** Limits of vhosts and users, by RabbitMQ's names for them: the broker's quotas. A negative limit is none, as there. */
import type { Broker, Quota } from '../../broker/face.ts'
import { channelLimit } from '../amqp/limits.ts'
import { badRequest } from './errors.ts'
import { integer } from './fields.ts'
import { isObject, type Json } from './json.ts'
import { namespaceOf, vhostOf } from './names.ts'

type Kind = Quota['of']

/** Which limits there are. */
const names = {
  namespace: ['max-connections', 'max-queues'],
  user: ['max-connections', channelLimit],
} as const satisfies Record<Kind, readonly string[]>

const nameOf = (kind: Kind, owner: string): string => (kind === 'namespace' ? namespaceOf(owner) : owner)

/** {} when it has none. */
export function limitsOf(broker: Broker, kind: Kind, owner: string): Json {
  const quota = broker.quotas.of(kind, nameOf(kind, owner))
  return quota === undefined ? {} : limitsJson(quota)
}

function limitsJson({ connectionsMax, topicsMax, others }: Quota): Json {
  return {
    ...(connectionsMax === undefined ? {} : { 'max-connections': connectionsMax }),
    ...(topicsMax === undefined ? {} : { 'max-queues': topicsMax }),
    ...others,
  }
}

/** Every vhost, or user, that has limits. */
export function allLimits(broker: Broker, kind: Kind): { owner: string; limits: Json }[] {
  return broker.quotas
    .list()
    .filter((quota) => quota.of === kind)
    .map((quota) => ({ owner: kind === 'namespace' ? vhostOf(quota.name) : quota.name, limits: limitsJson(quota) }))
}

/** Sets exactly these limits. */
export async function putLimits(broker: Broker, kind: Kind, owner: string, limits: Json): Promise<void> {
  await broker.quotas.put(quotaOf(kind, owner, limits))
}

/** Throws an ApiError for what is no limit. */
export function quotaOf(kind: Kind, owner: string, limits: Json): Quota {
  const quota: { of: Kind; name: string; connectionsMax?: number; topicsMax?: number; others?: Record<string, number> } = {
    of: kind,
    name: nameOf(kind, owner),
  }
  for (const [name, value] of Object.entries(limits)) {
    if (!(names[kind] as readonly string[]).includes(name)) {
      const list = kind === 'namespace' ? 'limits' : 'user-limits'
      throw badRequest(`Validation failed\n\nUnrecognised terms [{<<"${name}">>,${JSON.stringify(value)}}] in ${list}\n`)
    }
    const limit = limitOf(name, value)
    if (limit < 0) continue
    if (name === 'max-connections') quota.connectionsMax = limit
    else if (name === 'max-queues') quota.topicsMax = limit
    else quota.others = { [name]: limit }
  }
  return quota
}

function limitOf(name: string, value: unknown): number {
  try {
    return integer(value)
  } catch {
    throw badRequest(`Validation failed\n\n${name} should be a number, actually was ${JSON.stringify(value)}\n`)
  }
}

/** As definitions have them: an object, or a list of such, or nothing. */
export function givenLimits(given: unknown): Json {
  if (given === undefined || given === null) return {}
  if (Array.isArray(given)) return Object.assign({}, ...given.map(givenLimits))
  if (!isObject(given)) throw badRequest('limits must be an object')
  return given
}
