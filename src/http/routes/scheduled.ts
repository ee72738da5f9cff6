/** Records that wait for their time: list, move, cancel, or fire at once. */
import { CoreError, type ScheduledRecord } from '../../broker/face.ts'
import { formats } from '../../core/record.ts'
import { invalid } from '../errors.ts'
import { onlyKeys, optionalNumber, queryNumber } from '../input.ts'
import { attributesToJson } from '../record-json.ts'
import type { Call, Route } from '../route.ts'

const listMax = 1000

export const scheduledRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/scheduled',
    tag: 'scheduled',
    summary: 'List scheduled records, the next due first',
    query: [
      { name: 'limit', schema: { type: 'integer', default: 100, maximum: listMax }, description: 'Records at most.' },
      { name: 'from', schema: { type: 'integer' }, description: 'Due at or after, ms since the epoch.' },
    ],
    handle: async ({ space, query }) => {
      const limit = queryNumber(query, 'limit', 1, listMax) ?? 100
      const from = queryNumber(query, 'from', 0, Number.MAX_SAFE_INTEGER)
      return { scheduled: (await space.scheduled(limit, from)).map(scheduledToJson) }
    },
  },
  {
    method: 'PATCH',
    path: '/v1/scheduled/{id}',
    tag: 'scheduled',
    summary: 'Move a scheduled record to another time',
    body: {
      type: 'object',
      properties: { dueAt: { type: 'integer', description: 'ms since the epoch' }, delayMs: { type: 'integer' } },
    },
    handle: async (call) => {
      onlyKeys(call.body, ['dueAt', 'delayMs'])
      const dueAt = optionalNumber(call.body, 'dueAt', 0)
      const delayMs = optionalNumber(call.body, 'delayMs', 0)
      if ((dueAt === undefined) === (delayMs === undefined)) throw invalid('give either dueAt or delayMs')
      return move(call, dueAt ?? call.broker.clock.now() + (delayMs ?? 0))
    },
  },
  {
    method: 'POST',
    path: '/v1/scheduled/{id}/fire',
    tag: 'scheduled',
    summary: 'Publish a scheduled record now',
    handle: (call) => move(call, call.broker.clock.now()),
  },
  {
    method: 'DELETE',
    path: '/v1/scheduled/{id}',
    tag: 'scheduled',
    summary: 'Cancel a scheduled record',
    status: 204,
    handle: async ({ space, parameter }) => {
      if (!(await space.cancelScheduled(scheduleId(parameter('id'))))) throw gone(parameter('id'))
    },
  },
]

async function move({ space, parameter }: Call, dueAt: number): Promise<object> {
  const id = scheduleId(parameter('id'))
  if (!(await space.reschedule(id, dueAt))) throw gone(parameter('id'))
  return { id, dueAt }
}

function scheduledToJson(record: ScheduledRecord): object {
  return {
    id: record.id,
    dueAt: record.dueAt,
    ...(record.exchange === null ? {} : { exchange: record.exchange }),
    address: record.address,
    ...(record.repetition === undefined ? {} : { repetition: record.repetition }),
    record: attributesToJson(formats.get(record.format).toAttributes(record.payload)),
  }
}

function scheduleId(written: string): number {
  const id = Number(written)
  if (written === '' || !Number.isSafeInteger(id)) throw invalid(`"${written}" is not the id of a scheduled record`)
  return id
}

function gone(id: string): CoreError {
  return new CoreError('NotFound', `no scheduled record ${id}; it may have fired already`)
}
