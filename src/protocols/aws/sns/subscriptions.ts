/** Subscriptions: made, confirmed, listed, described, changed and ended. */
import { randomBytes, randomUUID } from 'node:crypto'
import { commonError, invalidParameter, snsNotFound } from '../errors.ts'
import { isFields } from '../input.ts'
import { account, isFifo, nameInArn, topicArn } from '../names.ts'
import type { SnsAction, SnsCall } from './call.ts'
import { checkDeliveryPolicy, delaysOf } from './delivery-policy.ts'
import { compilePolicy, type Scope } from './filter-policy.ts'
import type { Subscription, Topic } from './store.ts'
import { paged } from './topics.ts'

const subscriptionsMax = 10_000

export const subscribe: SnsAction = {
  shapes: { Attributes: { map: 'Attributes.entry', key: 'key', value: 'value', of: 'text' } },
  run: async (call) => {
    const topic = call.topic('consume')
    const protocol = call.required('Protocol')
    const endpoint = call.input.optionalText('Endpoint') ?? ''
    if (protocol !== 'sqs' && protocol !== 'http' && protocol !== 'https')
      throw invalidParameter(`Does not support this protocol string: ${protocol}`)
    checkEndpoint(call, topic, protocol, endpoint)
    const attributes = Object.fromEntries(call.input.map('Attributes') ?? [])
    checkAttributes(call, topic, protocol, attributes)
    const present = call.store.ofTopic(topic.name).find((each) => each.protocol === protocol && each.endpoint === endpoint)
    if (present !== undefined) return await again(call, topic, present, attributes)
    const id = randomUUID()
    const confirmed = protocol === 'sqs'
    if (call.store.subscriptions().length >= subscriptionsMax)
      throw commonError('SubscriptionLimitExceeded', 'Subscription limit exceeded', 403)
    if (!confirmed) await call.store.http.prepare(id)
    const subscription = call.store.put(id, {
      topic: topic.name,
      arn: `${topicArn(call.caller.region, topic.name)}:${id}`,
      protocol,
      endpoint,
      attributes,
      confirmed,
      token: randomBytes(32).toString('hex'),
      base: call.caller.base,
      madeAt: call.broker.clock.now(),
    })
    await call.store.durable()
    return toldOf(call, topic, subscription)
  },
}

/** The same once more is no error, and asks an endpoint that has not confirmed again. */
async function again(call: SnsCall, topic: Topic, present: Subscription, attributes: Record<string, string>): Promise<object> {
  const same = Object.entries(attributes).every(([name, value]) => (present.attributes[name] ?? '') === value)
  if (!same) throw invalidParameter('Attributes Reason: Subscription already exists with different attributes')
  await call.store.durable()
  return toldOf(call, topic, present)
}

function toldOf(call: SnsCall, topic: Topic, subscription: Subscription): object {
  if (!subscription.confirmed) call.store.http.confirm(subscription, topic.arn)
  const shown = subscription.confirmed || call.input.flag('ReturnSubscriptionArn')
  return { SubscriptionArn: shown ? subscription.arn : 'pending confirmation' }
}

function checkEndpoint(call: SnsCall, topic: Topic, protocol: 'sqs' | 'http' | 'https', endpoint: string): void {
  if (protocol === 'sqs') {
    const queue = nameInArn(endpoint, 'sqs')
    if (queue === undefined) throw invalidParameter('SQS endpoint ARN')
    if (isFifo(queue) && !topic.fifo)
      throw invalidParameter('Endpoint Reason: FIFO SQS Queues can not be subscribed to standard SNS topics')
    call.allow('publish', queue)
    return
  }
  if (topic.fifo) throw invalidParameter(`Invalid protocol type: ${protocol}`)
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined
  if (url?.protocol !== `${protocol}:`) throw invalidParameter(`Endpoint must match the specified protocol`)
}

/** What may be set, and is done. All else is refused. */
function checkAttributes(call: SnsCall, topic: Topic, protocol: string, attributes: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(attributes)) {
    switch (name) {
      case 'RawMessageDelivery':
        if (value !== 'true' && value !== 'false')
          throw invalidParameter('Attributes Reason: RawMessageDelivery: Invalid value. Must be true or false.')
        break
      case 'FilterPolicyScope':
        if (value !== 'MessageAttributes' && value !== 'MessageBody')
          throw invalidParameter(
            'Attributes Reason: FilterPolicyScope: Invalid value. Please use either MessageBody or MessageAttributes',
          )
        break
      case 'FilterPolicy':
        break
      case 'RedrivePolicy':
        if (value !== '') checkRedrive(call, topic, value)
        break
      case 'DeliveryPolicy':
        if (protocol === 'sqs') throw invalidParameter('Attributes Reason: DeliveryPolicy: only HTTP(S) endpoints have one')
        if (value !== '') checkDeliveryPolicy(value)
        break
      default:
        throw invalidParameter('Attributes Reason: AttributeName')
    }
  }
  const { FilterPolicy: policy = '', FilterPolicyScope: scope = 'MessageAttributes' } = attributes
  if (policy !== '') compilePolicy(policy, scope as Scope) // checked above
}

