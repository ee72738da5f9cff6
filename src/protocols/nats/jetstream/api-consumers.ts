/** Requests about consumers. */
import { isDeepStrictEqual } from 'node:util'
import { isSubset } from '../subjects.ts'
import { consumersMax } from './account-limits.ts'
import { streamNamed } from './api-streams.ts'
import { allow, type Call, type Handler } from './call.ts'
import type { Consumer } from './consumer.ts'
import { type ConsumerConfig, checkUpdate, consumerConfig, filtersOf } from './consumer-config.ts'
import { refusal } from './errors.ts'
import { any, flag, int, parseObject, read, text, time } from './fields.ts'
import { noPage, pageFields, pageOf } from './paging.ts'
import type { Stream } from './stream.ts'
import { nanosOf, noTime } from './times.ts'

const namesMax = 1024
const listMax = 256

interface CreateRequest {
  readonly stream_name: string
  readonly config: Record<string, unknown> | null
  readonly action: string
}

const createFields = { stream_name: text, config: any, action: text, pedantic: flag }

/** What kind of name stands in the subject: none, a durable one, or either. */
type Naming = 'unnamed' | 'durable' | 'named'

async function create(call: Call, naming: Naming, name: string, filter: string): Promise<object> {
  const request = read<CreateRequest>(createFields, parseObject(call.body))
  if (request.stream_name !== call.words[0]) throw refusal('streamMismatch')
  if (!['', 'create', 'update'].includes(request.action))
    throw refusal('invalidJson', `unknown consumer action: ${JSON.stringify(request.action)}`)
  if (/[\\/]/.test(name)) throw refusal('consumerNamePath')
  const given = { ...request.config }
  const durable = given['durable_name'] ?? ''
  if (naming === 'durable' && durable === '') throw refusal('consumerDurableNotSet')
  if (naming !== 'unnamed' && durable !== '' && durable !== name) throw refusal('consumerDurableMismatch')
  if (naming === 'unnamed' && durable !== '') throw refusal('consumerEphemeralWithDurable')
  if (naming !== 'unnamed') given['name'] = name
  if (filter !== '' && Array.isArray(given['filter_subjects']) && given['filter_subjects'].length > 0)
    throw refusal('consumerFiltersBySubject')
  if (filter !== '' && given['filter_subject'] !== filter) throw refusal('consumerFilterMismatch')
  const stream = streamNamed(call)
  if (Number(given['num_replicas']) > 1) throw refusal('streamReplicas')
  const { limits } = call.jetStream
  if (limits.own === null) throw refusal('noLimits')
  const config = consumerConfig(given, stream.config, limits.own.ackPending)
  const present = stream.consumers.get(config.durable_name || config.name)
  if (present !== undefined) return await again(call, present, config, request.action)
  if (request.action === 'update') throw refusal('consumerMissing')
  checkRoom(stream, config, consumersMax(limits, stream.config))
  const consumer = await call.jetStream.createConsumer(stream, config)
  // Its first message comes after the answer.
  setImmediate(() => consumer.start())
  return consumer.info()
}

async function again(call: Call, present: Consumer, config: ConsumerConfig, action: string): Promise<object> {
  const same = isDeepStrictEqual({ ...config, name: present.config.name }, present.config)
  if (action === 'create' && !same) throw refusal('consumerExists')
  if (!same) {
    checkUpdate(present.config, config, (subject) => call.jetStream.space.isHeard(subject))
    if (present.owner.config.retention === 'workqueue') checkUnique(present.owner, config, present)
    await call.jetStream.changeConsumer(present, config)
  }
  return present.info()
}

function checkRoom(stream: Stream, config: ConsumerConfig, consumersMost: number): void {
  const { retention } = stream.config
  if (consumersMost > 0 && stream.consumers.size >= consumersMost) throw refusal('consumerLimit')
  if (retention !== 'workqueue') return
  if (config.ack_policy !== 'explicit') throw refusal('consumerWorkQueueAck')
  if (config.deliver_policy !== 'all') throw refusal('consumerWorkQueueDeliver')
  if (stream.consumers.size > 0 && filtersOf(config).length === 0) throw refusal('consumerWorkQueueUnfiltered')
  checkUnique(stream, config, null)
}

