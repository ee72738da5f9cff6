// ShareFetch and ShareAcknowledge (KIP-932): a member of a share group acquires records, and says what became of them.

import { GroupRefusal } from '../consumer-group.ts'
import { KafkaError, textOf } from '../errors.ts'
import { deliveriesToBatch } from '../mapping.ts'
import type { Request } from '../request.ts'
import type { Message } from '../schema.ts'
import type { KafkaSession } from '../session.ts'
import {
  AcknowledgeType,
  type Acquired,
  type SharePart,
  type ShareSession,
  ShareSessions,
  shareCodeOf,
} from '../share-session.ts'
import { isFinalized } from './consumer-groups.ts'
import { mayUse } from './groups.ts'

/** What one answer carries at most, whatever the client allows. */
const answerBytesMax = 32 * 1024 * 1024
const answerRecordsMax = 10_000
const Epoch = { First: 0, Final: -1 } as const

/** What is answered of one partition. */
interface PartAnswer {
  readonly topicId: string
  readonly partition: number
  errorCode: number
  acknowledgeErrorCode: number
  acquired: Acquired[]
  records: Buffer | null
}

export function shareFetch(request: Request): void {
  const { session } = request
  const body = request.body()
  const share = enter(request, body, fetchRefusal)
  if (share === undefined) return
  const answers = new Map<string, PartAnswer>()
  acknowledgeAll(session, share, body, request.version, answers)
  if (body['shareSessionEpoch'] === Epoch.Final) {
    sessionsOf(session).close(share)
    return request.respond(answerOf(share, answers))
  }
  for (const topic of body['forgottenTopicsData'] as Message[])
    for (const partition of topic['partitions']) share.forget(topic['topicId'], partition)
  addParts(session, share, body, answers)
  if (body['isRenewAck']) return request.respond(answerOf(share, answers))
  new ShareFetchOperation(request, body, share, answers).start()
}

export function shareAcknowledge(request: Request): void {
  const { session } = request
  const body = request.body()
  const share = enter(request, body, acknowledgeRefusal)
  if (share === undefined) return
  const answers = new Map<string, PartAnswer>()
  acknowledgeAll(session, share, body, request.version, answers)
  if (body['shareSessionEpoch'] === Epoch.Final) sessionsOf(session).close(share)
  for (const answer of answers.values()) answer.errorCode = answer.acknowledgeErrorCode
  request.respond(answerOf(share, answers))
}

type Refusal = readonly [errorCode: number, errorMessage: string | null]

/** The session of a request, begun by its first one; undefined where the request was refused. `refusalOf` knows what speaks against one of its kind. */
function enter(request: Request, body: Message, refusalOf: (body: Message) => Refusal | undefined): ShareSession | undefined {
  const { session } = request
  const { groupId, memberId, shareSessionEpoch: epoch } = body
  const refuse = (errorCode: number, errorMessage: string | null): undefined => {
    request.respond({ errorCode, errorMessage })
  }
  const wrong = refusal(session, body) ?? refusalOf(body)
  if (wrong !== undefined) return refuse(...wrong)
  const sessions = sessionsOf(session)
  try {
    if (epoch !== Epoch.First) return sessions.continue(groupId, memberId, epoch)
    const share = sessions.open(groupId, memberId)
    // The session is the connection's: without it nobody would acknowledge what was acquired.
    session.whenClosed(() => sessions.close(share))
    return share
  } catch (cause) {
    if (cause instanceof GroupRefusal) return refuse(cause.errorCode, cause.message)
    throw cause
  }
}

function fetchRefusal(body: Message): Refusal | undefined {
  if (body['shareSessionEpoch'] === Epoch.First && hasAcknowledgements(body))
    return [KafkaError.InvalidRequest, 'nothing can be acknowledged in the first request of a session']
  const fetches = body['minBytes'] > 0 || body['maxBytes'] > 0 || body['maxRecords'] > 0 || body['maxWaitMs'] > 0
  if (body['isRenewAck'] && fetches) return [KafkaError.InvalidRequest, 'a request that renews locks fetches nothing']
  return undefined
}

const acknowledgeRefusal = (body: Message): Refusal | undefined =>
  body['shareSessionEpoch'] === Epoch.First ? [KafkaError.InvalidShareSessionEpoch, 'a session begins with a fetch'] : undefined

const sessionsOf = ({ broker, coordinator }: KafkaSession): ShareSessions =>
  broker.shared('kafka.share-sessions', () => new ShareSessions(broker.clock, coordinator.configs))

function refusal(session: KafkaSession, body: Message): Refusal | undefined {
  if (!isFinalized(session, 'share.version')) return [KafkaError.UnsupportedVersion, 'share.version is 0']
  if (!body['groupId'] || !body['memberId']) return [KafkaError.InvalidRequest, 'GroupId and MemberId must be given']
  if (!mayUse(session, body['groupId'])) return [KafkaError.GroupAuthorizationFailed, null]
  if (body['shareSessionEpoch'] < Epoch.Final) return [KafkaError.InvalidShareSessionEpoch, 'there is no such epoch']
  return undefined
}

const hasAcknowledgements = (body: Message): boolean =>
  (body['topics'] as Message[]).some((topic) =>
    (topic['partitions'] as Message[]).some((partition) => partition['acknowledgementBatches'].length > 0),
  )