function checkRedrive(call: SnsCall, topic: Topic, text: string): void {
  const bad = (reason: string) => invalidParameter(`RedrivePolicy: ${reason}`)
  let policy: unknown
  try {
    policy = JSON.parse(text)
  } catch {
    throw bad('failed to parse JSON')
  }
  if (!isFields(policy) || Object.keys(policy).some((name) => name !== 'deadLetterTargetArn'))
    throw bad('it has deadLetterTargetArn alone')
  const queue = nameInArn(String(policy['deadLetterTargetArn']), 'sqs')
  if (queue === undefined) throw bad('must be a SQS queue')
  if (isFifo(queue) !== topic.fifo) throw bad('must use same type as SNS')
  call.allow('publish', queue)
}

export const confirmSubscription: SnsAction = {
  open: true,
  run: async (call) => {
    const name = nameInArn(call.required('TopicArn'), 'sns')
    if (name === undefined) throw invalidParameter('TopicArn')
    const token = call.required('Token')
    const pending = call.store.ofTopic(name).find((subscription) => subscription.token === token)
    if (pending === undefined) {
      if (call.store.find(name) === undefined) throw snsNotFound('Topic does not exist')
      throw invalidParameter('Token')
    }
    if (!pending.confirmed) {
      const confirmed = call.store.change(pending, { confirmed: true })
      await call.store.durable()
      call.store.http.begin(confirmed)
    }
    return { SubscriptionArn: pending.arn }
  },
}

export const unsubscribe: SnsAction = {
  run: async (call) => {
    const arn = call.required('SubscriptionArn')
    const subscription = call.store.subscription(arn)
    // Ending what is not there is no error.
    if (subscription === undefined && arn.split(':').length < 7) throw invalidParameter('SubscriptionArn')
    if (subscription === undefined) return null
    call.allow('consume', subscription.topic)
    call.store.remove(subscription)
    await call.store.durable()
    return null
  },
}

const shown = ({ arn, confirmed, protocol, endpoint, topic }: Subscription, region: string): object => ({
  SubscriptionArn: confirmed ? arn : 'PendingConfirmation',
  Owner: account,
  Protocol: protocol,
  Endpoint: endpoint,
  TopicArn: topicArn(region, topic),
})

function page(call: SnsCall, subscriptions: readonly Subscription[]): object {
  const inOrder = [...subscriptions].sort((a, b) => (a.id < b.id ? -1 : 1))
  const { page: some, next } = paged(call.input, inOrder, ({ id }) => id)
  return { Subscriptions: some.map((each) => shown(each, call.caller.region)), ...next }
}

export const listSubscriptions: SnsAction = {
  run: (call) =>
    page(
      call,
      call.store.subscriptions().filter(({ topic }) => call.mayUse('describe', topic)),
    ),
}

export const listSubscriptionsByTopic: SnsAction = {
  run: (call) => page(call, call.store.ofTopic(call.topic('describe').name)),
}

export const getSubscriptionAttributes: SnsAction = {
  run: (call) => {
    const subscription = call.subscription('describe')
    const { attributes, confirmed, protocol } = subscription
    const found = new Map<string, string>([
      ['SubscriptionArn', subscription.arn],
      ['TopicArn', topicArn(call.caller.region, subscription.topic)],
      ['Owner', account],
      ['Protocol', protocol],
      ['Endpoint', subscription.endpoint],
      ['RawMessageDelivery', 'false'],
      ['PendingConfirmation', String(!confirmed)],
      ['ConfirmationWasAuthenticated', String(protocol === 'sqs')],
      ...Object.entries(attributes).filter(([, value]) => value !== ''),
    ])
    if (found.has('FilterPolicy') && !found.has('FilterPolicyScope')) found.set('FilterPolicyScope', 'MessageAttributes')
    if (protocol !== 'sqs') found.set('EffectiveDeliveryPolicy', effectivePolicy(attributes['DeliveryPolicy']))
    return { Attributes: found }
  },
}

/** Told in what is done: the waits of the retries. */
const effectivePolicy = (text: string | undefined): string =>
  text !== undefined && text !== ''
    ? text
    : JSON.stringify({ healthyRetryPolicy: { numRetries: delaysOf(text).length, minDelayTarget: 20, maxDelayTarget: 20 } })

export const setSubscriptionAttributes: SnsAction = {
  run: async (call) => {
    const subscription = call.subscription('consume')
    const name = call.required('AttributeName')
    const value = call.input.optionalText('AttributeValue') ?? ''
    const topic = call.store.find(subscription.topic)
    if (topic === undefined) throw snsNotFound('Topic does not exist')
    const attributes = { ...subscription.attributes, [name]: value }
    checkAttributes(call, topic, subscription.protocol, attributes)
    call.store.change(subscription, { attributes })
    await call.store.durable()
    return null
  },
}
