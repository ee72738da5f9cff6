/** One request to SQS on its way. */
import type { Broker, Principal, Action as Right, Space } from '../../../broker/face.ts'
import { commonError, missing, queueDoesNotExist, sqsError } from '../errors.ts'
import type { Shapes } from '../form.ts'
import type { Input } from '../input.ts'
import { nameInUrl } from '../names.ts'
import { namespace, type Queue, type Queues } from './queue.ts'

export interface Caller {
  readonly principal: Principal
  readonly region: string
  /** What the request reached us by, for URLs that work from where the client is: `http://host:port`. */
  readonly base: string
  /** Who sends, as messages say it; undefined where nobody logged in. */
  readonly sender: string | undefined
  readonly signal: AbortSignal
  /** The request's path, which names the queue where its parameters do not. */
  readonly path: string
}

export interface SqsAction {
  readonly shapes?: Shapes
  /** null: the answer is empty. */
  run(call: SqsCall): Promise<object | null> | object | null
}

export class SqsCall {
  readonly broker: Broker
  readonly queues: Queues
  /** As the caller may use it. */
  readonly space: Space
  readonly input: Input
  readonly caller: Caller

  constructor(queues: Queues, space: Space, input: Input, caller: Caller) {
    this.broker = queues.broker
    this.queues = queues
    this.space = space
    this.input = input
    this.caller = caller
  }

  /** The queue that the request is for. Throws when there is none, or the caller may not do that with it. */
  queue(right: Right): Queue {
    const url = this.input.optionalText('QueueUrl') ?? (this.caller.path === '/' ? undefined : this.caller.path)
    if (url === undefined) throw missing('QueueUrl')
    const name = nameInUrl(url)
    if (name === undefined) throw sqsError('InvalidAddress', `The address ${url} is not valid for this endpoint.`)
    this.allow(right, name)
    return this.queues.get(name)
  }

  /** Who may do nothing with a queue does not learn whether it is there. */
  allow(right: Right, name: string): void {
    if (this.mayUse(right, name)) return
    if (this.queues.find(name) === undefined && this.mayUse('describe', name)) throw queueDoesNotExist()
    throw commonError('AccessDenied', `User: ${this.caller.principal.user} is not authorized to ${right} the queue ${name}`, 403)
  }

  mayUse(right: Right, name: string): boolean {
    return this.caller.principal.may(right, namespace, name)
  }
}
