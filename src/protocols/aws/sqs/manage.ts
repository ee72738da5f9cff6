/** Queues as a whole: made, found, listed, described, changed, tagged, purged and deleted. */
import { invalidBecause, invalidValue, missing, sqsError } from '../errors.ts'
import type { Shapes } from '../form.ts'
import type { Input } from '../input.ts'
import { account, isFifo, queueArn, queueUrl } from '../names.ts'
import { Pairs } from '../pairs.ts'
import { askedAttributes, checkAttributes, describe, redrivePolicy, topicConfig } from './attributes.ts'
import type { SqsAction, SqsCall } from './call.ts'
import type { Queue, Queues } from './queue.ts'

const purgeIntervalMs = 60_000
const listMax = 1000
const tagsMax = 50

const attributeShapes: Shapes = {
  Attributes: { map: 'Attribute', key: 'Name', value: 'Value', of: 'text' },
  tags: { map: 'Tag', key: 'Key', value: 'Value', of: 'text' },
}

const urlOf = (call: SqsCall, name: string, owner = account): string => queueUrl(call.caller.base, name, owner)

export const createQueue: SqsAction = {
  shapes: attributeShapes,
  run: async (call) => {
    const { input, queues } = call
    const name = input.text('QueueName')
    const attributes = input.map('Attributes') ?? new Map<string, string>()
    checkName(name, attributes)
    checkAttributes(queues, name, attributes)
    const tags = tagsOf(input.map('tags') ?? input.map('Tags'))
    call.allow('describe', name)
    const present = queues.find(name)
    if (present === undefined) await create(call, name, attributes, tags)
    else checkSame(present, attributes)
    return { QueueUrl: urlOf(call, name) }
  },
}

function checkName(name: string, attributes: ReadonlyMap<string, string>): void {
  const fifo = attributes.get('FifoQueue') === 'true'
  if (!fifo && isFifo(name) && /^[A-Za-z0-9_-]{1,75}\.fifo$/.test(name))
    throw invalidValue('Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length')
  if (fifo && !/^[A-Za-z0-9_-]{1,75}\.fifo$/.test(name))
    throw invalidValue(
      'The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with .fifo suffix and be 1 to 80 in length',
    )
  if (!fifo && !/^[A-Za-z0-9_-]{1,80}$/.test(name))
    throw invalidValue('Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length')
}

/** The topic and what is said of it are one entry of the write-ahead log. */
async function create(
  call: SqsCall,
  name: string,
  attributes: ReadonlyMap<string, string>,
  tags: Readonly<Record<string, string>>,
): Promise<void> {
  const { broker, queues, space } = call
  const config = { retention: 'acknowledged' as const, ...topicConfig(attributes, true) }
  let made: Promise<unknown> = Promise.resolve()
  const stored = new Promise<void>((resolve, reject) =>
    broker.atomically(
      () => {
        made = space.createTopic(name, config, 'sqs', {}, isFifo(name) ? { keyExclusive: 'group' } : {})
        const topic = queues.find(name)?.topic
        if (topic !== undefined && topic.declaredBy === 'sqs') queues.put(topic, kept(attributes), tags)
      },
      (error) => (error === null ? resolve() : reject(error)),
    ),
  )
  await Promise.all([made, stored])
}

/** What is said of the topic's own configuration is kept there alone; a policy is echoed as it was written. */
const kept = (attributes: ReadonlyMap<string, string>): Record<string, string> =>
  Object.fromEntries([...attributes].filter(([name, value]) => name !== 'MessageRetentionPeriod' && value !== ''))

function checkSame(present: Queue, attributes: ReadonlyMap<string, string>): void {
  for (const [name, value] of attributes) {
    if (value === (present.attribute(name) ?? '')) continue
    throw sqsError('QueueNameExists', `A queue already exists with the same name and a different value for attribute ${name}`)
  }
}

export const getQueueUrl: SqsAction = {
  run: (call) => {
    const name = call.input.text('QueueName')
    const owner = call.input.optionalText('QueueOwnerAWSAccountId') ?? account
    if (!/^\d{12}$/.test(owner)) throw invalidBecause(owner, 'QueueOwnerAWSAccountId', 'It must be a 12 digit account id.')
    call.allow('describe', name)
    call.queues.get(name)
    return { QueueUrl: urlOf(call, name, owner) }
  },
}

export const listQueues: SqsAction = {
  run: (call) => {
    const prefix = call.input.optionalText('QueueNamePrefix') ?? ''
    const names = visible(call)
      .map(({ name }) => name)
      .filter((name) => name.startsWith(prefix))
    const { page, next } = paged(call.input, names)
    return { ...(page.length > 0 && { QueueUrls: page.map((name) => urlOf(call, name)) }), ...next }
  },
}

