/**
 * Importing definitions of a RabbitMQ (3.x, 4.x) or of AnyMQ. First all of it is looked through: what AnyMQ cannot honour refuses the import,
 * with the whole list, unless the caller wants it skipped. Then everything is made, vhosts first and users last (with the first of them a
 * login becomes necessary). What is refused while it is made (a queue that exists with other arguments) is collected, and the rest goes on.
 */
import type { Broker, KeyPermission, Permission, Policy, Quota, UserChange } from '../../broker/face.ts'
import { asCoreError } from '../../core/errors.ts'
import { tableOfJson } from '../amqp/json.ts'
import { type AmqpChannel, withChannel } from './amqp-client.ts'
import { ApiError, badRequest } from './errors.ts'
import { object, text } from './fields.ts'
import { checkGlobalParameter, putGlobalParameter } from './global-parameters.ts'
import { isObject, type Json } from './json.ts'
import { givenLimits, quotaOf } from './limits.ts'
import { policyOf } from './policy-words.ts'
import type { Call } from './route.ts'
import { bind } from './routes/bindings.ts'
import { declareExchange } from './routes/exchanges.ts'
import { permissionOf, topicPermissionOf } from './routes/permissions.ts'
import { declareQueue } from './routes/queues.ts'
import { userChange } from './routes/users.ts'
import { putVhost, vhostFields } from './routes/vhosts.ts'

/** Something of the definitions that was not made, and why. */
export interface Refusal {
  readonly what: string
  readonly why: string
}

export interface Report {
  /** How many of each kind were made or were there already. */
  readonly imported: Readonly<Record<string, number>>
  readonly skipped: readonly Refusal[]
  /** Looked through and fine, but refused when it was to be made. */
  readonly refused: readonly Refusal[]
}

const lists = [
  'users',
  'vhosts',
  'permissions',
  'topic_permissions',
  'parameters',
  'global_parameters',
  'policies',
  'queues',
  'exchanges',
  'bindings',
] as const
type List = (typeof lists)[number]

/** Of the exporting broker itself. */
const facts: ReadonlySet<string> = new Set([
  'rabbit_version',
  'rabbitmq_version',
  'product_name',
  'product_version',
  'rabbitmq_definition_format',
  'original_cluster_name',
  'original_vhost_name',
  'explanation',
  'description',
  'tags',
  'metadata',
  'default_queue_type',
  'protected_from_deletion',
  'limits',
])
/** Names of the exporting cluster: they stay with it. */
const namesOfCluster: ReadonlySet<string> = new Set(['cluster_name', 'internal_cluster_id', 'cluster_tags'])

/** `vhost`: all of it belongs there, and names no vhost itself. Throws an ApiError when there is something that cannot be honoured, unless it is to be skipped. */
export async function importDefinitions(call: Call, body: Json, vhost: string | null, skip: boolean): Promise<Report> {
  const plan = new Plan(call.broker, body, vhost)
  if (plan.unsupported.length > 0 && !skip) throw badRequest(unsupportedText(plan.unsupported))
  plan.checkAdministrator()
  return await make(call, plan)
}

function unsupportedText(unsupported: readonly Refusal[]): string {
  const list = unsupported.map(({ what, why }) => `${what}: ${why}`).join('\n')
  return `Nothing was imported, because AnyMQ does not support:\n${list}\nImport everything else with ?unsupported=skip`
}

interface Entity {
  readonly vhost: string
  readonly name: string
  readonly body: Json
}
interface BindingEntity {
  readonly vhost: string
  readonly source: string
  readonly destination: string
  readonly destinationKind: 'topic' | 'exchange'
  readonly body: Json
}
interface UserEntity {
  change: UserChange | null
  permissions: Permission[]
  keyPermissions: KeyPermission[]
}

/** What is to be made, each part looked through. */
class Plan {
  readonly unsupported: Refusal[] = []
  readonly vhosts: Entity[] = []
  readonly policies: Policy[] = []
  readonly quotas: Quota[] = []
  readonly globals: { name: string; value: unknown }[] = []
  readonly exchanges: Entity[] = []
  readonly queues: Entity[] = []
  readonly bindings: BindingEntity[] = []
  readonly users = new Map<string, UserEntity>()
  readonly #broker: Broker
  readonly #vhost: string | null

