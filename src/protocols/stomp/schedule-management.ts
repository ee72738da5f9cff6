/** ActiveMQ's topic for looking at what is scheduled, and for taking it off. */
import { PublishItem, PublishStatus, type ScheduledRecord } from '../../broker/face.ts'
import type { Frame, Headers } from './codec.ts'
import { type Destination, parseDestination, routeOf } from './destinations.ts'
import { StompError } from './errors.ts'
import { required, whole } from './headers.ts'
import { decodeEnvelope, encodeEnvelope, formatId } from './mapping.ts'
import { jobId } from './schedule.ts'
import type { Session } from './session.ts'
import { resolved } from './temporary.ts'

const name = 'activemq.scheduler.management'
/** As many of the broker's scheduled records are looked at, the next due first. */
const lookedAtMax = 10_000

export function isManagement(destination: Destination): boolean {
  return (destination.kind === 'topic' || destination.kind === 'queue') && destination.name.toLowerCase() === name
}

/** Each action is done when its receipt comes; in no transaction, as with ActiveMQ. */
export async function manage(session: Session, frame: Frame): Promise<void> {
  const { headers } = frame
  if (headers.has('transaction')) throw new StompError('not_implemented', 'what is scheduled is not managed in transactions')
  // What this connection sent before counts.
  await session.published()
  const action = required(headers, 'AMQ_SCHEDULER_ACTION')
  if (action === 'REMOVE') {
    required(headers, jobId)
    await session.space.cancelScheduled(whole(headers, jobId) ?? 0)
  } else if (action === 'REMOVEALL') await removeAll(session, headers)
  else if (action === 'BROWSE') await browse(session, headers)
  else throw new StompError('precondition_failed', `AMQ_SCHEDULER_ACTION '${action}' is none of REMOVE, REMOVEALL, BROWSE`)
  session.receipt(frame)
}

async function removeAll(session: Session, headers: Headers): Promise<void> {
  const { space } = session
  for (let found = await jobs(session, headers); found.length > 0; found = await jobs(session, headers)) {
    const gone = await Promise.all(found.map(({ id }) => space.cancelScheduled(id)))
    if (!gone.includes(true)) return
  }
}

/** Each job as a message, with the id it is taken off by. */
async function browse(session: Session, headers: Headers): Promise<void> {
  const { space, connection } = session
  const [exchange, address] = routeOf(resolved(session, parseDestination(required(headers, 'reply-to'))))
  const items = (await jobs(session, headers)).map(({ id, payload }) => {
    const { headers: own, body } = decodeEnvelope(payload)
    const item = new PublishItem(exchange, address, formatId, encodeEnvelope([...own, [jobId, String(id)]], body))
    item.transient = true
    item.connection = connection.id
    return item
  })
  await new Promise<void>((resolve) => space.publish(items, resolve))
  const refused = items.find(({ status }) => status === PublishStatus.Failed)
  if (refused !== undefined) throw new StompError('precondition_failed', `reply-to: ${refused.errorMessage}`)
}

/** What STOMP clients scheduled; due between two times, where both are said. */
async function jobs(session: Session, headers: Headers): Promise<ScheduledRecord[]> {
  const from = whole(headers, 'ACTION_START_TIME')
  const to = whole(headers, 'ACTION_END_TIME')
  const ranged = from !== undefined && to !== undefined
  const found = await session.space.scheduled(lookedAtMax, ranged ? from : 0)
  return found.filter(({ format, dueAt }) => format === formatId && (!ranged || dueAt <= to))
}