/** What is of another service's own making is not shown. */
function visible(call: SqsCall): Queue[] {
  return call.queues.all().filter(({ name, topic }) => topic.declaredBy !== 'sns' && call.mayUse('describe', name))
}

/** A page of names in their order; a token is the name it goes on behind. */
function paged(input: Input, names: readonly string[]): { page: string[]; next: { NextToken?: string } } {
  const max = input.optionalWhole('MaxResults')
  if (max !== undefined && (max < 1 || max > listMax))
    throw invalidBecause(max, 'MaxResults', `Must be between 1 and ${listMax}, if provided.`)
  const token = input.optionalText('NextToken')
  const after = token === undefined || token === '' ? undefined : Buffer.from(token, 'base64').toString()
  if (after !== undefined && Buffer.from(after).toString('base64') !== token)
    throw invalidBecause(token, 'NextToken', 'It is no token of this list.')
  const rest = [...names].sort().filter((name) => after === undefined || name > after)
  const page = rest.slice(0, max ?? listMax)
  const last = page.at(-1)
  const more = max !== undefined && rest.length > page.length && last !== undefined
  return { page, next: more ? { NextToken: Buffer.from(last).toString('base64') } : {} }
}

export const deleteQueue: SqsAction = {
  run: async (call) => {
    const queue = call.queue('delete')
    await call.space.deleteTopic(queue.name)
    call.queues.forget(queue.topic)
    await call.queues.durable()
    return null
  },
}

export const purgeQueue: SqsAction = {
  run: async (call) => {
    const queue = call.queue('consume')
    const { queues, broker } = call
    const id = queue.topic.id.toString('hex')
    const now = broker.clock.now()
    if (now - (queues.purgedAt.get(id) ?? -Infinity) < purgeIntervalMs)
      throw sqsError('PurgeQueueInProgress', `Only one PurgeQueue operation on ${queue.name} is allowed every 60 seconds.`)
    queues.purgedAt.set(id, now)
    queues.reader(queue).purge()
    await call.space.purge(queue.name)
    await purgeDelayed(queues, queue.name)
    return null
  },
}

const scheduledMax = 100_000

async function purgeDelayed(queues: Queues, name: string): Promise<void> {
  for (const { id, address, exchange } of await queues.space.scheduled(scheduledMax))
    if (address === name && (exchange === null || exchange === '')) await queues.space.cancelScheduled(id)
}

export const getQueueAttributes: SqsAction = {
  shapes: { AttributeNames: { list: 'AttributeName', of: 'text' } },
  run: async (call) => {
    const queue = call.queue('describe')
    const names = askedAttributes(call.input.texts('AttributeNames'))
    const found = await describe(call.queues, queue, names, call.caller.region)
    return found.size === 0 ? {} : { Attributes: found }
  },
}

export const setQueueAttributes: SqsAction = {
  shapes: attributeShapes,
  run: async (call) => {
    const queue = call.queue('configure')
    const given = call.input.map('Attributes')
    if (given === undefined) throw missing('Attribute.Name')
    if (given.has('FifoQueue')) throw sqsError('InvalidAttributeName', 'Unknown Attribute FifoQueue.')
    checkAttributes(call.queues, queue.name, given, queue)
    await change(call, queue, given)
    return null
  },
}

async function change(call: SqsCall, queue: Queue, given: ReadonlyMap<string, string>): Promise<void> {
  const { queues, space, broker } = call
  const config = topicConfig(given, false)
  const attributes: Record<string, string> = { ...queue.stored.attributes, ...kept(given) }
  for (const [name, value] of given) if (value === '') delete attributes[name]
  let altered: Promise<unknown> = Promise.resolve()
  const stored = new Promise<void>((resolve, reject) =>
    broker.atomically(
      () => {
        if (Object.keys(config).length > 0) altered = space.alterTopic(queue.name, config)
        queues.put(queue.topic, attributes, queue.stored.tags)
      },
      (error) => (error === null ? resolve() : reject(error)),
    ),
  )
  await Promise.all([altered, stored])
}

export const listDeadLetterSourceQueues: SqsAction = {
  run: (call) => {
    const queue = call.queue('describe')
    const sources = visible(call).filter((source) => redriveTarget(source) === queue.name)
    const { page, next } = paged(
      call.input,
      sources.map(({ name }) => name),
    )
    return { queueUrls: page.map((name) => urlOf(call, name)), ...next }
  },
}

/** The dead-letter queue of a queue. */
export function redriveTarget(queue: Queue): string | undefined {
  const text = queue.attribute('RedrivePolicy')
  if (text === undefined || text === '') return undefined
  return redrivePolicy(text).target
}

// ---------------------------------------------------------------------------------------------------------------------- tags

