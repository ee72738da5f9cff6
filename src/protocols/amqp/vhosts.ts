// What a vhost has beside its contents. Set over the management API; the default type of queues counts here.
import { Buffer } from 'node:buffer'
import type { Broker, Rows } from '../../broker/face.ts'
import type { QueueType } from './declaration.ts'
import type { MethodFields } from './methods.ts'

export interface VhostWords {
  readonly description: string
  readonly tags: readonly string[]
  /** Of queues that are declared without a type. Absent: classic. */
  readonly default_queue_type?: QueueType
  /** It cannot be deleted until this is taken away. */
  readonly protected_from_deletion?: true
}

/** By the vhost's name. */
export const vhostRows = (broker: Broker): Rows => broker.rows('rabbitmq vhosts')

export function vhostWords(broker: Broker, vhost: string): VhostWords {
  const stored = vhostRows(broker).get(vhost)
  if (stored !== undefined) return JSON.parse(stored) as VhostWords // our own rows
  return { description: vhost === '/' ? 'Default virtual host' : '', tags: [] }
}

type Declare = MethodFields<'queue.declare'>

/** The declaration with the type that its vhost gives to queues which say none; what only a classic queue can be stays one. */
export function typedByVhost(declare: Declare, broker: Broker, vhost: string): Declare {
  if (
    declare.arguments.has('x-queue-type') ||
    !declare.durable ||
    declare.exclusive ||
    declare.autoDelete ||
    declare.queue === ''
  )
    return declare
  const type = vhostWords(broker, vhost).default_queue_type
  if (type === undefined) return declare
  return { ...declare, arguments: new Map([...declare.arguments, ['x-queue-type', { type: 'S', value: Buffer.from(type) }]]) }
}
