/** Topics: made, listed, described, changed, tagged and deleted. */
import { commonError, invalidParameter, snsNotFound } from '../errors.ts'
import type { Shapes } from '../form.ts'
import type { Input } from '../input.ts'
import { account, isFifo, nameInArn, topicArn } from '../names.ts'
import { onlyAllows } from '../policy.ts'
import type { SnsAction, SnsCall } from './call.ts'
import { checkDeliveryPolicy } from './delivery-policy.ts'
import { isSignatureVersion } from './signer.ts'
import type { Topic } from './store.ts'

const pageMax = 100
const tagsMax = 50
const attributesShape = { map: 'Attributes.entry', key: 'key', value: 'value', of: 'text' } as const
const tagsShape = { list: 'Tags.member', of: {} } as const

export const createTopic: SnsAction = {
  shapes: { Attributes: attributesShape, Tags: tagsShape } satisfies Shapes,
  run: async (call) => {
    const name = call.required('Name')
    const given = call.input.map('Attributes') ?? new Map<string, string>()
    const tags = tagsOf(call.input)
    checkName(name, given)
    for (const [attribute, value] of given) if (attribute !== 'FifoTopic') checkAttribute(call, name, attribute, value)
    call.allow('manage', name)
    if (given.has('SignatureVersion')) await call.store.signer.prepare()
    const present = call.store.find(name)
    if (present === undefined) await create(call, name, given, tags)
    else checkSame(present, given, tags)
    return { TopicArn: topicArn(call.caller.region, name) }
  },
}

function checkName(name: string, given: ReadonlyMap<string, string>): void {
  const fifo = given.get('FifoTopic') === 'true'
  if (fifo !== isFifo(name))
    throw invalidParameter(
      fifo
        ? 'Topic Name Reason: Fifo Topic names must end with .fifo and must be made up of only uppercase and lowercase ASCII letters, numbers, underscores, and hyphens, and must be between 1 and 256 characters long.'
        : 'Topic Name',
    )
  if (name.length > 256 || !/^[A-Za-z0-9_-]+(\.fifo)?$/.test(name) || (!fifo && !/^[A-Za-z0-9_-]+$/.test(name)))
    throw invalidParameter('Topic Name')
}

/** The exchange and what is said of it are one entry of the write-ahead log. */
async function create(
  call: SnsCall,
  name: string,
  given: ReadonlyMap<string, string>,
  tags: Record<string, string>,
): Promise<void> {
  const { broker, space, store } = call
  const other = space.exchange(name)
  if (other !== undefined) throw invalidParameter(`Topic Name Reason: there is an exchange "${name}" of the kind ${other.kind}`)
  let made: Promise<unknown> = Promise.resolve()
  const exchange = {
    name,
    kind: 'fanout',
    durable: true,
    autoDelete: false,
    internal: false,
    alternate: null,
    declaration: {},
  } as const
  const stored = new Promise<void>((resolve, reject) =>
    broker.atomically(
      () => {
        made = space.declareExchange(exchange)
        if (store.find(name) !== undefined)
          store.putTopic(name, { region: call.caller.region, attributes: Object.fromEntries(given), tags })
      },
      (error) => (error === null ? resolve() : reject(error)),
    ),
  )
  await Promise.all([made, stored])
}

function checkSame(present: Topic, given: ReadonlyMap<string, string>, tags: Record<string, string>): void {
  for (const [name, value] of given) {
    if (name !== 'FifoTopic' && (present.attributes[name] ?? '') !== value)
      throw invalidParameter('Attributes Reason: Topic already exists with different attributes')
  }
  for (const [key, value] of Object.entries(tags))
    if (present.tags[key] !== value) throw invalidParameter('Tags Reason: Topic already exists with different tags')
}

/** What may be set, and is done. All else is refused. */
function checkAttribute(call: SnsCall, topic: string, name: string, value: string): void {
  const bad = (reason: string) => invalidParameter(`Attributes Reason: ${reason}`)
  switch (name) {
    case 'DisplayName':
      if (value.length > 100) throw bad('DisplayName must be at most 100 characters')
      return
    case 'Policy':
      if (value !== '' && !onlyAllows(value, call.broker.authenticationRequired))
        throw bad('Policy statement is not supported here')
      return
    case 'DeliveryPolicy':
      if (value !== '') checkDeliveryPolicy(value)
      return
    case 'ContentBasedDeduplication':
      if (!isFifo(topic)) throw bad('ContentBasedDeduplication attribute can only be set for FIFO topics')
      if (value !== 'true' && value !== 'false') throw bad('ContentBasedDeduplication must be true or false')
      return
    case 'FifoThroughputScope':
      if (!isFifo(topic)) throw bad('FifoThroughputScope attribute can only be set for FIFO topics')
      if (value !== 'Topic' && value !== 'MessageGroup') throw bad('FifoThroughputScope must be Topic or MessageGroup')
      return
    case 'TracingConfig':
      if (value !== 'PassThrough') throw bad('TracingConfig can only be PassThrough here')
      return
    case 'SignatureVersion':
      if (!isSignatureVersion(value)) throw bad('SignatureVersion must be 1 or 2')
      return
    case 'KmsMasterKeyId':
      if (value !== '') throw bad('Encryption at rest is not offered here')
      return
    default:
      throw invalidParameter(`AttributeName: ${name} is not supported`)
  }
}

