// What tools ask of transactions: DescribeTransactions, ListTransactions, DescribeProducers; and WriteTxnMarkers, by which an administrator
// ends a transaction that hangs.
import { RE2JS } from 're2js'
import { KafkaError } from '../errors.ts'
import { batchFormatId } from '../mapping.ts'
import { mayCluster, mayTransaction } from '../operations.ts'
import type { Request } from '../request.ts'
import type { Message } from '../schema.ts'
import type { KafkaSession } from '../session.ts'
import { type Transaction, TransactionState } from '../transaction.ts'
import { coordinatorEpoch } from '../transaction-coordinator.ts'
import { buildMarker } from '../transaction-marker.ts'

/** Kafka's states. Those that are none of ours are known words with nothing in them. */
const stateNames = new Set<string>([
  ...Object.values(TransactionState),
  'PrepareCommit',
  'PrepareAbort',
  'PrepareEpochFence',
  'Dead',
])

function mayDescribe(session: KafkaSession, transactionalId: string): boolean {
  return mayTransaction(session, 'describe', transactionalId)
}

export function describeTransactions(request: Request): void {
  const { session } = request
  const ids: string[] = request.body()['transactionalIds']
  request.respond({ transactionStates: ids.map((transactionalId) => describeOne(session, transactionalId)) })
}

function describeOne(session: KafkaSession, transactionalId: string): object {
  const failed = (errorCode: number): object => ({ errorCode, transactionalId })
  if (transactionalId === '') return failed(KafkaError.InvalidRequest)
  if (!mayDescribe(session, transactionalId)) return failed(KafkaError.TransactionalIdAuthorizationFailed)
  const transaction = session.transactions.get(transactionalId)
  if (transaction === undefined) return failed(KafkaError.TransactionalIdNotFound)
  const { producerId, epoch, state, timeoutMs, startedAt, topics } = transaction
  return {
    transactionalId,
    transactionState: state,
    transactionTimeoutMs: timeoutMs,
    transactionStartTimeMs: startedAt,
    producerId,
    producerEpoch: epoch,
    topics: topics.filter(({ topic }) => session.principal.may('publish', 'default', topic)),
  }
}

export function listTransactions(request: Request): void {
  const { session } = request
  const body = request.body()
  const states: string[] = body['stateFilters']
  const producerIds = new Set<number>(body['producerIdFilters'])
  const longerThanMs: number = body['durationFilter']
  const isNamed = matcherOf(body['transactionalIdPattern'])
  if (isNamed === null) return request.respond({ errorCode: KafkaError.InvalidRegularExpression })
  const now = session.broker.clock.now()
  const isListed = (transaction: Transaction): boolean =>
    (states.length === 0 || states.includes(transaction.state)) &&
    (producerIds.size === 0 || producerIds.has(transaction.producerId)) &&
    (longerThanMs < 0 || now - transaction.startedAt > longerThanMs) &&
    isNamed(transaction.id) &&
    mayDescribe(session, transaction.id)
  request.respond({
    unknownStateFilters: states.filter((state) => !stateNames.has(state)),
    transactionStates: session.transactions
      .all()
      .filter(isListed)
      .map(({ id, producerId, state }) => ({ transactionalId: id, producerId, transactionState: state })),
  })
}

/** Kafka's patterns are those of RE2, matched against the whole; null when it is none. */
function matcherOf(pattern: string | null): ((id: string) => boolean) | null {
  if (pattern === null || pattern === '') return () => true
  try {
    const compiled = RE2JS.compile(pattern)
    return (id) => compiled.matches(id)
  } catch {
    return null
  }
}

export function describeProducers(request: Request): void {
  const { session } = request
  const topics = (request.body()['topics'] as Message[]).map(({ name, partitionIndexes }) => ({
    name,
    partitions: (partitionIndexes as number[]).map((partition) => producersOf(session, name, partition)),
  }))
  request.respond({ topics })
}