export const tagQueue: SqsAction = {
  shapes: { Tags: { map: 'Tag', key: 'Key', value: 'Value', of: 'text' } },
  run: async (call) => {
    const queue = call.queue('configure')
    const { attributes, tags } = queue.stored
    const added = tagsOf(call.input.map('Tags'))
    if (Object.keys(added).length === 0) throw missing('Tags')
    const all = { ...tags, ...added }
    if (Object.keys(all).length > tagsMax) throw invalidValue(`Too many tags added for queue ${queue.name}.`)
    call.queues.put(queue.topic, attributes, all)
    await call.queues.durable()
    return null
  },
}

export const untagQueue: SqsAction = {
  shapes: { TagKeys: { list: 'TagKey', of: 'text' } },
  run: async (call) => {
    const queue = call.queue('configure')
    const gone = new Set(call.input.texts('TagKeys'))
    const { attributes, tags } = queue.stored
    call.queues.put(queue.topic, attributes, Object.fromEntries(Object.entries(tags).filter(([key]) => !gone.has(key))))
    await call.queues.durable()
    return null
  },
}

export const listQueueTags: SqsAction = {
  run: (call) => {
    const { tags } = call.queue('describe').stored
    return Object.keys(tags).length === 0 ? {} : { Tags: new Pairs(Object.entries(tags)) }
  },
}

function tagsOf(given: ReadonlyMap<string, string> | undefined): Record<string, string> {
  for (const [key, value] of given ?? []) {
    if (key === '' || key.length > 128 || /^aws:/i.test(key)) throw invalidValue(`Invalid tag key: ${key}.`)
    if (value.length > 256) throw invalidValue(`Invalid value of the tag ${key}: at most 256 characters.`)
  }
  if (given !== undefined && given.size > tagsMax) throw invalidValue('Too many tags.')
  return Object.fromEntries(given ?? [])
}

// --------------------------------------------------------------------------------------------------------------- permissions

const actionName = /^(\*|[A-Za-z]+)$/

/** While nobody has to log in everybody may do everything, so what this allows is true. With users, the broker's permissions say it. */
export const addPermission: SqsAction = {
  shapes: { AWSAccountIds: { list: 'AWSAccountId', of: 'text' }, Actions: { list: 'ActionName', of: 'text' } },
  run: async (call) => {
    const queue = call.queue('configure')
    if (call.broker.authenticationRequired)
      throw sqsError('UnsupportedOperation', "Users' permissions are set by the broker's administrator.")
    const { input } = call
    const [label, accounts, actions] = [input.text('Label'), input.texts('AWSAccountIds'), input.texts('Actions')]
    if (!/^[A-Za-z0-9_-]{1,80}$/.test(label)) throw invalidBecause(label, 'Label', 'It is no label.')
    if (accounts.length === 0) throw missing('AWSAccountIds')
    if (actions.length === 0) throw missing('Actions')
    const bad = actions.find((action) => !actionName.test(action))
    if (bad !== undefined)
      throw invalidBecause(`SQS:${bad}`, 'ActionName', 'Please refer to the appropriate WSDL for a list of valid actions.')
    const policy = policyOf(queue, call.caller.region)
    if (policy.Statement.some(({ Sid }) => Sid === label)) throw invalidBecause(label, 'Label', 'Already exists.')
    policy.Statement.push({
      Sid: label,
      Effect: 'Allow',
      Principal: { AWS: accounts.map((id) => `arn:aws:iam::${id}:root`) },
      Action: actions.map((action) => `SQS:${action}`),
      Resource: queueArn(call.caller.region, queue.name),
    })
    await change(call, queue, new Map([['Policy', JSON.stringify(policy)]]))
    return null
  },
}

export const removePermission: SqsAction = {
  run: async (call) => {
    const queue = call.queue('configure')
    const label = call.input.text('Label')
    const policy = policyOf(queue, call.caller.region)
    const rest = policy.Statement.filter(({ Sid }) => Sid !== label)
    if (rest.length === policy.Statement.length) throw invalidBecause(label, 'Label', 'Can not find label on existing policy.')
    await change(call, queue, new Map([['Policy', rest.length === 0 ? '' : JSON.stringify({ ...policy, Statement: rest })]]))
    return null
  },
}

interface Policy {
  readonly Version: string
  readonly Id: string
  readonly Statement: Record<string, unknown>[]
}

function policyOf(queue: Queue, region: string): Policy {
  const text = queue.attribute('Policy')
  const fresh = { Version: '2012-10-17', Id: `${queueArn(region, queue.name)}/SQSDefaultPolicy`, Statement: [] }
  if (text === undefined) return fresh
  const policy = JSON.parse(text) as Policy // checked when it was set
  return { ...fresh, ...policy, Statement: [policy.Statement].flat() }
}
