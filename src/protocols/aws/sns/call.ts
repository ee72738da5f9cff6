/** One request to SNS on its way. */
import type { Broker, Action as Right, Space } from '../../../broker/face.ts'
import { type AwsError, commonError, invalidParameter, snsNotFound } from '../errors.ts'
import type { Shapes } from '../form.ts'
import type { Input } from '../input.ts'
import { nameInArn } from '../names.ts'
import type { Caller } from '../sqs/call.ts'
import { namespace } from '../sqs/queue.ts'
import type { Store, Subscription, Topic } from './store.ts'

export interface SnsAction {
  readonly shapes?: Shapes
  /** Whether it needs no login: what it is asked with is a secret. */
  readonly open?: boolean
  /** null: the answer is empty. */
  run(call: SnsCall): Promise<object | null> | object | null
}

export class SnsCall {
  readonly broker: Broker
  readonly store: Store
  /** As the caller may use it. */
  readonly space: Space
  readonly input: Input
  readonly caller: Caller

  constructor(store: Store, space: Space, input: Input, caller: Caller) {
    this.broker = store.broker
    this.store = store
    this.space = space
    this.input = input
    this.caller = caller
  }

  /** The topic that the request names. Throws when there is none, or the caller may not do that with it. */
  topic(right: Right, parameter = 'TopicArn'): Topic {
    const arn = this.required(parameter)
    const name = nameInArn(arn, 'sns')
    if (name === undefined)
      throw invalidParameter(`${parameter} Reason: An ARN must have at least 6 elements, not ${arn.split(':').length}`)
    this.allow(right, name)
    const topic = this.store.find(name)
    if (topic === undefined) throw snsNotFound('Topic does not exist')
    return topic
  }

  subscription(right: Right): Subscription {
    const arn = this.required('SubscriptionArn')
    const subscription = this.store.subscription(arn)
    if (subscription === undefined) {
      if (!/^arn:aws[\w-]*:sns:[^:]*:[^:]*:[^:]+:[^:]+$/.test(arn))
        throw invalidParameter(`SubscriptionArn Reason: An ARN must have at least 6 elements, not ${arn.split(':').length}`)
      throw snsNotFound('Subscription does not exist')
    }
    this.allow(right, subscription.topic)
    return subscription
  }

  required(parameter: string): string {
    const value = this.input.optionalText(parameter)
    if (value === undefined) throw absent(parameter)
    return value
  }

  allow(right: Right, name: string): void {
    if (!this.caller.principal.may(right, namespace, name))
      throw commonError(
        'AuthorizationError',
        `User: ${this.caller.principal.user} is not authorized to ${right} the topic ${name}`,
        403,
      )
  }

  mayUse(right: Right, name: string): boolean {
    return this.caller.principal.may(right, namespace, name)
  }
}

export const absent = (parameter: string): AwsError =>
  commonError(
    'ValidationError',
    `1 validation error detected: Value null at '${parameter.charAt(0).toLowerCase()}${parameter.slice(1)}' failed to satisfy constraint: Member must not be null`,
  )
