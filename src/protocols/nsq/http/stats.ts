/** What /stats shows of topics, their channels and clients, in nsqd's fields. Counts are since the broker started. */
import type { ConnectionListing, ServerFacts, SubscriptionStatus, TopicStatus } from '../../../broker/face.ts'
import { serverVersion } from '../limits.ts'
import type { ClientStats } from '../session.ts'
import { channelStatuses, type Topics, unfinishedOf } from '../topics.ts'

export interface Wanted {
  /** '': all. */
  readonly topic: string
  readonly channel: string
  readonly clients: boolean
  readonly memory: boolean
  visible(topic: string): boolean
}

interface Client {
  readonly listing: ConnectionListing
  readonly own: ClientStats
}

/** Latencies of messages from end to end are not measured here, as nsqd does not unless it is told to. */
const noLatency = { count: 0, percentiles: null }
/** Delayed messages that are looked at. */
const scheduledMax = 10_000

export type ChannelView = ReturnType<typeof channelView>
export type ClientView = ReturnType<typeof clientView>
export interface TopicView {
  readonly topic_name: string
  readonly channels: readonly ChannelView[]
  readonly depth: number
  readonly backend_depth: number
  readonly message_count: number
  readonly message_bytes: number
  readonly paused: boolean
  readonly e2e_processing_latency: object
}
export interface Statistics {
  readonly version: string
  readonly health: string
  readonly start_time: number
  /** As in nsqd, null for a topic that is not there. */
  readonly topics: readonly TopicView[] | null
  readonly memory?: Readonly<Record<string, number>>
  readonly producers: readonly ClientView[] | null
}

export async function statistics(topics: Topics, server: ServerFacts, wanted: Wanted): Promise<Statistics> {
  const isThere = wanted.topic === '' || (topics.has(wanted.topic) && wanted.visible(wanted.topic))
  const names = wanted.topic === '' ? topics.names().filter(wanted.visible) : [wanted.topic]
  const clients = clientsOf(topics)
  const delayed = await delayedByTopic(topics)
  const views = names.flatMap((name) => topicView(topics, name, wanted, clients, delayed.get(name) ?? 0) ?? [])
  const producers = clients.filter(
    ({ own }) => own.published.size > 0 && (wanted.topic === '' || own.published.has(wanted.topic)),
  )
  return {
    version: serverVersion,
    health: 'OK',
    start_time: Math.floor(server.startedAt / 1000),
    topics: isThere ? views : null,
    ...(wanted.memory ? { memory: memory() } : {}),
    producers: isThere ? (wanted.clients ? producers.map((client) => clientView(client, wanted.topic)) : []) : null,
  }
}

function clientsOf(topics: Topics): Client[] {
  return topics.broker.connections().flatMap((listing) => {
    const own = listing.protocol === 'nsq' ? listing.describe?.() : undefined
    return own !== undefined && 'identity' in own ? [{ listing, own: own as ClientStats }] : [] // what our own sessions say
  })
}

async function delayedByTopic(topics: Topics): Promise<Map<string, number>> {
  const counts = new Map<string, number>()
  for (const { address } of await topics.space.scheduled(scheduledMax)) counts.set(address, (counts.get(address) ?? 0) + 1)
  return counts
}

function topicView(topics: Topics, name: string, wanted: Wanted, clients: Client[], delayed: number): TopicView | null {
  const status = topics.space.status(name)
  if (status === undefined) return null
  const channels = channelStatuses(status)
  const shown = wanted.channel === '' ? channels : channels.filter((channel) => channel.name === wanted.channel)
  if (wanted.channel !== '' && shown.length === 0) return null
  const waiting = channels.length > 0 ? withheld(topics, name, status) : unread(status)
  return {
    topic_name: name,
    channels: shown.map((channel) => channelView(topics, name, channel, wanted, clients, delayed)),
    depth: waiting + (channels.length > 0 ? 0 : delayed),
    backend_depth: waiting,
    message_count: status.recordsIn + delayed,
    message_bytes: topics.bytesIn(name),
    paused: topics.isPaused(name),
    e2e_processing_latency: noLatency,
  }
}

/** What its first channel will begin with. */
function unread(status: TopicStatus): number {
  const queue = status.subscriptions.find(({ kind, name }) => kind === 'queue' && name === '')
  return queue?.ready ?? status.partitions.reduce((sum, { records }) => sum + records, 0)
}

/** What no channel sees before the topic goes on. */
function withheld(topics: Topics, name: string, { partitions }: TopicStatus): number {
  const from = topics.space.topic(name)?.withheldFrom
  if (from === undefined || from === null) return 0
  return partitions.reduce(
    (sum, { startOffset, nextOffset }, at) => sum + Math.max(0, nextOffset - Math.max(startOffset, from[at] ?? 0)),
    0,
  )
}

function channelView(
  topics: Topics,
  topic: string,
  status: SubscriptionStatus,
  wanted: Wanted,
  clients: Client[],
  scheduled: number,
) {
  const unfinished = unfinishedOf(status)
  const channel = topics.channel(topic, status.name)
  const own = clients.filter(({ own }) => own.topic === topic && own.channel === status.name)
  return {
    channel_name: status.name,
    depth: status.ready,
    backend_depth: status.ready,
    in_flight_count: status.inFlight,
    deferred_count: Math.max(0, unfinished - status.ready - status.inFlight) + scheduled,
    message_count: unfinished + status.accepted + scheduled + (channel?.dropped ?? 0),
    requeue_count: channel?.requeued ?? 0,
    timeout_count: channel?.timedOut ?? 0,
    client_count: own.length,
    clients: wanted.clients ? own.map((client) => clientView(client, topic)) : [],
    paused: status.paused,
    e2e_processing_latency: noLatency,
  }
}

function clientView({ listing, own }: Client, topic: string) {
  const published = [...own.published].filter(([name]) => topic === '' || name === topic)
  return {
    client_id: own.identity.clientId,
    hostname: own.identity.hostname,
    version: 'V2',
    remote_address: listing.remote,
    state: own.state,
    ready_count: own.rdy,
    in_flight_count: own.inFlight,
    message_count: own.messages,
    finish_count: own.finished,
    requeue_count: own.requeued,
    connect_ts: Math.floor(listing.openedAt / 1000),
    sample_rate: own.identity.sampleRate,
    deflate: own.deflate,
    snappy: own.snappy,
    user_agent: own.identity.userAgent,
    ...(own.user === '' ? {} : { authed: true, auth_identity: own.user }),
    ...(published.length === 0 ? {} : { pub_counts: published.map(([name, count]) => ({ topic: name, count })) }),
    tls: listing.encrypted,
    tls_cipher_suite: '',
    tls_version: '',
    tls_negotiated_protocol: '',
    tls_negotiated_protocol_is_mutual: false,
  }
}

/** Of this process, under the names of Go's runtime; what Node does not tell is 0. */
function memory(): Record<string, number> {
  const { heapTotal, heapUsed } = process.memoryUsage()
  return {
    heap_objects: 0,
    heap_idle_bytes: heapTotal - heapUsed,
    heap_in_use_bytes: heapUsed,
    heap_released_bytes: 0,
    gc_pause_usec_100: 0,
    gc_pause_usec_99: 0,
    gc_pause_usec_95: 0,
    next_gc_bytes: 0,
    gc_total_runs: 0,
  }
}
