/** v3: consumer groups of Kafka's clients, their members, and how far behind they are. */
import { ApiKey } from '../../kafka/codec.ts'
import { readAssignment } from '../../kafka/group-consumer-protocol.ts'
import type { Message } from '../../kafka/schema.ts'
import { nodeId } from '../../kafka/session.ts'
import { partitionNotFound, RestError } from '../errors.ts'
import { check, type KafkaConversation, withKafka } from '../kafka-client.ts'
import type { Call, Route } from '../route.ts'
import { base, clusterPath, list, own, related, thing } from '../v3.ts'

interface Member {
  readonly id: string
  readonly instanceId: string | null
  readonly clientId: string
  readonly partitions: readonly { readonly topic: string; readonly partition: number }[]
}

interface Group {
  readonly name: string
  readonly state: string
  readonly assignor: string
  /** It commits offsets without being a group whose members are known. */
  readonly isSimple: boolean
  readonly members: readonly Member[]
}

interface Lag {
  readonly topic: string
  readonly partition: number
  readonly current: number
  readonly end: number
  readonly member: Member | undefined
}

const groupPath = `${clusterPath}/consumer-groups/:group`

export const groupRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: `${clusterPath}/consumer-groups`,
    handle: (call) => {
      own(call)
      return withKafka(call, async (kafka) => {
        const { groups } = await kafka.ask(ApiKey.ListGroups, 5, { statesFilter: [], typesFilter: ['classic', 'consumer'] })
        const all: object[] = []
        for (const { groupId } of groups) all.push(shown(call, await groupNamed(kafka, groupId)))
        return list(call, 'KafkaConsumerGroupList', `${base(call)}/consumer-groups`, all)
      })
    },
  },
  { method: 'GET', path: groupPath, handle: (call) => of(call, async (_, group) => shown(call, group)) },
  {
    method: 'GET',
    path: `${groupPath}/consumers`,
    handle: (call) =>
      of(call, async (_, group) => {
        const members = group.members.map((member) => consumer(call, group, member))
        return list(call, 'KafkaConsumerList', `${base(call)}/${pathOf(group)}/consumers`, members)
      }),
  },
  {
    method: 'GET',
    path: `${groupPath}/consumers/:consumer`,
    handle: (call) => of(call, async (_, group) => consumer(call, group, memberNamed(call, group))),
  },
  {
    method: 'GET',
    path: `${groupPath}/consumers/:consumer/assignments`,
    handle: (call) =>
      of(call, async (_, group) => {
        const member = memberNamed(call, group)
        const path = `${pathOf(group)}/consumers/${encodeURIComponent(member.id)}/assignments`
        const assignments = member.partitions.map(({ topic, partition }) =>
          thing(
            call,
            'KafkaConsumerAssignment',
            `${path}/${encodeURIComponent(topic)}/partitions/${partition}`,
            resourceOf(group),
            {
              consumer_group_id: group.name,
              consumer_id: member.id,
              topic_name: topic,
              partition_id: partition,
            },
          ),
        )
        return list(call, 'KafkaConsumerAssignmentList', `${base(call)}/${path}`, assignments)
      }),
  },
  {
    method: 'GET',
    path: `${groupPath}/lag-summary`,
    handle: (call) => of(call, async (kafka, group) => summary(call, group, await lagsOf(kafka, group))),
  },
  {
    method: 'GET',
    path: `${groupPath}/lags`,
    handle: (call) =>
      of(call, async (kafka, group) => {
        const lags = (await lagsOf(kafka, group)).map((each) => lag(call, group, each))
        return list(call, 'KafkaConsumerLagList', `${base(call)}/${pathOf(group)}/lags`, lags)
      }),
  },
  {
    method: 'GET',
    path: `${groupPath}/lags/:topic/partitions/:partition`,
    handle: (call) =>
      of(call, async (kafka, group) => {
        const found = (await lagsOf(kafka, group)).find(
          ({ topic, partition }) => topic === call.parameter('topic') && String(partition) === call.parameter('partition'),
        )
        if (found === undefined) throw partitionNotFound()
        return lag(call, group, found)
      }),
  },
]

function of(call: Call, use: (kafka: KafkaConversation, group: Group) => Promise<object>): Promise<object> {
  own(call)
  return withKafka(call, async (kafka) => use(kafka, await groupNamed(kafka, call.parameter('group'))))
}

/** Throws where it is unknown, or may not be described. */
async function groupNamed(kafka: KafkaConversation, name: string): Promise<Group> {
  const [newer] = (await kafka.ask(ApiKey.ConsumerGroupDescribe, 1, { groupIds: [name] }))['groups']
  if (newer.errorCode === 0) {
    const members = (newer.members as Message[]).map((member) => ({
      id: member['memberId'],
      instanceId: member['instanceId'],
      clientId: member['clientId'],
      partitions: flat(member['assignment'].topicPartitions, 'topicName'),
    }))
    return { name, state: newer.groupState, assignor: newer.assignorName, isSimple: false, members }
  }
  const [classic] = (await kafka.ask(ApiKey.DescribeGroups, 6, { groups: [name] }))['groups']
  check(classic)
  const members = (classic.members as Message[]).map((member) => ({
    id: member['memberId'],
    instanceId: member['groupInstanceId'],
    clientId: member['clientId'],
    partitions: flat((readAssignment(member['memberAssignment']) ?? []) as readonly Message[], 'topic'),
  }))
  const isSimple = classic.protocolType === ''
  return { name, state: classic.groupState, assignor: classic.protocolData, isSimple, members }
}

