// CreateTopics, DeleteTopics, CreatePartitions, DeleteRecords.

import { type TopicInfo, topicDefaults } from '../../../broker/face.ts'
import { configFrom, declarationWith, shownConfigs } from '../config.ts'
import { codeOf, KafkaError } from '../errors.ts'
import { collidingTopic, isTopicName } from '../names.ts'
import { mayCluster, mayTopic } from '../operations.ts'
import { ConfigRefused, failure, Refused } from '../refused.ts'
import type { Request } from '../request.ts'
import type { Message } from '../schema.ts'
import { type KafkaSession, nodeId } from '../session.ts'

/** A topic's partitions are logs of their own; this bounds what one request may ask for. */
const partitionsMax = 10_000

export async function createTopics(request: Request): Promise<void> {
  const body = request.body()
  const twice = namedTwice(body['topics'])
  const topics: object[] = []
  for (const topic of oneEach(body['topics'])) {
    const { name } = topic
    try {
      if (twice.has(name)) throw new Refused(KafkaError.InvalidRequest, 'Duplicate topic name.')
      topics.push(await createOne(request, topic, body['validateOnly']))
    } catch (cause) {
      topics.push({ name, numPartitions: -1, replicationFactor: -1, configs: [], ...failure(cause) })
    }
  }
  request.respond({ topics })
}

/** What a request names more than once is refused, with one answer. */
function namedTwice(topics: readonly Message[]): Set<string> {
  const [seen, twice] = [new Set<string>(), new Set<string>()]
  for (const { name } of topics) (seen.has(name) ? twice : seen).add(name)
  return twice
}

const oneEach = (topics: readonly Message[]): Message[] =>
  topics.filter(
    (topic, index) => topic['name'] === null || topics.findIndex((other) => other['name'] === topic['name']) === index,
  )

async function createOne(request: Request, topic: Message, validateOnly: boolean): Promise<object> {
  const { session } = request
  const name: string = topic['name']
  if (!isTopicName(name))
    throw new Refused(KafkaError.InvalidTopic, `"${name}" is not a topic name: 1 to 249 of a-z A-Z 0-9 . _ -`)
  if (!mayTopic(session, 'create', name) && !mayCluster(session, 'create'))
    throw new Refused(KafkaError.TopicAuthorizationFailed, `${session.principal.user} may not create "${name}"`)
  if (session.space.topic(name) !== undefined) throw new Refused(KafkaError.TopicAlreadyExists, `Topic '${name}' already exists.`)
  const other = collidingTopic(session.space, name)
  if (other !== undefined) throw new Refused(KafkaError.InvalidTopic, `Topic '${name}' collides with existing topic: ${other}`)
  const partitions = partitionsOf(topic)
  const set: Record<string, string> = {}
  for (const config of topic['configs'] as Message[]) {
    if (config['value'] === null) throw new ConfigRefused(`Null value not supported for topic configs: ${config['name']}`)
    set[config['name']] = config['value']
  }
  const config = { ...configFrom(set, session.configs), partitions }
  if (!validateOnly) request.countMutations(partitions, 6)
  const created = validateOnly ? undefined : await session.space.createTopic(name, config, 'kafka', declarationWith({}, set))
  const configs = shownConfigs(created?.config ?? { ...topicDefaults, ...config }, set, session.configs)
  const id = created === undefined ? {} : { topicId: created.id.toString('hex') }
  return { name, ...id, errorMessage: null, numPartitions: partitions, replicationFactor: 1, configs }
}

function partitionsOf(topic: Message): number {
  const assignments: Message[] = topic['assignments']
  if (assignments.length > 0) {
    if (topic['numPartitions'] !== -1 || topic['replicationFactor'] !== -1) {
      throw new Refused(KafkaError.InvalidRequest, 'with assignments the partition count and replication factor must be -1')
    }
    checkAssignments(assignments.map((assignment) => assignment['brokerIds']))
    const indexes = new Set(assignments.map((assignment) => assignment['partitionIndex']))
    if (assignments.some((_, index) => !indexes.has(index)))
      throw new Refused(KafkaError.InvalidReplicaAssignment, 'partitions must be numbered from 0')
    return assignments.length
  }
  const asked: number = topic['numPartitions']
  const partitions = asked === -1 ? topicDefaults.partitions : asked
  if (partitions < 1 || partitions > partitionsMax)
    throw new Refused(KafkaError.InvalidPartitions, `Number of partitions must be 1 to ${partitionsMax}`)
  const factor: number = topic['replicationFactor']
  if (factor === 0 || factor < -1)
    throw new Refused(KafkaError.InvalidReplicationFactor, 'Replication factor must be larger than 0.')
  if (factor > 1)
    throw new Refused(
      KafkaError.InvalidReplicationFactor,
      `Unable to replicate the partition ${factor} time(s): there is 1 broker.`,
    )
  return partitions
}

