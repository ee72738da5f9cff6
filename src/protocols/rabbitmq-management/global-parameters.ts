/**
 * Global parameters: named values that RabbitMQ keeps for its tools and plug-ins and gives back as they came. Those that one of its parts acts on
 * are refused where that part is not here, since they would change nothing.
 */
import type { Broker } from '../../broker/face.ts'
import { badRequest } from './errors.ts'
import type { Json } from './json.ts'

export const globalParametersMax = 1000
const valueBytesMax = 64 * 1024

/** Of the cluster itself: shown, never changed. */
const own = (broker: Broker): Json => ({
  cluster_name: `anymq@${broker.clusterId}`,
  internal_cluster_id: `anymq-cluster-id-${broker.clusterId}`,
})

/** What would act on them is not here. */
const unread: ReadonlySet<string> = new Set([
  'mqtt_default_vhosts',
  'mqtt_port_to_vhost_mapping',
  'imported_definition_hash_value',
])

const rows = (broker: Broker) => broker.rows('rabbitmq global parameters')

/** Those that were set. */
export function keptParameters(broker: Broker): { name: string; value: unknown }[] {
  return [...rows(broker).entries()].map(([name, text]) => ({ name, value: JSON.parse(text) as unknown })) // our own rows
}

export function globalParameters(broker: Broker): { name: string; value: unknown }[] {
  return [...Object.entries(own(broker)).map(([name, value]) => ({ name, value })), ...keptParameters(broker)]
}

/** Throws an ApiError for one that cannot be set. */
export function checkGlobalParameter(broker: Broker, name: string, value: unknown): void {
  if (name === '') throw badRequest('it has no name')
  if (Object.hasOwn(own(broker), name)) throw badRequest(`global parameter ${name} is AnyMQ's own`)
  if (unread.has(name)) throw badRequest(`global parameter ${name}: nothing here reads it, so it is not kept`)
  if (Buffer.byteLength(JSON.stringify(value)) > valueBytesMax)
    throw badRequest(`global parameter ${name} is larger than ${valueBytesMax} bytes`)
}

export async function putGlobalParameter(broker: Broker, name: string, value: unknown): Promise<void> {
  checkGlobalParameter(broker, name, value)
  const table = rows(broker)
  if (table.size >= globalParametersMax && table.get(name) === undefined)
    throw badRequest(`there are ${globalParametersMax} global parameters at most`)
  table.put(name, JSON.stringify(value))
  await table.durable()
}

/** False when there was none. */
export async function deleteGlobalParameter(broker: Broker, name: string): Promise<boolean> {
  if (!rows(broker).delete(name)) return false
  await rows(broker).durable()
  return true
}