const flat = (topics: readonly Message[], name: string): { topic: string; partition: number }[] =>
  topics.flatMap((each) => (each['partitions'] as number[]).map((partition) => ({ topic: each[name] as string, partition })))

function memberNamed(call: Call, group: Group): Member {
  const found = group.members.find(({ id }) => id === call.parameter('consumer'))
  if (found === undefined) throw new RestError(404, 'Consumer not found.')
  return found
}

/** Of what the group has committed offsets for. */
async function lagsOf(kafka: KafkaConversation, group: Group): Promise<Lag[]> {
  const asked = { groups: [{ groupId: group.name, topics: null }], requireStable: false }
  const [fetched] = (await kafka.ask(ApiKey.OffsetFetch, 8, asked))['groups']
  check(fetched)
  const committed: readonly Message[] = fetched.topics
  const topics = committed.map(({ name, partitions }) => ({
    name,
    partitions: (partitions as Message[]).map(({ partitionIndex }) => ({
      partitionIndex,
      currentLeaderEpoch: -1,
      timestamp: -1,
    })),
  }))
  const ends = new Map<string, number>()
  const listed = await kafka.ask(ApiKey.ListOffsets, 7, { replicaId: -1, isolationLevel: 0, topics })
  for (const { name, partitions } of listed['topics'] as Message[])
    for (const { partitionIndex, errorCode, offset } of partitions as Message[])
      if (errorCode === 0) ends.set(`${name}/${partitionIndex}`, offset)
  const owners = new Map(
    group.members.flatMap((member) => member.partitions.map(({ topic, partition }) => [`${topic}/${partition}`, member])),
  )
  return committed.flatMap(({ name, partitions }) =>
    (partitions as Message[]).flatMap(({ partitionIndex, committedOffset }): Lag[] => {
      const place = `${name}/${partitionIndex}`
      const end = ends.get(place)
      // Of a topic that the caller may not describe nothing is told.
      if (end === undefined) return []
      return [
        { topic: name, partition: partitionIndex, current: Number(committedOffset), end: Number(end), member: owners.get(place) },
      ]
    }),
  )
}

const behind = ({ current, end }: Lag): number => Math.max(0, end - current)
const pathOf = ({ name }: Group): string => `consumer-groups/${encodeURIComponent(name)}`
const resourceOf = ({ name }: Group): string => `consumer-group=${name}`

function shown(call: Call, group: Group): object {
  return thing(call, 'KafkaConsumerGroup', pathOf(group), resourceOf(group), {
    consumer_group_id: group.name,
    is_simple: group.isSimple,
    partition_assignor: group.assignor,
    // As "PREPARING_REBALANCE".
    state: group.state.replaceAll(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase(),
    coordinator: related(call, `brokers/${nodeId}`),
    consumers: related(call, `${pathOf(group)}/consumers`),
    lag_summary: related(call, `${pathOf(group)}/lag-summary`),
  })
}

function consumer(call: Call, group: Group, { id, instanceId, clientId }: Member): object {
  const path = `${pathOf(group)}/consumers/${encodeURIComponent(id)}`
  return thing(call, 'KafkaConsumer', path, `${resourceOf(group)}/consumer=${id}`, {
    consumer_group_id: group.name,
    consumer_id: id,
    instance_id: instanceId,
    client_id: clientId,
    assignments: related(call, `${path}/assignments`),
  })
}

function lag(call: Call, group: Group, each: Lag): object {
  const { topic, partition, current, end, member } = each
  const path = `${pathOf(group)}/lags/${encodeURIComponent(topic)}/partitions/${partition}`
  return thing(call, 'KafkaConsumerLag', path, `${resourceOf(group)}/lag=${topic}/partition=${partition}`, {
    consumer_group_id: group.name,
    topic_name: topic,
    partition_id: partition,
    current_offset: current,
    log_end_offset: end,
    lag: behind(each),
    consumer_id: member?.id ?? '',
    instance_id: member?.instanceId ?? null,
    client_id: member?.clientId ?? '',
  })
}

function summary(call: Call, group: Group, lags: readonly Lag[]): object {
  const first = lags[0]
  if (first === undefined) throw new RestError(404, 'Consumer group has no committed offsets.')
  const worst = lags.reduce((most, each) => (behind(each) > behind(most) ? each : most), first)
  const topicPath = `topics/${encodeURIComponent(worst.topic)}/partitions/${worst.partition}`
  return thing(call, 'KafkaConsumerGroupLagSummary', `${pathOf(group)}/lag-summary`, `${resourceOf(group)}/lag-summary`, {
    consumer_group_id: group.name,
    max_lag_consumer_id: worst.member?.id ?? '',
    max_lag_instance_id: worst.member?.instanceId ?? null,
    max_lag_client_id: worst.member?.clientId ?? '',
    max_lag_topic_name: worst.topic,
    max_lag_partition_id: worst.partition,
    max_lag: behind(worst),
    total_lag: lags.reduce((sum, each) => sum + behind(each), 0),
    max_lag_consumer: related(call, `${pathOf(group)}/consumers/${encodeURIComponent(worst.member?.id ?? '')}`),
    max_lag_partition: related(call, topicPath),
  })
}
