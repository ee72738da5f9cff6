/** SUBSCRIBE and UNSUBSCRIBE: what each filter becomes, and the retained messages that a new one is owed. */
import { CoreError, PublishItem, type Space } from '../../broker/face.ts'
import { type Clients, tolerate } from './clients.ts'
import { type Qos, type RequestedSubscription, type SubscribePacket, Version } from './codec.ts'
import { MqttError, Reason, reasonOf } from './errors.ts'
import { decodeEnvelope, formatId, fromStore } from './mapping.ts'
import { type Filter, matches, parseFilter, swap } from './names.ts'
import type { Outbox } from './outbox.ts'
import { type Retained, retainedFor } from './retained.ts'
import { joinShare, type SessionState, type Subscription, shareHasMembers, shareTopic } from './state.ts'

const filtersMax = 1000
const filterLevelsMax = 128
/** Retained messages that are stored together for who subscribes with a QoS above 0. */
const retainedAtOnce = 256

export interface Subscriber {
  readonly clients: Clients
  readonly space: Space
  readonly version: Version
  readonly state: SessionState
  readonly outbox: Outbox
  /** Resolves when the client reads what it is sent. */
  writable(): Promise<void>
}

/** Resolves to the codes of SUBACK and to what is still to be done when that is sent. */
export async function subscribe(
  subscriber: Subscriber,
  packet: SubscribePacket,
): Promise<{ codes: number[]; after: () => Promise<void> }> {
  const { state, outbox, version } = subscriber
  const codes: number[] = []
  const owed: Subscription[] = []
  for (const requested of packet.filters) {
    try {
      const filter = checked(subscriber, requested)
      const isNew = !state.subscriptions.has(filter.text)
      const subscription = await add(subscriber, requested, filter, packet.subscriptionId)
      codes.push(subscription.qos)
      const sends = requested.retainHandling === 0 || (requested.retainHandling === 1 && isNew)
      if (filter.group === null && sends) owed.push(subscription)
    } catch (cause) {
      if (cause instanceof MqttError && (cause.reason === Reason.ProtocolError || cause.reason === Reason.MalformedPacket))
        throw cause
      codes.push(version === Version.V5 ? reasonOf(cause) : Reason.Unspecified)
    }
  }
  await state.save()
  // Not before: what is published meanwhile would be lost where QoS 0 is replaced by a higher one [3.8.4-4].
  for (const { filter, qos } of state.subscriptions.values()) if (qos > 0) outbox.unlisten(filter.text)
  if (state.stored) outbox.consume(state.topic, null)
  const after = async (): Promise<void> => {
    for (const subscription of owed) await sendRetained(subscriber, subscription)
  }
  return { codes, after }
}

/** 4.7: what is no filter is a malformed packet, which ends the connection. */
function wellFormed(text: string): Filter {
  const filter = parseFilter(text)
  if (filter === undefined) throw new MqttError(Reason.MalformedPacket, `"${text.slice(0, 100)}" is no topic filter`)
  return filter
}

function checked({ state, space }: Subscriber, requested: RequestedSubscription): Filter {
  const filter = wellFormed(requested.filter)
  if (filter.filter.split('/').length > filterLevelsMax)
    throw new MqttError(Reason.TopicFilterInvalid, `a topic filter of more than ${filterLevelsMax} levels`)
  if (filter.group !== null && requested.noLocal) throw new MqttError(Reason.ProtocolError, 'No Local with a shared subscription')
  if (!state.subscriptions.has(filter.text) && state.subscriptions.size >= filtersMax)
    throw new MqttError(Reason.QuotaExceeded, `more than ${filtersMax} subscriptions`)
  if (!space.principal.may('consume', space.namespace, filter.pattern))
    throw new CoreError('AccessDenied', `"${requested.filter}" may not be read`)
  return filter
}

