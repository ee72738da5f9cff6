/** Where a dead record goes: the target's route, with its provenance written beside it. Never in a cycle in which nobody rejected it. */
import type { Slot } from '../core/lane.ts'
import { type Annotations, type Death, formats } from '../core/record.ts'
import type { Topic } from '../core/topic.ts'

export interface Origin {
  readonly exchange: string
  readonly routingKeys: readonly string[]
}

/** What the record says of where it was published to. */
export function originOf(slot: Slot, topic: Topic): Origin {
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
export function annotate(
  topic: Topic,
  slot: Slot,
  origin: Origin,
  reason: Death['reason'],
  attempts: number,
  error: string | undefined,
): Annotations {
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
export function goesInCircles(annotations: Annotations, target: string): boolean {
  const deaths = annotations.deaths ?? []
  const at = deaths.findIndex((death) => death.topic === target)
  return at >= 0 && deaths.slice(0, at + 1).every((death) => death.reason !== 'rejected')
}
