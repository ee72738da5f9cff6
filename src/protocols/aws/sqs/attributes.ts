/** Attributes of queues: which there are, what they may be, and what they do to the topic. */
import type { TopicConfig } from '../../../broker/face.ts'
import { type AwsError, invalidBecause, sqsError } from '../errors.ts'
import { isFields } from '../input.ts'
import { isFifo, nameInArn, queueArn } from '../names.ts'
import { Pairs } from '../pairs.ts'
import { onlyAllows } from '../policy.ts'
import { type Queue, type Queues, retentionDefaultSeconds, retentionMaxSeconds } from './queue.ts'

interface About {
  readonly queues: Queues
  readonly name: string
  readonly fifo: boolean
  /** All attributes as they would be. */
  readonly all: Readonly<Record<string, string>>
}

type Check = (value: string, about: About) => void

const badValue = (name: string): AwsError => sqsError('InvalidAttributeValue', `Invalid value for the parameter ${name}.`)

function whole(name: string, least: number, most: number): Check {
  return (value) => {
    if (!/^\d{1,9}$/.test(value) || Number(value) < least || Number(value) > most) throw badValue(name)
  }
}

function oneOf(name: string, ...values: string[]): Check {
  return (value) => {
    if (!values.includes(value)) throw badValue(name)
  }
}

const fifoOnly = (name: string, check: Check): Check => {
  return (value, about) => {
    if (!about.fifo) throw sqsError('InvalidAttributeName', `You can specify the ${name} only when FifoQueue is set to true.`)
    check(value, about)
  }
}

/** Text that is empty takes the attribute away. */
const removable = (check: Check): Check => {
  return (value, about) => {
    if (value !== '') check(value, about)
  }
}

const refused = (name: string, why: string): Check => {
  return () => {
    throw sqsError('InvalidAttributeValue', `Invalid value for the parameter ${name}. Reason: ${why}`)
  }
}

const settable: Readonly<Record<string, Check>> = {
  DelaySeconds: whole('DelaySeconds', 0, 900),
  MaximumMessageSize: whole('MaximumMessageSize', 1024, 1_048_576),
  MessageRetentionPeriod: whole('MessageRetentionPeriod', 60, retentionMaxSeconds),
  ReceiveMessageWaitTimeSeconds: whole('ReceiveMessageWaitTimeSeconds', 0, 20),
  VisibilityTimeout: whole('VisibilityTimeout', 0, 43_200),
  RedrivePolicy: removable(checkRedrivePolicy),
  RedriveAllowPolicy: removable((value) => void redriveAllowPolicy(value)),
  Policy: removable((value, { queues }) => {
    if (!onlyAllows(value, queues.broker.authenticationRequired)) throw badValue('Policy')
  }),
  FifoQueue: (value, { fifo }) => {
    if (value !== 'true') throw sqsError('InvalidAttributeValue', 'Invalid value for the parameter FifoQueue.')
    if (!fifo) throw invalidBecause('true', 'FifoQueue', 'The name of a FIFO queue must end with the .fifo suffix.')
  },
  ContentBasedDeduplication: fifoOnly('ContentBasedDeduplication', oneOf('ContentBasedDeduplication', 'true', 'false')),
  DeduplicationScope: fifoOnly('DeduplicationScope', oneOf('DeduplicationScope', 'messageGroup', 'queue')),
  FifoThroughputLimit: fifoOnly('FifoThroughputLimit', (value, { all }) => {
    oneOf('FifoThroughputLimit', 'perQueue', 'perMessageGroupId')(value, {} as About) // which looks at the value alone
    if (value === 'perMessageGroupId' && all['DeduplicationScope'] !== 'messageGroup')
      throw invalidBecause(
        value,
        'FifoThroughputLimit',
        'FifoThroughputLimit can be perMessageGroupId only when DeduplicationScope is messageGroup.',
      )
  }),
  // Nothing is encrypted here, and nothing says that it is.
  KmsMasterKeyId: removable(refused('KmsMasterKeyId', 'Encryption at rest is not offered here.')),
  KmsDataKeyReusePeriodSeconds: refused('KmsDataKeyReusePeriodSeconds', 'Encryption at rest is not offered here.'),
  SqsManagedSseEnabled: (value) => {
    if (value === 'true') refused('SqsManagedSseEnabled', 'Encryption at rest is not offered here.')(value, {} as About)
    oneOf('SqsManagedSseEnabled', 'false')(value, {} as About) // which looks at the value alone
  },
}

