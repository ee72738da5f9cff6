/**
 * Tasks that move what is in a dead-letter queue back to where it came from, or elsewhere. A task is durable and goes on after a restart; a
 * message and its going are one entry of the write-ahead log.
 */
import { randomUUID } from 'node:crypto'
import { accept, type Consumer, type DeliveryBatch, PublishItem, type Rows } from '../../../broker/face.ts'
import { invalidBecause, invalidValue, sqsError } from '../errors.ts'
import { nameInArn, queueArn } from '../names.ts'
import type { SqsAction, SqsCall } from './call.ts'
import { redriveTarget } from './manage.ts'
import type { Queues } from './queue.ts'

type Status = 'RUNNING' | 'COMPLETED' | 'CANCELLING' | 'CANCELLED' | 'FAILED'

interface Task {
  readonly id: string
  /** Names of queues; null is where each message came from. */
  readonly source: string
  readonly destination: string | null
  readonly rate: number | null
  readonly startedAt: number
  status: Status
  moved: number
  readonly toMove: number
  failure?: string
}

const rateMax = 500
/** Moved at once; without a rate, as fast as it goes. */
const batchMax = 100
const batchBytesMax = 4 * 1024 * 1024
const tickMs = 100
const listedMax = 10

export class Moves {
  readonly #queues: Queues
  readonly #rows: Rows
  readonly #running = new Map<string, Mover>()

  constructor(queues: Queues) {
    this.#queues = queues
    this.#rows = queues.broker.rows('sqs.move')
  }

  static of(queues: Queues): Moves {
    return queues.broker.shared('sqs.moves', () => new Moves(queues))
  }

  /** What was running when the broker stopped goes on. */
  resume(): void {
    for (const task of this.all()) {
      if (task.status === 'RUNNING') this.#run(task)
      if (task.status === 'CANCELLING') this.#store({ ...task, status: 'CANCELLED' })
    }
  }

  all(): Task[] {
    return [...this.#rows.entries()].map(([, text]) => JSON.parse(text) as Task) // as stored here
  }

  of(source: string): Task[] {
    return this.all()
      .filter((task) => task.source === source)
      .sort((a, b) => b.startedAt - a.startedAt)
  }

  async start(task: Task): Promise<void> {
    this.#store(task)
    for (const old of this.of(task.source).slice(listedMax)) this.#rows.delete(old.id)
    await this.#rows.durable()
    this.#run(task)
  }

  async cancel(task: Task): Promise<number> {
    const mover = this.#running.get(task.id)
    if (mover === undefined) this.#store({ ...task, status: 'CANCELLED' })
    else mover.stop()
    await this.#rows.durable()
    return mover?.task.moved ?? task.moved
  }

  #run(task: Task): void {
    const mover = new Mover(this.#queues, task, (ended) => {
      if (ended) this.#running.delete(task.id)
      this.#store(mover.task)
    })
    this.#running.set(task.id, mover)
    mover.step()
  }

  #store(task: Task): void {
    this.#rows.put(task.id, JSON.stringify(task))
  }
}

/** One task at work. */
class Mover {
  readonly task: Task
  readonly #queues: Queues
  readonly #changed: (ended: boolean) => void
  #consumer: Consumer | null = null

  constructor(queues: Queues, task: Task, changed: (ended: boolean) => void) {
    this.#queues = queues
    this.task = { ...task }
    this.#changed = changed
  }

  stop(): void {
    this.task.status = 'CANCELLING'
    this.#changed(false)
  }

  step(): void {
    if (this.task.status === 'CANCELLING') return this.#end('CANCELLED')
    const { source, rate } = this.task
    try {
      this.#consumer ??= this.#queues.space.subscribe(
        { topic: source, subscription: '', autoSettle: false, name: 'sqs move' },
        { onDeliveries: () => undefined, onConsumerClosed: () => this.#fail('AWS.SimpleQueueService.NonExistentQueue') },
      )
    } catch {
      return this.#fail('AWS.SimpleQueueService.NonExistentQueue')
    }
    const messages = rate === null ? batchMax : Math.max(1, Math.floor((rate * tickMs) / 1000))
    const consumer = this.#consumer
    const limits = { messages, bytes: batchBytesMax, inFlightMax: Infinity, wait: false }
    consumer.pull(-1, limits, (batch) => (batch.length === 0 ? this.#end('COMPLETED') : this.#move(consumer, batch)))
  }

  #move(consumer: Consumer, batch: DeliveryBatch): void {
    const { space } = this.#queues
    const transaction = space.begin()
    const moved: number[] = []
    for (let index = 0; index < batch.length; index++) {
      const annotations = batch.annotations[index] ?? null
      const target = this.task.destination ?? annotations?.deaths?.[0]?.topic
      // What was sent to the dead-letter queue itself came from nowhere: it stays, held until the end so that it is met once.
      if (target === undefined || target === this.task.source || space.topic(target) === undefined) continue
      const bytes = (batch.buffer[index] as Buffer).subarray(batch.start[index], batch.end[index]) // index < length, in all columns
      const item = new PublishItem('', target, batch.format[index] as number, bytes)
      item.timestamp = batch.timestamp[index] as number
      transaction.publish([item])
      moved.push(batch.id[index] as number)
    }
    if (moved.length === 0) {
      transaction.abort()
      return this.#next()
    }
    consumer.settle(moved, accept, transaction)
    transaction.commit((error) => {
      if (error !== null) return this.#fail(error.message)
      this.task.moved += moved.length
      this.#changed(false)
      this.#next()
    })
  }

  #next(): void {
    if (this.task.rate === null) setImmediate(() => this.step())
    else this.#queues.broker.clock.after(this.task.rate < 1000 / tickMs ? 1000 / this.task.rate : tickMs, () => this.step())
  }