async function add(
  { clients, space, state, outbox }: Subscriber,
  requested: RequestedSubscription,
  filter: Filter,
  id: number,
): Promise<Subscription> {
  // Members of a group take over from each other, so what one has half received another would get again: not exactly once.
  const qos = (filter.group === null ? requested.qos : Math.min(requested.qos, 1)) as Qos
  const { noLocal, retainAsPublished } = requested
  const subscription: Subscription = { filter, qos, noLocal, retainAsPublished, id }
  if (qos === 0) {
    outbox.listen(subscription)
    if (filter.group !== null) outbox.leave(shareTopic(filter))
  } else {
    if (filter.group !== null)
      outbox.consume(await joinShare(clients.space(space.namespace), filter, state.expirySeconds), subscription)
  }
  state.subscriptions.set(filter.text, subscription)
  return subscription
}

export async function unsubscribe(subscriber: Subscriber, filters: readonly string[]): Promise<number[]> {
  const { state, outbox, clients, space } = subscriber
  const codes: number[] = []
  const own = clients.space(space.namespace)
  for (const text of filters) {
    wellFormed(text)
    const subscription = state.subscriptions.get(text)
    codes.push(subscription === undefined ? Reason.NoSubscriptionExisted : Reason.Success)
    if (subscription === undefined) continue
    state.subscriptions.delete(text)
    outbox.unlisten(text)
  }
  await state.save()
  for (const text of filters) {
    const filter = parseFilter(text)
    if (filter === undefined || filter.group === null) continue
    outbox.leave(shareTopic(filter))
    const gone = own.topic(shareTopic(filter)) !== undefined && !shareHasMembers(own, filter)
    if (gone) await tolerate(own.deleteTopic(shareTopic(filter)), 'NotFound')
  }
  return codes
}

/** A session goes on: what it had subscribed to reaches it again. */
export async function resubscribe({ clients, space, state, outbox }: Subscriber): Promise<void> {
  for (const subscription of state.subscriptions.values()) {
    const { filter, qos } = subscription
    if (!space.principal.may('consume', space.namespace, filter.pattern)) continue
    if (qos === 0) outbox.listen(subscription)
    else if (filter.group !== null)
      outbox.consume(await joinShare(clients.space(space.namespace), filter, state.expirySeconds), subscription)
  }
  if (state.stored) outbox.consume(state.topic, null)
}

async function sendRetained(subscriber: Subscriber, subscription: Subscription): Promise<void> {
  const { clients, space, state, outbox } = subscriber
  const { broker } = clients
  // Filters that begin with a wildcard do not match them (4.7.2).
  if (subscription.filter.filter.startsWith('$SYS'))
    for (const [topic, text] of clients.figures.now())
      if (matches(subscription.filter.filter, topic)) outbox.sendFigure(topic, text, true)
  const own = clients.space(space.namespace)
  const queued: PublishItem[] = []
  for await (const found of retainedFor(own, subscription.filter, () => broker.clock.now())) {
    if (!space.principal.may('consume', space.namespace, found.address)) continue
    if (state.subscriptions.get(subscription.filter.text) !== subscription) return
    await subscriber.writable()
    const qos = Math.min(subscription.qos, decodeEnvelope(found.envelope).qos)
    if (qos === 0) outbox.sendRetained(subscription, swap(found.address), found.envelope, found.timestamp)
    else queued.push(queueItem(state.topic, found))
    if (queued.length === retainedAtOnce) await store(own, queued.splice(0))
  }
  await store(own, queued)
}

/** Through the session's topic, so that it is acknowledged, and comes again, like any other. */
function queueItem(topic: string, { address, envelope, timestamp, ttlMs }: Retained): PublishItem {
  const item = new PublishItem(null, address, formatId, fromStore(envelope))
  item.into = topic
  item.timestamp = timestamp
  item.ttlMs = ttlMs
  return item
}

async function store(space: Space, items: PublishItem[]): Promise<void> {
  if (items.length > 0) await new Promise<void>((resolve) => space.publish(items, resolve))
}
