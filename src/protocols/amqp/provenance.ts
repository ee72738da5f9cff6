// What a message says of its own past in its headers: more routing keys, and deaths that a client published again with it.
import type { Death } from '../../core/record.ts'
import { type FieldValue, integerOf, type Table, textOf } from './table.ts'

const reasons: Readonly<Record<string, Death['reason']>> = {
  rejected: 'rejected',
  expired: 'expired',
  maxlen: 'maxLength',
  delivery_limit: 'attempts',
}

/** The keys of the CC header; BCC is gone before a message is stored. */
export function furtherKeys(headers: Table | undefined): string[] {
  return textsOf(headers?.get('CC'))
}

/** The x-death header as RabbitMQ writes it, newest first; what is not of that form is passed over. */
export function deathsIn(headers: Table | undefined): Death[] {
  const list = headers?.get('x-death')
  if (list?.type !== 'A') return []
  const deaths: Death[] = []
  for (const entry of list.value) {
    if (entry.type !== 'F') continue
    const death = deathOf(entry.value)
    if (death !== undefined) deaths.push(death)
  }
  return deaths
}

function deathOf(table: Table): Death | undefined {
  const topic = textOf(table.get('queue'))
  const reason = reasons[textOf(table.get('reason')) ?? '']
  const count = table.get('count')
  const time = table.get('time')
  if (topic === undefined || reason === undefined) return undefined
  return {
    topic,
    reason,
    count: count === undefined ? 1 : (integerOf(count) ?? 1),
    time: time?.type === 'T' ? Number(time.value) * 1000 : 0,
    exchange: textOf(table.get('exchange')) ?? '',
    routingKeys: textsOf(table.get('routing-keys')),
    attempts: 0,
  }
}

function textsOf(field: FieldValue | undefined): string[] {
  if (field?.type !== 'A') return []
  return field.value.flatMap((entry) => textOf(entry) ?? [])
}