function checkAssignments(replicas: number[][]): void {
  for (const ids of replicas) {
    if (ids.length !== 1 || ids[0] !== nodeId)
      throw new Refused(KafkaError.InvalidReplicaAssignment, `there is one broker, ${nodeId}`)
  }
}

export async function deleteTopics(request: Request): Promise<void> {
  const { session, version } = request
  const body = request.body()
  const asked: Message[] = version >= 6 ? body['topics'] : body['topicNames'].map((name: string) => ({ name, topicId: noId }))
  const twice = namedTwice(asked.filter((topic) => topic['name'] !== null))
  const responses: object[] = []
  for (const topic of oneEach(asked)) {
    const { name, topicId } = topic
    try {
      if (name !== null && twice.has(name)) throw new Refused(KafkaError.InvalidRequest, 'Duplicate topic name.')
      const found = topicToDelete(session, name, topicId)
      if (!mayTopic(session, 'delete', found.name))
        throw new Refused(KafkaError.TopicAuthorizationFailed, 'Topic authorization failed.')
      request.countMutations(found.config.partitions, 5)
      await session.space.deleteTopic(found.name)
      session.noteDeleted(found.name)
      responses.push({ name: found.name, topicId: found.id.toString('hex'), errorMessage: null })
    } catch (cause) {
      responses.push({ name, topicId, ...failure(cause) })
    }
  }
  request.respond({ responses })
}

const noId = '0'.repeat(32)

function topicToDelete(session: KafkaSession, name: string | null, topicId: string): TopicInfo {
  if (name !== null && topicId !== noId)
    throw new Refused(KafkaError.InvalidRequest, 'You may not specify both topic name and topic id.')
  if (name === null && topicId === noId) throw new Refused(KafkaError.InvalidRequest, 'Neither topic name nor id were specified.')
  const found = name === null ? session.space.topicById(Buffer.from(topicId, 'hex')) : session.space.topic(name)
  if (found !== undefined) return found
  if (name === null) throw new Refused(KafkaError.UnknownTopicId, 'This server does not host this topic ID.')
  throw new Refused(KafkaError.UnknownTopicOrPartition, 'This server does not host this topic-partition.')
}

export async function createPartitions(request: Request): Promise<void> {
  const body = request.body()
  const twice = namedTwice(body['topics'])
  const results: object[] = []
  for (const topic of oneEach(body['topics'])) {
    const { name } = topic
    try {
      if (twice.has(name)) throw new Refused(KafkaError.InvalidRequest, 'Duplicate topic name.')
      await growOne(request, topic, body['validateOnly'])
      results.push({ name, errorMessage: null })
    } catch (cause) {
      results.push({ name, ...failure(cause) })
    }
  }
  request.respond({ results })
}

async function growOne(request: Request, topic: Message, validateOnly: boolean): Promise<void> {
  const { session } = request
  const { name, count, assignments } = topic
  const found = session.space.topic(name)
  if (found === undefined) throw new Refused(KafkaError.UnknownTopicOrPartition, `no such topic: ${name}`)
  const present = found.config.partitions
  if (count <= present)
    throw new Refused(
      KafkaError.InvalidPartitions,
      `The topic ${name} currently has ${present} partition(s); ${count} would not be an increase.`,
    )
  if (count > partitionsMax) throw new Refused(KafkaError.InvalidPartitions, `at most ${partitionsMax} partitions`)
  if (assignments !== null) {
    if (assignments.length !== count - present)
      throw new Refused(KafkaError.InvalidReplicaAssignment, 'one assignment for each new partition')
    checkAssignments(assignments.map((assignment: Message) => assignment['brokerIds']))
  }
  if (validateOnly) return
  if (!mayTopic(session, 'alter', name)) throw new Refused(KafkaError.TopicAuthorizationFailed, 'Topic authorization failed.')
  request.countMutations(count - present, 3)
  await session.space.alterTopic(name, { partitions: count })
}

export async function deleteRecords(request: Request): Promise<void> {
  const topics: object[] = []
  for (const topic of request.body()['topics'] as Message[]) {
    const partitions: object[] = []
    for (const partition of topic['partitions']) partitions.push(await deleteBefore(request.session, topic['name'], partition))
    topics.push({ name: topic['name'], partitions })
  }
  request.respond({ topics })
}

async function deleteBefore(session: KafkaSession, name: string, partition: Message): Promise<object> {
  const { partitionIndex } = partition
  const failed = (errorCode: number): object => ({ partitionIndex, lowWatermark: -1, errorCode })
  const log = session.space.status(name)?.partitions[partitionIndex]
  if (log === undefined) return failed(KafkaError.UnknownTopicOrPartition)
  const offset: number = partition['offset'] === -1 ? log.nextOffset : partition['offset']
  if (offset < 0 || offset > log.nextOffset) return failed(KafkaError.OffsetOutOfRange)
  try {
    return { partitionIndex, lowWatermark: await session.space.deleteRecordsBefore(name, partitionIndex, offset) }
  } catch (cause) {
    return failed(codeOf(cause))
  }
}