function acknowledgeAll(
  session: KafkaSession,
  share: ShareSession,
  body: Message,
  version: number,
  answers: Map<string, PartAnswer>,
): void {
  const mayRenew = version >= 2 && session.coordinator.configs.get(share.group, 'share.renew.acknowledge.enable') === 'true'
  const typeMax = mayRenew ? AcknowledgeType.Renew : AcknowledgeType.Reject
  for (const { topicId, partitions } of body['topics'] as Message[]) {
    for (const { partitionIndex, acknowledgementBatches } of partitions as Message[]) {
      if (acknowledgementBatches.length === 0) continue
      const answer = answerFor(answers, topicId, partitionIndex)
      const part = share.part(topicId, partitionIndex)
      const types = (acknowledgementBatches as Message[]).flatMap((batch): number[] => batch['acknowledgeTypes'])
      if (types.some((type) => type < 0 || type > typeMax)) answer.acknowledgeErrorCode = KafkaError.InvalidRequest
      else if (part === undefined) answer.acknowledgeErrorCode = KafkaError.InvalidRecordState
      else answer.acknowledgeErrorCode = share.acknowledge(part, acknowledgementBatches)
    }
  }
}

function addParts(session: KafkaSession, share: ShareSession, body: Message, answers: Map<string, PartAnswer>): void {
  for (const { topicId, partitions } of body['topics'] as Message[]) {
    const info = session.space.topicById(Buffer.from(topicId, 'hex'))
    for (const { partitionIndex } of partitions as Message[]) {
      let errorCode: number = KafkaError.None
      if (info === undefined) errorCode = KafkaError.UnknownTopicId
      else if (!session.principal.may('consume', 'default', info.name)) errorCode = KafkaError.TopicAuthorizationFailed
      else if (partitionIndex < 0 || partitionIndex >= info.config.partitions) errorCode = KafkaError.UnknownTopicOrPartition
      else share.add(info.name, topicId, partitionIndex)
      if (errorCode !== KafkaError.None) answerFor(answers, topicId, partitionIndex).errorCode = errorCode
    }
  }
}

function answerFor(answers: Map<string, PartAnswer>, topicId: string, partition: number): PartAnswer {
  const key = `${topicId}/${partition}`
  let answer = answers.get(key)
  if (answer === undefined) {
    answer = {
      topicId,
      partition,
      errorCode: KafkaError.None,
      acknowledgeErrorCode: KafkaError.None,
      acquired: [],
      records: null,
    }
    answers.set(key, answer)
  }
  return answer
}

/** One fetch: waits until one partition has something, and takes what the others have by then. */
class ShareFetchOperation {
  readonly #request: Request
  readonly #share: ShareSession
  readonly #answers: Map<string, PartAnswer>
  readonly #maxWaitMs: number
  /** What is left of the request's limits. */
  readonly #limits: { messages: number; bytes: number }
  #cancels: (() => void)[] = []
  #ending = false
  #done = false

  constructor(request: Request, body: Message, share: ShareSession, answers: Map<string, PartAnswer>) {
    this.#request = request
    this.#share = share
    this.#answers = answers
    this.#maxWaitMs = Math.max(0, body['maxWaitMs'])
    this.#limits = {
      messages: Math.min(body['maxRecords'], answerRecordsMax),
      bytes: Math.min(body['maxBytes'], answerBytesMax),
    }
  }

  start(): void {
    const { session } = this.#request
    const timer = session.broker.clock.after(this.#maxWaitMs, () => this.#answer())
    this.#cancels = [() => timer.cancel(), session.whenClosed(() => this.#stop())]
    const failed = [...this.#answers.values()].some((answer) => answer.errorCode !== KafkaError.None)
    for (const part of this.#share.parts.values()) this.#acquire(part)
    if (failed || this.#share.parts.size === 0) this.#endSoon()
  }

  #acquire(part: SharePart): void {
    try {
      this.#cancels.push(
        this.#share.acquire(this.#request.session.space, part, this.#limits, (batch, acquired) => {
          const answer = answerFor(this.#answers, part.topicId, part.partition)
          answer.acquired = acquired
          answer.records = deliveriesToBatch(batch)
          this.#limits.bytes -= answer.records.length
          this.#limits.messages = this.#limits.bytes > 0 ? this.#limits.messages - batch.length : 0
          // The next fetch begins with another.
          this.#share.parts.delete(`${part.topicId}/${part.partition}`)
          this.#share.parts.set(`${part.topicId}/${part.partition}`, part)
          this.#endSoon()
        }),
      )
    } catch (cause) {
      answerFor(this.#answers, part.topicId, part.partition).errorCode = shareCodeOf(cause)
      if (shareCodeOf(cause) === KafkaError.UnknownServerError)
        this.#request.session.broker.log.error({ err: cause, topic: part.topic }, `kafka: share fetch failed: ${textOf(cause)}`)
      this.#share.parts.delete(`${part.topicId}/${part.partition}`)
      this.#endSoon()
    }
  }

  /** The other partitions that have something are served in this turn, too. */
  #endSoon(): void {
    if (this.#ending) return
    this.#ending = true
    setImmediate(() => this.#answer())
  }

  #stop(): void {
    this.#done = true
    for (const cancel of this.#cancels) cancel()
  }

  #answer(): void {
    if (this.#done) return
    this.#stop()
    this.#request.respond(answerOf(this.#share, this.#answers))
  }
}

function answerOf(share: ShareSession, answers: ReadonlyMap<string, PartAnswer>): Message {
  const topics = Map.groupBy(answers.values(), (answer) => answer.topicId)
  const responses = [...topics].map(([topicId, parts]) => ({
    topicId,
    partitions: parts.map(({ partition, errorCode, acknowledgeErrorCode, acquired, records }) => ({
      partitionIndex: partition,
      errorCode,
      acknowledgeErrorCode,
      currentLeader: { leaderId: 0, leaderEpoch: 0 },
      records,
      acquiredRecords: acquired,
    })),
  }))
  return { acquisitionLockTimeoutMs: share.lockMs, responses, nodeEndpoints: [] }
}