function producersOf({ space, principal }: KafkaSession, topic: string, partitionIndex: number): object {
  if (!principal.may('consume', 'default', topic))
    return { partitionIndex, errorCode: KafkaError.TopicAuthorizationFailed, errorMessage: `${topic} may not be consumed` }
  const info = space.topic(topic)
  if (info === undefined || partitionIndex < 0 || partitionIndex >= info.config.partitions) {
    const errorMessage = info === undefined ? `there is no topic ${topic}` : null
    return { partitionIndex, errorCode: KafkaError.UnknownTopicOrPartition, errorMessage }
  }
  const activeProducers = space.producers(topic, partitionIndex).map((producer) => ({
    producerId: producer.producerId,
    producerEpoch: producer.epoch,
    lastSequence: producer.lastSequence,
    lastTimestamp: producer.lastTimestamp,
    coordinatorEpoch,
    currentTxnStartOffset: producer.openSince,
  }))
  return { partitionIndex, activeProducers }
}

// ---------------------------------------------------------------------------------------------------------------- WriteTxnMarkers

export async function writeTxnMarkers(request: Request): Promise<void> {
  const markers = await Promise.all(
    (request.body()['markers'] as Message[]).map((marker) => writeMarker(request.session, marker)),
  )
  request.respond({ markers })
}

async function writeMarker(session: KafkaSession, marker: Message): Promise<object> {
  const { producerId } = marker
  const places = (marker['topics'] as Message[]).map(({ name, partitionIndexes }) => ({
    name: name as string,
    partitions: (partitionIndexes as number[]).map((partitionIndex) => ({
      partitionIndex,
      errorCode: checkMarker(session, marker, name, partitionIndex),
    })),
  }))
  const good = places.flatMap(({ name, partitions }) =>
    partitions
      .filter(({ errorCode }) => errorCode === KafkaError.None)
      .map(({ partitionIndex }) => ({ topic: name, partition: partitionIndex })),
  )
  const failed = good.length === 0 ? KafkaError.None : await end(session, marker, good)
  for (const { partitions } of places) for (const partition of partitions) partition.errorCode ||= failed
  return { producerId, topics: places }
}

function checkMarker(session: KafkaSession, marker: Message, topic: string, partition: number): number {
  const { space } = session
  if (!mayCluster(session, 'operate') && !mayCluster(session, 'alter')) return KafkaError.ClusterAuthorizationFailed
  const info = space.topic(topic)
  if (info === undefined || partition < 0 || partition >= info.config.partitions) return KafkaError.UnknownTopicOrPartition
  if (marker['coordinatorEpoch'] < coordinatorEpoch) return KafkaError.TransactionCoordinatorFenced
  const known = space.producers(topic, partition).find(({ producerId }) => producerId === marker['producerId'])
  return known !== undefined && marker['producerEpoch'] < known.epoch ? KafkaError.InvalidProducerEpoch : KafkaError.None
}

/**
 * A transaction that the coordinator knows to be open is aborted as a whole and its producer fenced: a part of it alone would leave the rest to
 * be committed. It is never committed but by its producer.
 */
function end(session: KafkaSession, marker: Message, partitions: { topic: string; partition: number }[]): Promise<number> {
  const { broker, space, transactions } = session
  const { producerId, producerEpoch, transactionResult: commit } = marker
  const transaction = transactions.ofProducer(producerId)
  if (transaction?.isOpen === true && partitions.some(({ topic, partition }) => transaction.has(topic, partition)))
    return commit ? Promise.resolve(KafkaError.InvalidTxnState) : transactions.abort(transaction)
  const timestamp = broker.clock.now()
  const payload = buildMarker({ producerId, producerEpoch, commit, coordinatorEpoch: marker['coordinatorEpoch'], timestamp })
  const decision = { producerId, producerEpoch, commit, partitions, marker: { format: batchFormatId, payload } }
  return new Promise((resolve) =>
    broker.atomically(
      () => space.decide(decision),
      (error) => resolve(error === null ? KafkaError.None : KafkaError.CoordinatorNotAvailable),
    ),
  )
}