  #fail(reason: string): void {
    this.task.failure = reason
    this.#end('FAILED')
  }

  #end(status: Status): void {
    if (this.task.status !== 'RUNNING' && this.task.status !== 'CANCELLING') return
    this.task.status = status
    this.#consumer?.close()
    this.#consumer = null
    this.#changed(true)
  }
}

// ------------------------------------------------------------------------------------------------------------------- actions

export const startMessageMoveTask: SqsAction = {
  run: async (call) => {
    const { input, queues } = call
    const moves = Moves.of(queues)
    const source = existing(call, 'SourceArn')
    const destination = input.has('DestinationArn') ? existing(call, 'DestinationArn') : null
    const rate = input.optionalWhole('MaxNumberOfMessagesPerSecond') ?? null
    if (rate !== null && (rate < 1 || rate > rateMax))
      throw invalidBecause(rate, 'MaxNumberOfMessagesPerSecond', `Must be between 1 and ${rateMax}.`)
    call.allow('consume', source)
    if (destination !== null) call.allow('publish', destination)
    if (destination === source) throw invalidValue('Source queue arn and destination queue arn cannot be the same.')
    const sources = queues.all().filter((queue) => redriveTarget(queue) === source)
    if (sources.length === 0) throw invalidValue('Source queue must be configured as a Dead Letter Queue.')
    if (destination === null) for (const { name } of sources) call.allow('publish', name)
    if (moves.of(source).some(({ status }) => status === 'RUNNING' || status === 'CANCELLING'))
      throw sqsError(
        'UnsupportedOperation',
        'There is already a task running. Only one active task is allowed for a source queue arn at a given time.',
      )
    const toMove =
      queues.space.status(source)?.subscriptions.find(({ name, kind }) => name === '' && kind === 'queue')?.ready ?? 0
    const startedAt = call.broker.clock.now()
    const task: Task = { id: randomUUID(), source, destination, rate, startedAt, status: 'RUNNING', moved: 0, toMove }
    await moves.start(task)
    return { TaskHandle: handleOf(task, call.caller.region) }
  },
}

export const listMessageMoveTasks: SqsAction = {
  run: (call) => {
    const source = existing(call, 'SourceArn')
    call.allow('describe', source)
    const max = call.input.optionalWhole('MaxResults') ?? 1
    if (max < 1 || max > listedMax) throw invalidBecause(max, 'MaxResults', `Must be between 1 and ${listedMax}, if provided.`)
    const { region } = call.caller
    const results = Moves.of(call.queues)
      .of(source)
      .slice(0, max)
      .map((task) => ({
        ...(task.status === 'RUNNING' && { TaskHandle: handleOf(task, region) }),
        Status: task.status,
        SourceArn: queueArn(region, task.source),
        ...(task.destination !== null && { DestinationArn: queueArn(region, task.destination) }),
        ...(task.rate !== null && { MaxNumberOfMessagesPerSecond: task.rate }),
        ApproximateNumberOfMessagesMoved: task.moved,
        ApproximateNumberOfMessagesToMove: task.toMove,
        ...(task.failure !== undefined && { FailureReason: task.failure }),
        StartedTimestamp: task.startedAt,
      }))
    return { Results: results }
  },
}

export const cancelMessageMoveTask: SqsAction = {
  run: async (call) => {
    const handle = call.input.text('TaskHandle')
    const moves = Moves.of(call.queues)
    const id = taskIdIn(handle)
    if (id === undefined) throw invalidBecause(handle, 'TaskHandle', 'It is no handle of a task.')
    const task = moves.all().find((each) => each.id === id)
    if (task === undefined || task.status !== 'RUNNING') throw sqsError('ResourceNotFoundException', 'Task does not exist.')
    call.allow('consume', task.source)
    return { ApproximateNumberOfMessagesMoved: await moves.cancel(task) }
  },
}

function existing(call: SqsCall, parameter: string): string {
  const arn = call.input.text(parameter)
  const name = nameInArn(arn, 'sqs')
  if (name === undefined) throw invalidBecause(arn, parameter, 'It is not the ARN of a queue.')
  if (call.queues.find(name) === undefined)
    throw sqsError('ResourceNotFoundException', `The resource that you specified for the ${parameter} parameter doesn't exist.`)
  return name
}

const handleOf = ({ id, source }: Task, region: string): string =>
  Buffer.from(JSON.stringify({ taskId: id, sourceArn: queueArn(region, source) })).toString('base64')

function taskIdIn(handle: string): string | undefined {
  try {
    const { taskId } = JSON.parse(Buffer.from(handle, 'base64').toString()) as { taskId?: unknown }
    return typeof taskId === 'string' ? taskId : undefined
  } catch {
    return undefined
  }
}
