// What administrators ask of the nodes of a cluster: DescribeCluster, DescribeLogDirs, DescribeQuorum, and the requests that move partitions
// about. One node leads everything from one directory, so most of these have one answer.
import type { Action } from '../../../broker/face.ts'
import { KafkaError } from '../errors.ts'
import { clusterOperations, mayCluster } from '../operations.ts'
import type { Request } from '../request.ts'
import type { Message } from '../schema.ts'
import { type KafkaSession, nodeId } from '../session.ts'

/** The one log directory, by the name clients know it. */
const logDir = '/data'
const EndpointType = { Broker: 1, Controller: 2 } as const

export function describeCluster(request: Request): void {
  const { session } = request
  const { endpointType, includeClusterAuthorizedOperations } = request.body()
  const { clusterId } = session.broker
  // KIP-919: who asks a broker for the endpoints of the controllers is told to ask the controllers; there are none to be reached.
  if (endpointType !== EndpointType.Broker) {
    const mismatched = endpointType === EndpointType.Controller
    return request.respond({
      errorCode: mismatched ? KafkaError.MismatchedEndpointType : KafkaError.UnsupportedEndpointType,
      errorMessage: mismatched ? 'this is the endpoint of a broker' : `Unsupported endpoint type ${endpointType}`,
      endpointType: EndpointType.Broker,
      clusterId: mismatched ? '' : clusterId,
      brokers: [],
    })
  }
  request.respond({
    errorMessage: null,
    endpointType,
    clusterId,
    controllerId: nodeId,
    brokers: [{ brokerId: nodeId, host: session.host, port: session.port }],
    clusterAuthorizedOperations: clusterOperations(session, includeClusterAuthorizedOperations),
  })
}

/** The fields of an answer that refuses because of rights in the cluster, or null. */
function refusal(session: KafkaSession, action: Action): { errorCode: number; errorMessage: string } | null {
  if (mayCluster(session, action)) return null
  return {
    errorCode: KafkaError.ClusterAuthorizationFailed,
    errorMessage: `${session.principal.user} may not ${action} the cluster`,
  }
}

export function describeLogDirs(request: Request): void {
  const { session } = request
  const { space } = session
  const refused = refusal(session, 'describe')
  if (refused !== null) return request.respond({ ...refused, results: [] })
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
  request.respond({ results: [{ logDir, topics }] })
}

/** The error of a partition that is asked about by name, 0 when it is there. */
function partitionError(session: KafkaSession, topic: string, partition: number): number {
  const partitions = session.space.topic(topic)?.config.partitions ?? 0
  return partition >= 0 && partition < partitions ? KafkaError.None : KafkaError.UnknownTopicOrPartition
}

export function alterReplicaLogDirs(request: Request): void {
  const { session } = request
  const refused = refusal(session, 'alter')
  const results = (request.body()['dirs'] as Message[]).flatMap((dir) =>
    (dir['topics'] as Message[]).map((topic) => ({
      topicName: topic['name'],
      partitions: (topic['partitions'] as number[]).map((partitionIndex) => ({
        partitionIndex,
        errorCode:
          refused?.errorCode ??
          (dir['path'] === logDir ? partitionError(session, topic['name'], partitionIndex) : KafkaError.LogDirNotFound),
      })),
    })),
  )
  request.respond({ results })
}

/** KIP-595's quorum of controllers: this node alone, which is caught up with itself. */
export function describeQuorum(request: Request): void {
  const { session, version } = request
  const { broker } = session
  const refused = refusal(session, 'describe')
  if (refused !== null) return request.respond({ ...refused, topics: [], nodes: [] })
  let served = false
  const topics = (request.body()['topics'] as Message[]).map(({ topicName, partitions }) => ({
    topicName,
    partitions: (partitions as Message[]).map(({ partitionIndex }) => {
      if (topicName !== '__cluster_metadata' || partitionIndex !== 0) {
        const errorMessage = 'This server does not host this topic-partition.'
        return { partitionIndex, errorCode: KafkaError.UnknownTopicOrPartition, errorMessage, currentVoters: [], observers: [] }
      }
      served = true
      const now = broker.clock.now()
      // Metadata has a log of its own only inside the broker; how long it is would say nothing to a client.
      const voter = {
        replicaId: nodeId,
        replicaDirectoryId: '0'.repeat(32),
        logEndOffset: 1,
        lastFetchTimestamp: now,
        lastCaughtUpTimestamp: now,
      }
      return {
        partitionIndex,
        errorMessage: '',
        leaderId: nodeId,
        leaderEpoch: 1,
        highWatermark: 1,
        currentVoters: [voter],
        observers: [],
      }
    }),
  }))
  const listeners = [{ name: 'CONTROLLER', host: session.host, port: session.port }]
  request.respond({ errorMessage: '', topics, nodes: version >= 2 && served ? [{ nodeId, listeners }] : [] })
}

