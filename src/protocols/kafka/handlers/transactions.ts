// The requests of a transactional producer: InitProducerId, AddPartitionsToTxn, AddOffsetsToTxn, TxnOffsetCommit, EndTxn. Each finds its
// transaction in the coordinator (transaction-coordinator.ts) and puts the outcome into the words of its version. Its records come by produce.ts.
import type { CursorPosition } from '../../../broker/face.ts'
import { codeOf, KafkaError } from '../errors.ts'
import { mayGroup, mayTransaction } from '../operations.ts'
import type { Request } from '../request.ts'
import type { Message } from '../schema.ts'
import type { KafkaSession } from '../session.ts'
import type { ProducerIdentity, TopicPartition } from '../transaction.ts'
import { checkCommit, topicOf } from './cursors.ts'

export async function initProducerId(request: Request): Promise<void> {
  const { session, version } = request
  const { transactionalId, transactionTimeoutMs, producerId, producerEpoch } = request.body()
  const answer = (errorCode: number, by: ProducerIdentity): void =>
    request.respond({ errorCode, producerId: by.producerId, producerEpoch: by.epoch })
  if (producerId < 0 !== producerEpoch < 0) return answer(KafkaError.InvalidRequest, nobody)
  if (transactionalId === null) {
    // An idempotent producer: whatever it had, it gets an id of its own.
    try {
      return answer(KafkaError.None, { producerId: await session.space.nextProducerId(), epoch: 0 })
    } catch (cause) {
      return answer(codeOf(cause), nobody)
    }
  }
  if (!mayUse(session, transactionalId)) return answer(KafkaError.TransactionalIdAuthorizationFailed, nobody)
  const expected = producerId < 0 ? null : { producerId, epoch: producerEpoch }
  const { errorCode, ...given } = await session.transactions.init(transactionalId, transactionTimeoutMs, expected)
  answer(fencedCode(errorCode, version >= 4), given)
}

const nobody: ProducerIdentity = { producerId: -1, epoch: -1 }

function mayUse(session: KafkaSession, transactionalId: string): boolean {
  return mayTransaction(session, 'publish', transactionalId)
}

/** Versions before PRODUCER_FENCED was a word have INVALID_PRODUCER_EPOCH for it. */
function fencedCode(errorCode: number, knowsFenced: boolean): number {
  return errorCode === KafkaError.ProducerFenced && !knowsFenced ? KafkaError.InvalidProducerEpoch : errorCode
}

// ------------------------------------------------------------------------------------------------------------ AddPartitionsToTxn

export async function addPartitionsToTxn(request: Request): Promise<void> {
  const { session, version } = request
  const body = request.body()
  if (version < 4) {
    const id: string = body['v3AndBelowTransactionalId']
    const by = { producerId: body['v3AndBelowProducerId'], epoch: body['v3AndBelowProducerEpoch'] }
    const results = addTo(session, id, by, body['v3AndBelowTopics'], false, (code) => fencedCode(code, version >= 2))
    const failed = await session.transactions.durable()
    return request.respond({ resultsByTopicV3AndBelow: failed === KafkaError.None ? results : allWith(results, failed) })
  }
  // KIP-890: what one broker asks another, for several producers at once.
  const outcomes = (body['transactions'] as Message[]).map(
    ({ transactionalId, producerId, producerEpoch, verifyOnly, topics }) => ({
      transactionalId,
      topicResults: addTo(session, transactionalId, { producerId, epoch: producerEpoch }, topics, verifyOnly, (code) => code),
    }),
  )
  request.respond({ errorCode: await session.transactions.durable(), resultsByTransaction: outcomes })
}

interface TopicResult {
  readonly name: string
  readonly resultsByPartition: { readonly partitionIndex: number; readonly partitionErrorCode: number }[]
}

/** All of the partitions, or none: then those that could have been added say OPERATION_NOT_ATTEMPTED. */
function addTo(
  session: KafkaSession,
  id: string,
  by: ProducerIdentity,
  topics: readonly Message[],
  verifyOnly: boolean,
  inWords: (errorCode: number) => number,
): TopicResult[] {
  const results = (codeFor: (place: TopicPartition) => number): TopicResult[] =>
    topics.map(({ name, partitions }) => ({
      name,
      resultsByPartition: (partitions as number[]).map((partition) => ({
        partitionIndex: partition,
        partitionErrorCode: codeFor({ topic: name, partition }),
      })),
    }))
  if (id === '') return results(() => KafkaError.InvalidRequest)
  if (!mayUse(session, id)) return results(() => KafkaError.TransactionalIdAuthorizationFailed)
  if (verifyOnly) return results((place) => inWords(session.transactions.verify(id, by, place)))
  const places = topics.flatMap(({ name, partitions }) =>
    (partitions as number[]).map((partition): TopicPartition => ({ topic: name, partition })),
  )
  if (places.some((place) => checkPlace(session, place) !== KafkaError.None))
    return results((place) => checkPlace(session, place) || KafkaError.OperationNotAttempted)
  const errorCode = inWords(session.transactions.add(id, by, places))
  return results(() => errorCode)
}