const counts = [
  'ApproximateNumberOfMessages',
  'ApproximateNumberOfMessagesNotVisible',
  'ApproximateNumberOfMessagesDelayed',
] as const
const readable: readonly string[] = ['QueueArn', ...counts, 'CreatedTimestamp', 'LastModifiedTimestamp', ...Object.keys(settable)]

/** Throws for the first that is not one, or may not be so. */
export function checkAttributes(queues: Queues, name: string, given: ReadonlyMap<string, string>, present?: Queue): void {
  const fifo = isFifo(name)
  const all = { ...present?.stored.attributes, ...Object.fromEntries(given) }
  for (const [attribute, value] of given) {
    const check = settable[attribute]
    if (check === undefined) throw sqsError('InvalidAttributeName', `Unknown Attribute ${attribute}.`)
    check(value, { queues, name, fifo, all })
  }
  // The throughput that was asked for needs its scope.
  if (all['FifoThroughputLimit'] === 'perMessageGroupId' && given.has('DeduplicationScope'))
    settable['FifoThroughputLimit']?.(all['FifoThroughputLimit'], { queues, name, fifo, all })
}

/** The names that a request asks for. Throws for one that does not exist. */
export function askedAttributes(names: readonly string[]): readonly string[] {
  for (const name of names)
    if (name !== 'All' && !readable.includes(name)) throw sqsError('InvalidAttributeName', `Unknown Attribute ${name}.`)
  return names.includes('All') ? readable : names
}

/** The values of attributes; those that the queue does not have are left out. */
export async function describe(queues: Queues, queue: Queue, names: readonly string[], region: string): Promise<Pairs<string>> {
  const found = new Pairs<string>()
  const status = names.some((name) => name.startsWith('Approximate')) ? queues.space.status(queue.name) : undefined
  const reading = status?.subscriptions.find(({ name, kind }) => name === '' && kind === 'queue')
  const stored = status?.partitions.reduce((sum, { startOffset, nextOffset }) => sum + nextOffset - startOffset, 0) ?? 0
  for (const name of names) {
    const value = await (async (): Promise<string | number | undefined> => {
      switch (name) {
        case 'QueueArn':
          return queueArn(region, queue.name)
        case 'CreatedTimestamp':
          return Math.floor(queue.topic.createdAt / 1000)
        case 'LastModifiedTimestamp':
          return Math.floor(queue.stored.modifiedAt / 1000)
        case 'ApproximateNumberOfMessages':
          return reading?.ready ?? stored
        case 'ApproximateNumberOfMessagesNotVisible':
          return reading?.inFlight ?? 0
        case 'ApproximateNumberOfMessagesDelayed':
          return await delayed(queues, queue.name)
        default:
          return queue.attribute(name)
      }
    })()
    if (value !== undefined && value !== '') found.set(name, String(value))
  }
  return found
}

/** Looked at for a count. */
const scheduledMax = 100_000

async function delayed(queues: Queues, name: string): Promise<number> {
  const scheduled = await queues.space.scheduled(scheduledMax)
  return scheduled.filter(({ address, exchange }) => address === name && (exchange === null || exchange === '')).length
}

