/** Where a dead record goes: the target's route, with its provenance written beside it. Never in a cycle in which nobody rejected it. */
import { CoreError } from '../core/errors.ts'
import type { Slot } from '../core/lane.ts'
import { type Annotations, type Death, formats } from '../core/record.ts'
import type { Topic } from '../core/topic.ts'
import { everyone } from './access.ts'
import { type Logger, PublishItem } from './face.ts'
import type { Namespace } from './namespace.ts'
import type { Publisher } from './publisher.ts'

/** A record and how it died. */
export interface Dead {
  readonly topic: Topic
  readonly slot: Slot
  readonly reason: Death['reason']
  readonly attempts: number
  readonly error: string | undefined
}

/** Copies a dead record to where its topic's dead letters go. False: they must be stored there, and this one is not, so it must stay. */
export function bury(dead: Dead, namespace: Namespace, publisher: Publisher, log: Logger): boolean {
  const { topic, slot, reason } = dead
  const target = topic.config.deadLetter
  if (target === null || target.reasons?.includes(reason) === false) return true
  const mayDrop = target.untilStored !== true
  const payload = slot.buffer.subarray(slot.start, slot.end)
  const origin = originOf(slot, topic)
  const annotations = annotate(dead, origin)
  annotations.exchange = target.exchange
  const { hiddenKeys = [] } = annotations
  if (target.routingKey !== null) {
    annotations.routingKey = target.routingKey
    delete annotations.hiddenKeys
  }
  const names = new Set<string>()
  for (const key of target.routingKey === null ? [...origin.routingKeys, ...hiddenKeys] : [target.routingKey]) {
    try {
      for (const name of namespace.router.route(target.exchange, key, { format: slot.format, payload })) names.add(name)
    } catch (cause) {
      if (!(cause instanceof CoreError)) throw cause
      if (mayDrop)
        log.warn(
          { topic: topic.name, exchange: target.exchange },
          'the dead-letter exchange does not exist; the record is dropped',
        )
    }
  }
  if (names.size === 0) return mayDrop
  const items: PublishItem[] = []
  for (const name of names) {
    if (goesInCircles(annotations, name)) {
      log.warn({ topic: topic.name, target: name }, 'a record would be dead-lettered in a circle; it is dropped')
      continue
    }
    const item = new PublishItem('', name, slot.format, payload)
    item.annotations = annotations
    item.timestamp = slot.timestamp
    if ((namespace.topics.get(name)?.config.priorityLevels ?? 1) > 1)
      item.priority = formats.get(slot.format).toAttributes(payload).priority ?? -1
    items.push(item)
  }
  // All or none, so that trying again makes no copies.
  const ahead = new Map<Topic, number>()
  if (!mayDrop && items.some((item) => publisher.refusal(namespace, everyone, item, ahead).error !== null)) return false
  for (const item of items) {
    publisher.append(namespace, everyone, item, true)
    if (item.errorCode !== null)
      log.warn(
        { topic: topic.name, target: item.address, error: item.errorMessage },
        'a dead-lettered record was refused by its target and is dropped',
      )
  }
  return true
}

interface Origin {
  readonly exchange: string
  readonly routingKeys: readonly string[]
}

/** What the record says of where it was published to. */
function originOf(slot: Slot, topic: Topic): Origin {
  const { annotations } = slot
  const format = formats.get(slot.format)
  const reached =
    slot.subject === null ? { exchange: '', routingKeys: [topic.name] } : { exchange: 'amq.topic', routingKeys: [slot.subject] }
  const own = format.origin?.(slot.buffer.subarray(slot.start, slot.end)) ?? reached
  if (annotations?.exchange === undefined) return own
  return {
    exchange: annotations.exchange,
    routingKeys: annotations.routingKey === undefined ? own.routingKeys : [annotations.routingKey],
  }
}

/** The annotations of the copy that goes to the dead-letter target. */
function annotate({ topic, slot, reason, attempts, error }: Dead, origin: Origin): Annotations {
  const before = slot.annotations ?? {}
  const envelope = slot.buffer.subarray(slot.start, slot.end)
  const deaths = [...(before.deaths ?? formats.get(slot.format).deaths?.(envelope) ?? [])]
  const at = deaths.findIndex((death) => death.topic === topic.name && death.reason === reason)
  const earlier = at < 0 ? undefined : deaths.splice(at, 1)[0]
  const expiration =
    before.expirationRemoved === true
      ? undefined
      : formats.get(slot.format).toAttributes(slot.buffer.subarray(slot.start, slot.end)).expirationMs
  const death: Death = {
    topic: topic.name,
    reason,
    count: (earlier?.count ?? 0) + 1,
    time: earlier?.time ?? topic.clock.now(),
    exchange: earlier?.exchange ?? origin.exchange,
    routingKeys: earlier?.routingKeys ?? origin.routingKeys,
    attempts,
    ...(error === undefined ? {} : { error }),
    ...(expiration === undefined ? {} : { originalExpirationMs: expiration }),
  }
  const latest = { topic: topic.name, reason, exchange: origin.exchange }
  return {
    ...before,
    deaths: [death, ...deaths],
    firstDeath: before.firstDeath ?? latest,
    lastDeath: latest,
    expirationRemoved: true,
  }
}

/** A record that came to `target` by a death there before, without any rejection since, would go round for ever. */
function goesInCircles(annotations: Annotations, target: string): boolean {
  const deaths = annotations.deaths ?? []
  const at = deaths.findIndex((death) => death.topic === target)
  return at >= 0 && deaths.slice(0, at + 1).every((death) => death.reason !== 'rejected')
}