function checkPlace({ space, principal }: KafkaSession, { topic, partition }: TopicPartition): number {
  const info = space.topic(topic)
  if (!principal.may('publish', 'default', topic)) return KafkaError.TopicAuthorizationFailed
  return info !== undefined && partition >= 0 && partition < info.config.partitions
    ? KafkaError.None
    : KafkaError.UnknownTopicOrPartition
}

function allWith(results: readonly TopicResult[], partitionErrorCode: number): TopicResult[] {
  return results.map(({ name, resultsByPartition }) => ({
    name,
    resultsByPartition: resultsByPartition.map(({ partitionIndex }) => ({ partitionIndex, partitionErrorCode })),
  }))
}

// ------------------------------------------------------------------------------------------------------------- offsets of groups

export async function addOffsetsToTxn(request: Request): Promise<void> {
  const { session, version } = request
  const { transactionalId, producerId, producerEpoch, groupId } = request.body()
  const refuse = (errorCode: number): void => request.respond({ errorCode })
  if (transactionalId === '') return refuse(KafkaError.InvalidRequest)
  if (!mayUse(session, transactionalId)) return refuse(KafkaError.TransactionalIdAuthorizationFailed)
  if (!mayGroup(session, 'consume', groupId)) return refuse(KafkaError.GroupAuthorizationFailed)
  const errorCode = session.transactions.add(transactionalId, { producerId, epoch: producerEpoch }, [], groupId)
  request.respond({ errorCode: fencedCode(errorCode, version >= 2) || (await session.transactions.durable()) })
}

export async function txnOffsetCommit(request: Request): Promise<void> {
  const { session, version } = request
  const body = request.body()
  const refused = mayCommitGroup(session, body)
  const positions: CursorPosition[] = []
  const topics = (body['topics'] as Message[]).map((topic) => {
    const found = topicOf(session, topic, version >= 6)
    const partitions = (topic['partitions'] as Message[]).map((partition) => {
      const errorCode = refused || checkCommit(session, found, partition, version >= 6)
      if (errorCode === KafkaError.None && found !== undefined) positions.push(positionOf(found.name, partition))
      return { partitionIndex: partition['partitionIndex'] as number, errorCode }
    })
    return { name: topic['name'], topicId: topic['topicId'], partitions }
  })
  if (positions.length > 0) {
    const failed = await commitOffsets(request, body, positions)
    for (const topic of topics) for (const partition of topic.partitions) partition.errorCode ||= failed
  }
  request.respond({ topics })
}

function mayCommitGroup(session: KafkaSession, { groupId, transactionalId }: Message): number {
  if (!mayUse(session, transactionalId)) return KafkaError.TransactionalIdAuthorizationFailed
  if (!mayGroup(session, 'consume', groupId)) return KafkaError.GroupAuthorizationFailed
  return groupId === '' ? KafkaError.InvalidGroupId : KafkaError.None
}

async function commitOffsets(request: Request, body: Message, positions: readonly CursorPosition[]): Promise<number> {
  const { transactions } = request.session
  const refused = enter(request, body)
  if (refused !== KafkaError.None) return refused
  transactions.addOffsets(body['transactionalId'], body['groupId'], positions)
  return await transactions.durable()
}

/** First the producer (from version 5 on the group joins its transaction by this), then the member of the group that it consumes for. */
function enter({ session, version }: Request, body: Message): number {
  const { transactionalId, producerId, producerEpoch, groupId } = body
  const by = { producerId, epoch: producerEpoch }
  const entered =
    version >= 5
      ? session.transactions.add(transactionalId, by, [], groupId)
      : session.transactions.verifyGroup(transactionalId, by, groupId)
  if (entered === KafkaError.ProducerFenced) return KafkaError.InvalidProducerEpoch
  if (entered === KafkaError.TransactionAbortable && version < 4) return KafkaError.InvalidTxnState
  if (entered !== KafkaError.None) return entered
  const { memberId, groupInstanceId, generationIdOrMemberEpoch } = body
  return session.coordinator.mayCommitInTransaction(groupId, memberId, groupInstanceId, generationIdOrMemberEpoch)
}

function positionOf(topic: string, partition: Message): CursorPosition {
  return {
    topic,
    partition: partition['partitionIndex'],
    offset: partition['committedOffset'],
    metadata: partition['committedMetadata'] ?? '',
    leaderEpoch: partition['committedLeaderEpoch'],
  }
}

// ------------------------------------------------------------------------------------------------------------------------- EndTxn

export async function endTxn(request: Request): Promise<void> {
  const { session, version } = request
  const { transactionalId, producerId, producerEpoch, committed } = request.body()
  if (transactionalId === '') return request.respond({ errorCode: KafkaError.InvalidRequest })
  if (!mayUse(session, transactionalId)) return request.respond({ errorCode: KafkaError.TransactionalIdAuthorizationFailed })
  const by = { producerId, epoch: producerEpoch }
  const ended = await session.transactions.end(transactionalId, by, committed, version >= 5)
  request.respond({
    errorCode: fencedCode(ended.errorCode, version >= 2),
    producerId: ended.producerId,
    producerEpoch: ended.epoch,
  })
}
