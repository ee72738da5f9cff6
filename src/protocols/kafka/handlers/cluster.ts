// Metadata, FindCoordinator: what there is and where. There is one node, and it leads all.
import { CoreError, type TopicInfo } from '../../../broker/face.ts'
import { configFrom } from '../config.ts'
import { codeOf, KafkaError } from '../errors.ts'
import { collidingTopic, isTopicName } from '../names.ts'
import { clusterOperations, mayTopic, topicOperations } from '../operations.ts'
import type { Request } from '../request.ts'
import type { Message } from '../schema.ts'
import { type KafkaSession, nodeId } from '../session.ts'

export async function metadata(request: Request): Promise<void> {
  const { session, version } = request
  const body = request.body()
  const asked: Message[] | null = version === 0 && body['topics'].length === 0 ? null : body['topics']
  const describe = (topic: TopicInfo): object => describeTopic(session, topic, body['includeTopicAuthorizedOperations'])
  const topics =
    asked === null
      ? session.space
          .topics()
          .filter((topic) => mayTopic(session, 'describe', topic.name))
          .map(describe)
      : await Promise.all(asked.map((topic) => describeAsked(request, topic, body['allowAutoTopicCreation'], describe)))
  request.respond({
    brokers: [{ nodeId, host: session.host, port: session.port, rack: null }],
    clusterId: session.broker.clusterId,
    controllerId: nodeId,
    topics,
    clusterAuthorizedOperations: clusterOperations(session, body['includeClusterAuthorizedOperations']),
  })
}

const noTopicId = '0'.repeat(32)

async function describeAsked(
  request: Request,
  topic: Message,
  mayCreate: boolean,
  describe: (topic: TopicInfo) => object,
): Promise<object> {
  const { session, version } = request
  // Who asks by id may leave the name null or empty.
  if (version >= 10 && (topic['name'] === null || topic['topicId'] !== noTopicId)) {
    const found = session.space.topicById(Buffer.from(topic['topicId'], 'hex'))
    if (found !== undefined && !mayTopic(session, 'describe', found.name))
      return { errorCode: KafkaError.TopicAuthorizationFailed, name: null, topicId: topic['topicId'], partitions: [] }
    return found
      ? describe(found)
      : { errorCode: KafkaError.UnknownTopicId, name: null, topicId: topic['topicId'], partitions: [] }
  }
  const name: string = topic['name']
  const failed = (errorCode: number): object => ({ errorCode, name, topicId: topic['topicId'], partitions: [] })
  try {
    const found = session.space.topic(name)
    // Not even whether it exists is told.
    if (!mayTopic(session, 'describe', name) && (found !== undefined || !mayCreate))
      return failed(KafkaError.TopicAuthorizationFailed)
    if (found !== undefined) return describe(found)
    if (!isTopicName(name)) return failed(KafkaError.InvalidTopic)
    if (!mayCreate || session.wasDeleted(name)) return failed(KafkaError.UnknownTopicOrPartition)
    if (collidingTopic(session.space, name) !== undefined) return failed(KafkaError.InvalidTopic)
    const created = await session.space.createTopic(name, configFrom({}, session.configs), 'kafka')
    request.throttle('controller_mutation_rate', created.config.partitions)
    return describe(created)
  } catch (cause) {
    const raced = cause instanceof CoreError && cause.code === 'AlreadyExists' ? session.space.topic(name) : undefined
    return raced ? describe(raced) : failed(codeOf(cause))
  }
}

function describeTopic(session: KafkaSession, topic: TopicInfo, operationsAsked: boolean): object {
  const partitions = Array.from({ length: topic.config.partitions }, (_, partitionIndex) => ({
    partitionIndex,
    leaderId: nodeId,
    leaderEpoch: 0,
    replicaNodes: [nodeId],
    isrNodes: [nodeId],
  }))
  const topicAuthorizedOperations = topicOperations(session, topic.name, operationsAsked)
  return { name: topic.name, topicId: topic.id.toString('hex'), partitions, topicAuthorizedOperations }
}

const KeyType = { Group: 0, Transaction: 1 } as const

export function findCoordinator(request: Request): void {
  const { session, version } = request
  const body = request.body()
  const keys: string[] = version >= 4 ? body['coordinatorKeys'] : [body['key']]
  const coordinators = keys.map((key) => {
    if (body['keyType'] === KeyType.Group || body['keyType'] === KeyType.Transaction)
      return { key, nodeId, host: session.host, port: session.port, errorMessage: version >= 4 ? '' : 'NONE' }
    const errorMessage = 'share groups are not served yet'
    return { key, nodeId: -1, host: '', port: -1, errorCode: KafkaError.UnsupportedVersion, errorMessage }
  })
  request.respond(version >= 4 ? { coordinators } : { ...coordinators[0] })
}