/** What attributes do to the topic; only those that are given, all of a new queue. */
export function topicConfig(given: ReadonlyMap<string, string>, isNew: boolean): Partial<TopicConfig> {
  const retention = given.get('MessageRetentionPeriod') ?? (isNew ? String(retentionDefaultSeconds) : undefined)
  const redrive = given.get('RedrivePolicy')
  const policy = redrive === undefined || redrive === '' ? undefined : redrivePolicy(redrive)
  return {
    ...(retention !== undefined && { recordTtlMs: Number(retention) * 1000 }),
    ...(redrive === '' && { deadLetter: null, deliveryLimit: -1 }),
    ...(policy !== undefined && {
      // A message whose time is over is deleted; it is no dead letter.
      deadLetter: { exchange: '', routingKey: policy.target, untilStored: true, reasons: ['attempts', 'rejected'] as const },
      deliveryLimit: policy.maxReceiveCount - 1,
    }),
  }
}

// ------------------------------------------------------------------------------------------------------------------- redrive

export interface RedrivePolicy {
  readonly target: string
  readonly maxReceiveCount: number
}

/** Throws for one that is none. */
export function redrivePolicy(text: string): RedrivePolicy {
  const bad = (reason: string): AwsError => invalidBecause(text, 'RedrivePolicy', reason)
  const policy = json(text)
  if (policy === undefined) throw bad('Redrive policy is not a valid JSON map.')
  const { deadLetterTargetArn, maxReceiveCount, ...rest } = policy
  if (deadLetterTargetArn === undefined) throw bad('Redrive policy does not contain mandatory attribute: deadLetterTargetArn.')
  if (maxReceiveCount === undefined) throw bad('Redrive policy does not contain mandatory attribute: maxReceiveCount.')
  if (Object.keys(rest).length > 0) throw bad(`Redrive policy contains unknown attribute: ${Object.keys(rest)[0]}.`)
  const count = Number(maxReceiveCount)
  if (!Number.isInteger(count) || count < 1 || count > 1000)
    throw bad(`Invalid value for maxReceiveCount: ${String(maxReceiveCount)}, valid values are from 1 to 1000 both inclusive.`)
  const target = nameInArn(String(deadLetterTargetArn), 'sqs')
  if (target === undefined) throw bad('Invalid value for deadLetterTargetArn.')
  return { target, maxReceiveCount: count }
}

function checkRedrivePolicy(text: string, { queues, name, fifo }: About): void {
  const bad = (reason: string): AwsError => invalidBecause(text, 'RedrivePolicy', reason)
  const { target } = redrivePolicy(text)
  const queue = queues.find(target)
  if (queue === undefined) throw bad('Dead letter target does not exist.')
  if (queue.fifo !== fifo) throw bad('Dead-letter queue must be same type of queue as the source.')
  const allowed = queue.attribute('RedriveAllowPolicy')
  if (allowed === undefined || allowed === '') return
  const { permission, sources } = redriveAllowPolicy(allowed)
  if (permission === 'denyAll' || (permission === 'byQueue' && !sources.includes(name)))
    throw bad('The dead-letter queue does not allow this queue as a source (RedriveAllowPolicy).')
}

export function redriveAllowPolicy(text: string): { readonly permission: string; readonly sources: readonly string[] } {
  const bad = (reason: string): AwsError => invalidBecause(text, 'RedriveAllowPolicy', reason)
  const policy = json(text)
  if (policy === undefined) throw bad('Amazon SQS can not create the redrive allow policy. It is not a valid JSON map.')
  const { redrivePermission = 'allowAll', sourceQueueArns, ...rest } = policy
  if (Object.keys(rest).length > 0) throw bad(`Unknown attribute: ${Object.keys(rest)[0]}.`)
  if (redrivePermission !== 'allowAll' && redrivePermission !== 'denyAll' && redrivePermission !== 'byQueue')
    throw bad('Amazon SQS can not create the redrive allow policy. The value of redrivePermission is not valid.')
  const arns = sourceQueueArns ?? []
  if (!Array.isArray(arns) || arns.length > 10 || (redrivePermission === 'byQueue') !== arns.length > 0)
    throw bad('sourceQueueArns must have 1 to 10 queues with redrivePermission byQueue, and be absent otherwise.')
  return { permission: redrivePermission, sources: arns.map((arn) => nameInArn(String(arn), 'sqs') ?? '') }
}

function json(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isFields(value) ? { ...value } : undefined
  } catch {
    return undefined
  }
}
