// Metadata, FindCoordinator, DescribeCluster, DescribeLogDirs, DescribeAcls: what there is and where. There is one node, and it leads all.
import { CoreError, type TopicInfo } from '../../../broker/face.ts'
import { configFrom } from '../config.ts'
import { codeOf, KafkaError } from '../errors.ts'
import { isTopicName } from '../names.ts'
import type { Message } from '../schema.ts'
import { type KafkaSession, nodeId, type Request } from '../session.ts'

export async function metadata(request: Request): Promise<void> {
  const { session, version } = request
  const body = request.body()
  const asked: Message[] | null = version === 0 && body['topics'].length === 0 ? null : body['topics']
  const topics =
    asked === null
      ? session.space.topics().map(describeTopic)
      : await Promise.all(asked.map((topic) => describeAsked(session, topic, version, body['allowAutoTopicCreation'])))
  request.respond({
    brokers: [{ nodeId, host: session.host, port: session.port, rack: null }],
    clusterId: session.broker.clusterId,
    controllerId: nodeId,
    topics,
    clusterAuthorizedOperations: notAsked,
  })
}

// "The set of operations was not asked for": what a broker without the answer says.
const notAsked = -2147483648

const noTopicId = '0'.repeat(32)

async function describeAsked(session: KafkaSession, topic: Message, version: number, mayCreate: boolean): Promise<object> {
  // Who asks by id may leave the name null or empty.
  if (version >= 10 && (topic['name'] === null || topic['topicId'] !== noTopicId)) {
    const found = session.space.topicById(Buffer.from(topic['topicId'], 'hex'))
    return found
      ? describeTopic(found)
      : { errorCode: KafkaError.UnknownTopicId, name: null, topicId: topic['topicId'], partitions: [] }
  }
  const name: string = topic['name']
  const failed = (errorCode: number): object => ({ errorCode, name, topicId: topic['topicId'], partitions: [] })
  try {
    const found = session.space.topic(name)
    if (found !== undefined) return describeTopic(found)
    if (!isTopicName(name)) return failed(KafkaError.InvalidTopic)
    if (!mayCreate) return failed(KafkaError.UnknownTopicOrPartition)
    return describeTopic(await session.space.createTopic(name, configFrom({}), 'kafka'))
  } catch (cause) {
    const raced = cause instanceof CoreError && cause.code === 'AlreadyExists' ? session.space.topic(name) : undefined
    return raced ? describeTopic(raced) : failed(codeOf(cause))
  }
}

function describeTopic(topic: TopicInfo): object {
  const partitions = Array.from({ length: topic.config.partitions }, (_, partitionIndex) => ({
    partitionIndex,
    leaderId: nodeId,
    leaderEpoch: 0,
    replicaNodes: [nodeId],
    isrNodes: [nodeId],
  }))
  return { name: topic.name, topicId: topic.id.toString('hex'), partitions, topicAuthorizedOperations: notAsked }
}

const KeyType = { Group: 0, Transaction: 1 } as const

export function findCoordinator(request: Request): void {
  const { session, version } = request
  const body = request.body()
  const keys: string[] = version >= 4 ? body['coordinatorKeys'] : [body['key']]
  const coordinators = keys.map((key) => {
    if (body['keyType'] === KeyType.Group || body['keyType'] === KeyType.Transaction)
      return { key, nodeId, host: session.host, port: session.port, errorMessage: null }
    const errorMessage = 'share groups are not served yet'
    return { key, nodeId: -1, host: '', port: -1, errorCode: KafkaError.UnsupportedVersion, errorMessage }
  })
  request.respond(version >= 4 ? { coordinators } : { ...coordinators[0] })
}

export function describeCluster(request: Request): void {
  const { session } = request
  const { endpointType } = request.body()
  // KIP-919: type 2 asks for the controllers' own endpoints; there are none to be reached.
  if (endpointType === 2) return request.respond({ errorCode: 115, errorMessage: 'ask with the broker endpoint type' })
  request.respond({
    errorMessage: null,
    endpointType: 1,
    clusterId: session.broker.clusterId,
    controllerId: nodeId,
    brokers: [{ brokerId: nodeId, host: session.host, port: session.port }],
    clusterAuthorizedOperations: notAsked,
  })
}

export function describeLogDirs(request: Request): void {
  const { space } = request.session
  const asked: Message[] | null = request.body()['topics']
  const names = asked === null ? space.topics().map((topic) => topic.name) : asked.map((topic) => topic['topic'] as string)
  const topics = names.flatMap((name) => {
    const wanted: number[] | undefined = asked?.find((topic) => topic['topic'] === name)?.['partitions']
    const partitions = (space.status(name)?.partitions ?? []).flatMap((partition, partitionIndex) =>
      wanted === undefined || wanted.includes(partitionIndex)
        ? [{ partitionIndex, partitionSize: partition.bytes, offsetLag: 0 }]
        : [],
    )
    return partitions.length > 0 ? [{ name, partitions }] : []
  })
  request.respond({ results: [{ logDir: '/data', topics }] })
}

export function describeAcls(request: Request): void {
  request.respond({
    errorCode: KafkaError.SecurityDisabled,
    errorMessage: 'permissions are kept by the broker for all protocols; see its users API',
  })
}