/** In a work queue each message is one consumer's. */
function checkUnique(stream: Stream, config: ConsumerConfig, except: Consumer | null): void {
  for (const other of stream.consumers.values()) {
    if (other === except) continue
    const theirs = filtersOf(other.config)
    if (theirs.length === 0) throw refusal('consumerWorkQueueNotUnique')
    const own = filtersOf(config)
    if (own.some((filter) => theirs.some((their) => isSubset(filter, their) || isSubset(their, filter))))
      throw refusal('consumerWorkQueueNotUnique')
  }
}

function consumerNamed(call: Call): Consumer {
  const consumer = streamNamed(call).consumers.get(call.words[1] ?? '')
  if (consumer === undefined) throw refusal('consumerNotFound')
  return consumer
}

async function pause(call: Call): Promise<object> {
  const asked = read<{ pause_until: string }>({ pause_until: time }, parseObject(call.body))
  const consumer = consumerNamed(call)
  const until = Date.parse(asked.pause_until) > call.jetStream.clock.now() ? asked.pause_until : ''
  await call.jetStream.changeConsumer(consumer, { ...consumer.config, pause_until: until })
  const leftMs = Date.parse(until) - call.jetStream.clock.now()
  return until === ''
    ? { paused: false, pause_until: asked.pause_until || noTime }
    : { paused: true, pause_until: until, pause_remaining: nanosOf(leftMs) }
}

async function reset(call: Call): Promise<object> {
  const { seq } = read<{ seq: number }>({ seq: int }, parseObject(call.body))
  const consumer = consumerNamed(call)
  const from = await call.jetStream.resetConsumer(consumer, Math.max(0, seq))
  const info = consumer.info()
  setImmediate(() => consumer.start())
  return { ...info, reset_seq: from }
}

function listed(call: Call): { readonly consumers: Consumer[]; readonly offset: number } {
  const { offset } = read<{ offset: number }>({ ...pageFields, subject: text }, parseObject(call.body))
  const consumers = [...streamNamed(call).consumers.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  return { consumers, offset }
}

export const consumerHandlers: Readonly<Record<string, Handler>> = {
  'CONSUMER.CREATE': {
    type: 'consumer_create',
    words: 1,
    more: true,
    run: (call) => {
      const [, name = '', ...filter] = call.words
      return create(call, call.words.length === 1 ? 'unnamed' : 'named', name, filter.join('.'))
    },
  },
  'CONSUMER.DURABLE.CREATE': {
    type: 'consumer_create',
    words: 1,
    more: true,
    run: async (call) => {
      const [, name = '', ...more] = call.words
      if (name === '' || more.length > 0) throw refusal('consumerDurableNotInSubject')
      return await create(call, 'durable', name, '')
    },
  },
  'CONSUMER.INFO': { type: 'consumer_info', words: 2, run: async (call) => consumerNamed(call).info() },
  'CONSUMER.DELETE': {
    type: 'consumer_delete',
    words: 2,
    run: async (call) => {
      await call.jetStream.deleteConsumer(consumerNamed(call))
      return { success: true }
    },
  },
  'CONSUMER.PAUSE': { type: 'consumer_pause', words: 2, empty: { paused: false, pause_until: noTime }, run: pause },
  'CONSUMER.RESET': { type: 'consumer_reset', words: 2, empty: { reset_seq: 0 }, run: reset },
  'CONSUMER.UNPIN': {
    type: 'consumer_unpin',
    words: 2,
    run: async (call) => {
      const { group } = read<{ group: string }>({ group: text }, parseObject(call.body))
      const consumer = consumerNamed(call)
      if (group === '') throw refusal('groupEmpty')
      if (!consumer.config.priority_groups.includes(group)) throw refusal('groupInvalid')
      allow(call, 'consume', consumer.stream)
      consumer.pull?.unpin()
      return {}
    },
  },
  'CONSUMER.NAMES': {
    type: 'consumer_names',
    words: 1,
    empty: { ...noPage, consumers: [] },
    run: async (call) => {
      const { consumers, offset } = listed(call)
      const { page, items } = pageOf(consumers, offset, namesMax)
      return { ...page, consumers: items.map(({ name }) => name) }
    },
  },
  'CONSUMER.LIST': {
    type: 'consumer_list',
    words: 1,
    empty: { ...noPage, consumers: [] },
    run: async (call) => {
      const { consumers, offset } = listed(call)
      const { page, items } = pageOf(consumers, offset, listMax)
      return { ...page, consumers: items.map((consumer) => consumer.info()) }
    },
  },
  'CONSUMER.LEADER.STEPDOWN': {
    type: 'consumer_leader_stepdown',
    words: 2,
    run: async () => {
      throw refusal('clusterRequired')
    },
  },
}