  constructor(broker: Broker, body: Json, vhost: string | null) {
    this.#broker = broker
    this.#vhost = vhost
    for (const key of Object.keys(body))
      if (!(lists as readonly string[]).includes(key) && !facts.has(key)) this.#refuse(key, 'unknown')
    if (vhost !== null) this.#limit('namespace', vhost, givenLimits(body['limits']))
    for (const list of lists) {
      const items = body[list] ?? []
      if (!Array.isArray(items)) throw badRequest(`${list} must be a list`)
      for (const item of items) {
        if (!isObject(item)) throw badRequest(`${list} must be a list of objects`)
        this.#look(list, item)
      }
    }
  }

  #refuse(what: string, why: string): void {
    this.unsupported.push({ what, why })
  }

  /** What an item lacks or says wrongly is reported with its name. */
  #look(list: List, item: Json): void {
    try {
      this.#add(list, item)
    } catch (cause) {
      if (!(cause instanceof ApiError) && !(cause instanceof RangeError)) throw cause
      const reason = cause.message.replace(/^Validation failed\n\n/, '').trim()
      const name = item['name'] ?? item['user'] ?? item['source'] ?? ''
      this.#refuse(`${singular[list]} "${String(name)}"`, reason)
    }
  }

  #add(list: List, item: Json): void {
    switch (list) {
      case 'vhosts':
        vhostFields(named(item), item)
        this.#limit('namespace', named(item), givenLimits(item['limits']))
        this.vhosts.push({ vhost: '', name: named(item), body: item })
        return
      // What may be refused is read first: a user of whom nothing is taken must not come into being.
      case 'users': {
        const change = userChange(item)
        this.#limit('user', named(item), givenLimits(item['limits']))
        this.#user(named(item)).change = change
        return
      }
      case 'permissions': {
        const permission = permissionOf(this.#in(item), item)
        this.#user(text(item, 'user')).permissions.push(permission)
        return
      }
      case 'topic_permissions': {
        const user = text(item, 'user')
        const permission = topicPermissionOf(this.#in(item), user, item)
        this.#user(user).keyPermissions.push(permission)
        return
      }
      case 'policies':
        return void this.policies.push(policyOf(this.#in(item), named(item), false, item))
      case 'parameters':
        return this.#addParameter(item)
      case 'global_parameters':
        if (namesOfCluster.has(named(item))) return
        checkGlobalParameter(this.#broker, named(item), item['value'] ?? null)
        return void this.globals.push({ name: named(item), value: item['value'] ?? null })
      case 'exchanges':
        return void this.exchanges.push(this.#entity(item))
      case 'queues':
        return void this.queues.push(this.#entity(item))
      case 'bindings':
        return void this.bindings.push(this.#binding(item))
    }
  }

  #addParameter(item: Json): void {
    const component = text(item, 'component')
    if (component === 'vhost-limits') return this.#limit('namespace', this.#in(item), object(item, 'value'))
    if (component !== 'operator_policy')
      return this.#refuse(`parameter "${named(item)}" of ${component}`, 'there is no such component here')
    this.policies.push(policyOf(this.#in(item), named(item), true, object(item, 'value')))
  }

  #limit(kind: Quota['of'], owner: string, limits: Json): void {
    if (Object.keys(limits).length > 0) this.quotas.push(quotaOf(kind, owner, limits))
  }

  #in(item: Json): string {
    return this.#vhost ?? text(item, 'vhost')
  }

  #entity(item: Json): Entity {
    tableOfJson(object(item, 'arguments'))
    return { vhost: this.#in(item), name: named(item), body: item }
  }

  #binding(item: Json): BindingEntity {
    tableOfJson(object(item, 'arguments'))
    const type = text(item, 'destination_type')
    if (type !== 'queue' && type !== 'exchange') throw badRequest(`destination_type "${type}" is unknown`)
    return {
      vhost: this.#in(item),
      source: text(item, 'source'),
      destination: text(item, 'destination'),
      destinationKind: type === 'queue' ? 'topic' : 'exchange',
      body: item,
    }
  }

  #user(name: string): UserEntity {
    let user = this.users.get(name)
    if (user === undefined) {
      user = { change: null, permissions: [], keyPermissions: [] }
      this.users.set(name, user)
    }
    return user
  }

  /** With the first user everybody has to log in: one of them must be able to administrate. */
  checkAdministrator(): void {
    const after = new Map(this.#broker.users.list().map((user) => [user.name, user.admin && !user.disabled]))
    for (const [name, { change }] of this.users) if (change !== null) after.set(name, change.admin ?? after.get(name) ?? false)
    if (after.size > 0 && ![...after.values()].includes(true))
      throw badRequest(
        'Nothing was imported: with these users everybody would have to log in, and none of them is an administrator',
      )
  }
}

const singular: Readonly<Record<List, string>> = {
  users: 'user',
  vhosts: 'vhost',
  permissions: 'permission of user',
  topic_permissions: 'topic permission of user',
  parameters: 'parameter',
  global_parameters: 'global parameter',
  policies: 'policy',
  queues: 'queue',
  exchanges: 'exchange',
  bindings: 'binding from',
}

function named(item: Json): string {
  const name = text(item, 'name')
  if (name === '') throw badRequest('it has no name')
  return name
}

async function make(call: Call, plan: Plan): Promise<Report> {
  const { broker } = call
  const imported: Record<string, number> = {}
  const refused: Refusal[] = []
  const each = async <T>(kind: string, items: Iterable<T>, what: (item: T) => string, run: (item: T) => Promise<unknown>) => {
    for (const item of items) {
      try {
        await run(item)
        imported[kind] = (imported[kind] ?? 0) + 1
      } catch (cause) {
        const why = cause instanceof ApiError || cause instanceof RangeError ? cause.message : asCoreError(cause).message
        refused.push({ what: what(item), why })
      }
    }
  }
  const inChannel = (vhost: string, use: (channel: AmqpChannel) => Promise<void>): Promise<void> =>
    withChannel(broker, call.caller, call.request, vhost, use)
  const at = (kind: string) => (entity: Entity) => `${kind} "${entity.name}" of vhost "${entity.vhost}"`

  await each('vhosts', plan.vhosts, at('vhost'), ({ name, body }) => putVhost(call, name, body))
  await each(
    'policies',
    plan.policies,
    ({ name }) => `policy "${name}"`,
    (policy) => broker.policies.put(policy),
  )
  await each('exchanges', plan.exchanges, at('exchange'), ({ vhost, name, body }) =>
    inChannel(vhost, (channel) => declareExchange(channel, name, body)),
  )
  await each('queues', plan.queues, at('queue'), ({ vhost, name, body }) =>
    inChannel(vhost, (channel) => declareQueue(channel, name, body)),
  )
  await each(
    'bindings',
    plan.bindings,
    ({ source, destination }) => `binding from "${source}" to "${destination}"`,
    (binding) =>
      inChannel(binding.vhost, (channel) =>
        bind(channel, binding, text(binding.body, 'routing_key'), tableOfJson(object(binding.body, 'arguments'))),
      ),
  )
  // Administrators first: the first user of all must be one.
  const users = [...plan.users].sort(([, a], [, b]) => Number(b.change?.admin === true) - Number(a.change?.admin === true))
  await each(
    'users',
    users,
    ([name]) => `user "${name}"`,
    ([name, user]) => putUser(broker, name, user),
  )
  // Limits last: what is imported does not have to fit into them.
  await each(
    'limits',
    plan.quotas,
    ({ of, name }) => `limits of ${of === 'namespace' ? 'vhost' : 'user'} "${name}"`,
    (quota) => broker.quotas.put(quota),
  )
  await each(
    'global_parameters',
    plan.globals,
    ({ name }) => `global parameter "${name}"`,
    ({ name, value }) => putGlobalParameter(broker, name, value),
  )
  return { imported, skipped: plan.unsupported, refused }
}

/** What a user has in other vhosts stays. */
async function putUser(broker: Broker, name: string, { change, permissions, keyPermissions }: UserEntity): Promise<void> {
  for (const { namespace } of [...permissions, ...keyPermissions])
    if (!broker.namespaces().includes(namespace))
      throw badRequest(`permissions in a vhost that does not exist (namespace "${namespace}")`)
  await broker.users.change(name, (present) => {
    if (present === undefined && change === null) throw badRequest('permissions for a user that does not exist')
    const kept = (present?.permissions ?? []).filter((own) => !permissions.some(({ namespace }) => namespace === own.namespace))
    const keptKeys = (present?.keyPermissions ?? []).filter(
      (own) => !keyPermissions.some(({ namespace, exchange }) => namespace === own.namespace && exchange === own.exchange),
    )
    return { ...change, permissions: [...kept, ...permissions], keyPermissions: [...keptKeys, ...keyPermissions] }
  })
}
