/** A message's properties ⇄ JSON, by the names of the HTTP API. */
import type { Properties } from '../amqp/codec.ts'
import { jsonOfTable, tableOfJson } from '../amqp/json.ts'
import { badRequest } from './errors.ts'
import { isObject, type Json } from './json.ts'

const names = {
  content_type: 'contentType',
  content_encoding: 'contentEncoding',
  delivery_mode: 'deliveryMode',
  priority: 'priority',
  correlation_id: 'correlationId',
  reply_to: 'replyTo',
  expiration: 'expiration',
  message_id: 'messageId',
  timestamp: 'timestamp',
  type: 'type',
  user_id: 'userId',
  app_id: 'appId',
  cluster_id: 'clusterId',
} as const satisfies Record<string, keyof Properties>

const integersMax: Readonly<Record<string, number>> = {
  delivery_mode: 255,
  priority: 255,
  timestamp: Number.MAX_SAFE_INTEGER,
}

/** An empty list when there are none, as RabbitMQ answers. */
export function propertiesJson(properties: Properties): Json | [] {
  const json: Record<string, unknown> = {}
  for (const [name, property] of Object.entries(names)) if (properties[property] !== undefined) json[name] = properties[property]
  if (properties.headers !== undefined) json['headers'] = jsonOfTable(properties.headers)
  return Object.keys(json).length === 0 ? [] : json
}

/** Throws an ApiError for a name that is none, or a value that it cannot have. */
export function propertiesOf(json: Json): Properties {
  const properties: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(json)) {
    if (name === 'headers') {
      if (!isObject(value)) throw badRequest(['not_object', name])
      properties['headers'] = tableOfJson(value)
      continue
    }
    // RabbitMQ takes no notice of such a name, so that a misspelt one would silently change the message.
    if (!Object.hasOwn(names, name)) throw badRequest(['unknown_property', name])
    properties[names[name as keyof typeof names]] = checked(name, value)
  }
  return properties
}

function checked(name: string, value: unknown): unknown {
  const max = integersMax[name]
  if (max !== undefined) {
    if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw badRequest(['not_int', name])
    if (value < 0 || value > max) throw badRequest(['out_of_range', name])
  } else if (typeof value !== 'string') throw badRequest(['not_string', name])
  else if (Buffer.byteLength(value) > 255) throw badRequest(['too_long', name])
  return value
}