export const deleteTopic: SnsAction = {
  run: async (call) => {
    const name = nameInArn(call.required('TopicArn'), 'sns')
    if (name === undefined) throw invalidParameter('TopicArn')
    call.allow('manage', name)
    // Deleting what is not there is no error.
    if (call.store.find(name) !== undefined) await call.store.deleteTopic(call.space, name)
    return null
  },
}

export const listTopics: SnsAction = {
  run: (call) => {
    const topics = call.store.all().filter(({ name }) => call.mayUse('describe', name))
    const { page, next } = paged(call.input, topics, ({ name }) => name)
    return { Topics: page.map(({ name }) => ({ TopicArn: topicArn(call.caller.region, name) })), ...next }
  },
}

/** A page of what is in order; a token is the name it goes on behind. */
export function paged<Item>(
  input: Input,
  items: readonly Item[],
  nameOf: (item: Item) => string,
): { page: readonly Item[]; next: { NextToken?: string } } {
  const token = input.optionalText('NextToken')
  const after = token === undefined || token === '' ? undefined : Buffer.from(token, 'base64').toString()
  if (after !== undefined && Buffer.from(after).toString('base64') !== token) throw invalidParameter('NextToken')
  const rest = items.filter((item) => after === undefined || nameOf(item) > after)
  const page = rest.slice(0, pageMax)
  const last = page.at(-1)
  const more = rest.length > page.length && last !== undefined
  return { page, next: more ? { NextToken: Buffer.from(nameOf(last)).toString('base64') } : {} }
}

export const getTopicAttributes: SnsAction = {
  run: (call) => {
    const topic = call.topic('describe')
    const { region } = call.caller
    const subscriptions = call.store.ofTopic(topic.name)
    const confirmed = subscriptions.filter((subscription) => subscription.confirmed).length
    const arn = topicArn(region, topic.name)
    const attributes = new Map<string, string>([
      ['TopicArn', arn],
      ['Owner', account],
      ['DisplayName', ''],
      ['Policy', ownersPolicy(arn)],
      ...Object.entries(topic.attributes).filter(([, value]) => value !== ''),
      ['SubscriptionsConfirmed', String(confirmed)],
      ['SubscriptionsPending', String(subscriptions.length - confirmed)],
      ['SubscriptionsDeleted', '0'],
    ])
    if (topic.fifo) {
      attributes.set('FifoTopic', 'true')
      if (!attributes.has('ContentBasedDeduplication')) attributes.set('ContentBasedDeduplication', 'false')
      if (!attributes.has('FifoThroughputScope')) attributes.set('FifoThroughputScope', 'Topic')
    }
    return { Attributes: attributes }
  },
}

/** As a topic has it that nobody gave another one. */
function ownersPolicy(arn: string): string {
  const actions = [
    'Publish',
    'RemovePermission',
    'SetTopicAttributes',
    'DeleteTopic',
    'ListSubscriptionsByTopic',
    'GetTopicAttributes',
    'AddPermission',
    'Subscribe',
  ]
  return JSON.stringify({
    Version: '2008-10-17',
    Id: '__default_policy_ID',
    Statement: [
      {
        Sid: '__default_statement_ID',
        Effect: 'Allow',
        Principal: { AWS: '*' },
        Action: actions.map((action) => `SNS:${action}`),
        Resource: arn,
        Condition: { StringEquals: { 'AWS:SourceOwner': account } },
      },
    ],
  })
}

export const setTopicAttributes: SnsAction = {
  run: async (call) => {
    const topic = call.topic('manage')
    const name = call.required('AttributeName')
    const value = call.input.optionalText('AttributeValue') ?? ''
    checkAttribute(call, topic.name, name, value)
    if (name === 'SignatureVersion') await call.store.signer.prepare()
    await change(call, topic, { attributes: { ...topic.attributes, [name]: value } })
    return null
  },
}