const ElectionType = { Preferred: 0, Unclean: 1 } as const

export function electLeaders(request: Request): void {
  const { session, version } = request
  const refused = refusal(session, 'alter')
  if (refused !== null) return request.respond({ ...refused, replicaElectionResults: [] })
  const { electionType = ElectionType.Preferred, topicPartitions } = request.body()
  const known = version === 0 || electionType === ElectionType.Preferred || electionType === ElectionType.Unclean
  const asked: Message[] | null = topicPartitions
  // "All" is answered by those that changed, which are none.
  const all = (): object[] => session.space.topics().map(({ name }) => ({ topic: name, partitionResult: [] }))
  const resultOf = (topic: string, partitionId: number): object => {
    if (!known)
      return { partitionId, errorCode: KafkaError.InvalidRequest, errorMessage: `Unknown election type ${electionType}` }
    const missing = partitionError(session, topic, partitionId)
    return missing === KafkaError.None
      ? { partitionId, errorCode: KafkaError.ElectionNotNeeded, errorMessage: 'Leader election not needed for topic partition.' }
      : { partitionId, errorCode: missing, errorMessage: `no partition ${partitionId} of topic ${topic}` }
  }
  const replicaElectionResults =
    asked === null
      ? all()
      : asked.map(({ topic, partitions }) => ({
          topic,
          partitionResult: (partitions as number[]).map((partition) => resultOf(topic, partition)),
        }))
  request.respond({ errorCode: known ? KafkaError.None : KafkaError.InvalidRequest, replicaElectionResults })
}

export function alterPartitionReassignments(request: Request): void {
  const { session } = request
  const { topics, allowReplicationFactorChange } = request.body()
  const refused = refusal(session, 'alter')
  if (refused !== null) return request.respond({ allowReplicationFactorChange, ...refused, responses: [] })
  const responses = (topics as Message[]).map(({ name, partitions }) => ({
    name,
    partitions: (partitions as Message[]).map(({ partitionIndex, replicas }) => {
      const missing = partitionError(session, name, partitionIndex)
      if (missing !== KafkaError.None) return { partitionIndex, errorCode: missing, errorMessage: `no such partition of ${name}` }
      if (replicas === null) return { partitionIndex, errorCode: KafkaError.NoReassignmentInProgress, errorMessage: null }
      const here = replicas.length === 1 && replicas[0] === nodeId
      if (here) return { partitionIndex, errorMessage: null }
      const errorMessage = `there is one broker, ${nodeId}, so partitions cannot be on ${replicas.join(', ') || 'none'}`
      return { partitionIndex, errorCode: KafkaError.InvalidReplicaAssignment, errorMessage }
    }),
  }))
  request.respond({ allowReplicationFactorChange, errorMessage: null, responses })
}

/** None is ever under way. */
export function listPartitionReassignments(request: Request): void {
  request.respond({ errorMessage: null, ...refusal(request.session, 'describe'), topics: [] })
}

/** Delegation tokens need a secret in the broker's configuration, which this one does not have: said as a Kafka without one says it. */
function tokenError(session: KafkaSession): number {
  const loggedIn = session.connection.encrypted || session.connection.info.user !== ''
  return loggedIn ? KafkaError.DelegationTokenAuthDisabled : KafkaError.DelegationTokenRequestNotAllowed
}

export function createDelegationToken(request: Request): void {
  const errorCode = tokenError(request.session)
  const { user } = request.session.principal
  const who = {
    principalType: 'User',
    principalName: user,
    tokenRequesterPrincipalType: 'User',
    tokenRequesterPrincipalName: user,
  }
  const never = { issueTimestampMs: -1, expiryTimestampMs: -1, maxTimestampMs: -1 }
  request.respond({ errorCode, ...who, ...never, tokenId: '', hmac: Buffer.alloc(0) })
}

export function refuseDelegationToken(request: Request): void {
  request.respond({ errorCode: tokenError(request.session), expiryTimestampMs: -1, tokens: [] })
}
