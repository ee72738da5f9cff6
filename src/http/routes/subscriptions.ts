/** Subscriptions: who reads a topic, how far they are, and moving or deleting them. A topic's default subscription is named `~` in paths. */
import { CoreError, type Space, type StartAt, type SubscriptionStatus } from '../../broker/face.ts'
import { invalid } from '../errors.ts'
import { flag, object, onlyKeys, optionalNumber } from '../input.ts'
import type { Route } from '../route.ts'
import { knownTopic } from './topics.ts'

const startSchema = {
  oneOf: [
    { type: 'string', enum: ['oldest', 'newest'] },
    { type: 'object', required: ['offset'], properties: { offset: { type: 'integer' } } },
    { type: 'object', required: ['time'], properties: { time: { type: 'integer', description: 'ms since the epoch' } } },
  ],
}

export const subscriptionRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/subscriptions',
    tag: 'subscriptions',
    summary: 'List all subscriptions with lag and deliveries in flight',
    handle: ({ space }) => ({
      subscriptions: space
        .topics()
        .flatMap((topic) => (space.status(topic.name)?.subscriptions ?? []).map((each) => subscriptionToJson(topic.name, each))),
    }),
  },
  {
    method: 'GET',
    path: '/v1/topics/{topic}/subscriptions',
    tag: 'subscriptions',
    summary: "List a topic's subscriptions",
    handle: ({ space, parameter }) => {
      const { name } = knownTopic(space, parameter('topic'))
      return { subscriptions: (space.status(name)?.subscriptions ?? []).map((each) => subscriptionToJson(name, each)) }
    },
  },
  {
    method: 'POST',
    path: '/v1/topics/{topic}/subscriptions/{subscription}/seek',
    tag: 'subscriptions',
    summary: 'Move a subscription to the oldest or newest record, an offset, or a time',
    body: {
      type: 'object',
      required: ['to'],
      properties: { to: startSchema, partition: { type: 'integer', description: 'all, when absent' } },
    },
    handle: async ({ space, parameter, body }) => {
      onlyKeys(body, ['to', 'partition'])
      const { name } = knownTopic(space, parameter('topic'))
      const subscription = knownSubscription(space, name, parameter('subscription'))
      const to = startAt(body['to'])
      const partition = optionalNumber(body, 'partition', 0)
      if (subscription.kind === 'cursor') await moveCursors(space, name, subscription.name, to, partition)
      else if (partition !== undefined) throw invalid('a queue subscription is moved as a whole; leave out partition')
      else await space.seek(name, subscription.name, to)
      return subscriptionToJson(name, knownSubscription(space, name, parameter('subscription')))
    },
  },
  {
    method: 'POST',
    path: '/v1/topics/{topic}/subscriptions/{subscription}/purge',
    tag: 'subscriptions',
    summary: 'Drop all ready records of a subscription',
    handle: async ({ space, parameter }) => {
      const { name } = knownTopic(space, parameter('topic'))
      const subscription = knownSubscription(space, name, parameter('subscription'))
      if (subscription.kind === 'cursor') throw invalid('a cursor has no records of its own; seek it to newest')
      return { purged: await space.purge(name, subscription.name) }
    },
  },
  {
    method: 'PATCH',
    path: '/v1/topics/{topic}/subscriptions/{subscription}',
    tag: 'subscriptions',
    summary: 'Pause or resume a subscription',
    body: { type: 'object', required: ['paused'], properties: { paused: { type: 'boolean' } } },
    handle: async ({ space, parameter, body }) => {
      onlyKeys(body, ['paused'])
      const paused = flag(body, 'paused')
      const { name } = knownTopic(space, parameter('topic'))
      const subscription = knownSubscription(space, name, parameter('subscription'))
      if (subscription.kind === 'cursor') throw invalid('a cursor is read by its own clients; it cannot be paused')
      await space.pauseSubscription(name, subscription.name, paused)
      return subscriptionToJson(name, knownSubscription(space, name, parameter('subscription')))
    },
  },
  {
    method: 'DELETE',
    path: '/v1/topics/{topic}/subscriptions/{subscription}',
    tag: 'subscriptions',
    summary: 'Delete a subscription',
    status: 204,
    handle: async ({ space, parameter }) => {
      const { name } = knownTopic(space, parameter('topic'))
      const subscription = knownSubscription(space, name, parameter('subscription'))
      if (subscription.kind === 'cursor') await space.deleteCursors(subscription.name, name)
      else await space.deleteSubscription(name, subscription.name)
    },
  },
]

function subscriptionToJson(topic: string, status: SubscriptionStatus): object {
  return { topic, ...status, lag: status.cursors.reduce((sum, cursor) => sum + cursor.lag, 0) }
}

function knownSubscription(space: Space, topic: string, written: string): SubscriptionStatus {
  const name = written === '~' ? '' : written
  const found = space.status(topic)?.subscriptions.find((each) => each.name === name)
  if (found === undefined) throw new CoreError('NotFound', `topic "${topic}" has no subscription "${written}"`)
  return found
}

function startAt(value: unknown): StartAt {
  if (value === 'oldest' || value === 'newest') return value
  const fields = object(value, 'to, if not "oldest" or "newest",')
  onlyKeys(fields, ['offset', 'time'], 'to')
  const offset = optionalNumber(fields, 'offset', 0)
  const time = optionalNumber(fields, 'time', 0)
  if (offset !== undefined && time === undefined) return { offset }
  if (time !== undefined && offset === undefined) return { time }
  throw invalid('to must be "oldest", "newest", {"offset": n} or {"time": ms}')
}

async function moveCursors(space: Space, topic: string, group: string, to: StartAt, only: number | undefined): Promise<void> {
  const partitions = space.status(topic)?.partitions ?? []
  const wanted = only === undefined ? partitions.map((_, index) => index) : [only]
  const positions = await Promise.all(
    wanted.map(async (partition) => {
      const place = partitions[partition]
      if (place === undefined) throw new CoreError('OutOfRange', `topic "${topic}" has no partition ${partition}`)
      const offset = await offsetOf(space, topic, partition, place, to)
      return { topic, partition, offset, metadata: '', leaderEpoch: -1 }
    }),
  )
  await new Promise<void>((resolve, reject) => {
    space.commitCursors(group, positions, (error) => (error === null ? resolve() : reject(error)))
  })
}

/** Within what the partition holds. */
export async function offsetOf(
  space: Space,
  topic: string,
  partition: number,
  place: { startOffset: number; nextOffset: number },
  at: StartAt,
): Promise<number> {
  if (at === 'oldest') return place.startOffset
  if (at === 'newest' || at === 'withheld') return place.nextOffset
  if ('offset' in at) return Math.min(Math.max(at.offset, place.startOffset), place.nextOffset)
  if ('records' in at) return at.records[0] ?? place.nextOffset
  return (await space.offsetForTime(topic, partition, at.time))?.offset ?? place.nextOffset
}