async function change(call: SnsCall, topic: Topic, changed: Partial<Pick<Topic, 'attributes' | 'tags'>>): Promise<void> {
  call.store.putTopic(topic.name, { ...topic, ...changed })
  await call.store.durable()
}

// ---------------------------------------------------------------------------------------------------------------------- tags

function tagsOf(input: Input): Record<string, string> {
  const tags = input.entries('Tags').map((tag) => [tag.text('Key'), tag.text('Value')] as const)
  for (const [key, value] of tags)
    if (key === '' || key.length > 128 || /^aws:/i.test(key) || value.length > 256) throw invalidParameter('Tags')
  if (new Set(tags.map(([key]) => key)).size !== tags.length) throw invalidParameter('Duplicated keys are not allowed.')
  if (tags.length > tagsMax) throw tooManyTags()
  return Object.fromEntries(tags)
}

const tooManyTags = () => commonError('TagLimitExceeded', 'Could not complete request: tag quota of per resource exceeded')

function tagged(call: SnsCall, right: 'manage' | 'describe'): Topic {
  const name = nameInArn(call.required('ResourceArn'), 'sns')
  const topic = name === undefined ? undefined : call.store.find(name)
  if (name !== undefined) call.allow(right, name)
  if (topic === undefined) throw commonError('ResourceNotFound', 'Resource does not exist', 404)
  return topic
}

export const tagResource: SnsAction = {
  shapes: { Tags: tagsShape },
  run: async (call) => {
    const topic = tagged(call, 'manage')
    const tags = { ...topic.tags, ...tagsOf(call.input) }
    if (Object.keys(tags).length > tagsMax) throw tooManyTags()
    await change(call, topic, { tags })
    return {}
  },
}

export const untagResource: SnsAction = {
  shapes: { TagKeys: { list: 'TagKeys.member', of: 'text' } },
  run: async (call) => {
    const topic = tagged(call, 'manage')
    const gone = new Set(call.input.texts('TagKeys'))
    await change(call, topic, { tags: Object.fromEntries(Object.entries(topic.tags).filter(([key]) => !gone.has(key))) })
    return {}
  },
}

export const listTagsForResource: SnsAction = {
  run: (call) => ({ Tags: Object.entries(tagged(call, 'describe').tags).map(([Key, Value]) => ({ Key, Value })) }),
}

// --------------------------------------------------------------------------------------------------------------- permissions

/** While nobody has to log in everybody may do everything, so what this allows is true. With users, the broker's permissions say it. */
export const addPermission: SnsAction = {
  shapes: {
    AWSAccountId: { list: 'AWSAccountId.member', of: 'text' },
    ActionName: { list: 'ActionName.member', of: 'text' },
  },
  run: async (call) => {
    const topic = call.topic('manage')
    if (call.broker.authenticationRequired)
      throw invalidParameter("Policy Reason: users' permissions are set by the broker's administrator")
    const label = call.required('Label')
    const [accounts, actions] = [call.input.texts('AWSAccountId'), call.input.texts('ActionName')]
    if (accounts.length === 0 || actions.length === 0) throw invalidParameter('Policy statement must have accounts and actions')
    const arn = topicArn(call.caller.region, topic.name)
    const policy = policyOf(topic, arn)
    if (policy.Statement.some(({ Sid }) => Sid === label)) throw invalidParameter('Statement already exists')
    policy.Statement.push({
      Sid: label,
      Effect: 'Allow',
      Principal: { AWS: accounts.map((id) => `arn:aws:iam::${id}:root`) },
      Action: actions.map((action) => `SNS:${action}`),
      Resource: arn,
    })
    await change(call, topic, { attributes: { ...topic.attributes, Policy: JSON.stringify(policy) } })
    return null
  },
}

export const removePermission: SnsAction = {
  run: async (call) => {
    const topic = call.topic('manage')
    const label = call.required('Label')
    const policy = policyOf(topic, topicArn(call.caller.region, topic.name))
    const Statement = policy.Statement.filter(({ Sid }) => Sid !== label)
    if (Statement.length === policy.Statement.length) throw snsNotFound('No such statement')
    await change(call, topic, { attributes: { ...topic.attributes, Policy: JSON.stringify({ ...policy, Statement }) } })
    return null
  },
}

interface Policy {
  readonly Statement: Record<string, unknown>[]
}

function policyOf(topic: Topic, arn: string): Policy {
  const policy = JSON.parse(topic.attributes['Policy'] || ownersPolicy(arn)) as Policy // checked when it was set
  return { ...policy, Statement: [policy.Statement].flat() }
}
