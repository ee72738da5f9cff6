/** Dead letters: which topics receive them, what lies there and why it died, and sending some or all back to where they came from. */
import type { Consumer, DeliveryBatch, PeekedRecord, Space, TopicInfo } from '../../broker/face.ts'
import { accept, CoreError, PublishItem } from '../../broker/face.ts'
import { invalid } from '../errors.ts'
import { object, onlyKeys, optionalFlag, optionalList, optionalNumber, optionalText, queryNumber } from '../input.ts'
import type { Call, Route } from '../route.ts'
import { peekedToJson } from './records.ts'
import { knownTopic } from './topics.ts'

const listMax = 1000
/** How many records one request looks through to find those it is to send back. */
const redriveMax = 10_000
const redriveQuietMs = 250

export const deadLetterRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/dead-letters',
    tag: 'dead letters',
    summary: 'List the topics that receive dead letters, with the topics they come from',
    handle: ({ space }) => ({
      targets: [...deadLetterTargets(space)].map(([topic, sources]) => ({ topic, sources, status: space.status(topic) })),
    }),
  },
  {
    method: 'GET',
    path: '/v1/topics/{topic}/dead-letters',
    tag: 'dead letters',
    summary: 'List dead letters in a topic: source, reason, attempts and times',
    query: [
      { name: 'limit', schema: { type: 'integer', default: 100, maximum: listMax }, description: 'Records to look at, at most.' },
    ],
    handle: async ({ space, parameter, query }) => {
      const { name } = knownTopic(space, parameter('topic'))
      const records = await space.peek(name, { limit: queryNumber(query, 'limit', 1, listMax) ?? 100 })
      return { deadLetters: records.filter(isDead).map((record) => ({ source: sourceOf(record), ...peekedToJson(record) })) }
    },
  },
  {
    method: 'POST',
    path: '/v1/topics/{topic}/dead-letters/redrive',
    tag: 'dead letters',
    summary: 'Send dead letters back to the topic they died on: one, some or all',
    description:
      'Each record is published to its source and acknowledged here in one transaction. Records that are in flight at another consumer are not touched.',
    body: {
      type: 'object',
      properties: {
        all: { type: 'boolean' },
        records: {
          type: 'array',
          items: {
            type: 'object',
            required: ['offset'],
            properties: { partition: { type: 'integer', default: 0 }, offset: { type: 'integer' } },
          },
        },
        source: { type: 'string', description: 'Only those that died on this topic.' },
        to: { type: 'string', description: 'Publish to this topic instead of the source.' },
      },
    },
    handle: redrive,
  },
]

interface Selection {
  /** `partition/offset`; null is all. */
  readonly wanted: ReadonlySet<string> | null
  readonly source: string | undefined
  readonly to: string | undefined
}

async function redrive({ space, parameter, body, broker }: Call): Promise<object> {
  const { name } = knownTopic(space, parameter('topic'))
  const selection = readSelection(body)
  if (selection.to !== undefined) knownTopic(space, selection.to)
  const redriver = new Redriver(space, name, selection, broker.limits.inFlightMax)
  return redriver.run()
}

/** Takes what is ready, sends back what is selected, and lets go of the rest in its place. */
class Redriver {
  readonly #space: Space
  readonly #topic: string
  readonly #selection: Selection
  readonly #window: number
  #seen = 0
  #redriven = 0
  #pending = 0
  #skippedWithoutSource = 0
  #failure: Error | null = null
  #quiet: NodeJS.Timeout | undefined
  #finish: () => void = () => {}

  constructor(space: Space, topic: string, selection: Selection, inFlightMax: number) {
    this.#space = space
    this.#topic = topic
    this.#selection = selection
    this.#window = Math.min(redriveMax, inFlightMax)
  }

  async run(): Promise<object> {
    const finished = new Promise<void>((resolve) => (this.#finish = resolve))
    const consumer = this.#space.subscribe(
      { topic: this.#topic, subscription: '', autoSettle: false, name: 'redrive' },
      {
        onDeliveries: (from, batch) => this.#onDeliveries(from, batch),
        onConsumerClosed: (_, reason) => {
          this.#failure ??= new CoreError(reason, `topic "${this.#topic}" was closed while dead letters were sent back`)
          this.#finish()
        },
      },
    )
    consumer.credit(this.#window)
    this.#armQuiet()
    await finished
    clearTimeout(this.#quiet)
    consumer.close()
    if (this.#failure !== null) throw this.#failure
    return { redriven: this.#redriven, skippedWithoutSource: this.#skippedWithoutSource, lookedAt: this.#seen }
  }

  #onDeliveries(consumer: Consumer, batch: DeliveryBatch): void {
    for (let index = 0; index < batch.length; index++) {
      this.#seen++
      const item = this.#itemFor(batch, index)
      if (item === null) continue
      this.#pending++
      const transaction = this.#space.begin()
      transaction.publish([item])
      consumer.settle([batch.id[index] ?? -1], accept, transaction)
      transaction.commit((error) => {
        this.#pending--
        if (error === null) this.#redriven++
        else this.#failure ??= error
        this.#armQuiet()
      })
    }
    this.#armQuiet()
  }

  #itemFor(batch: DeliveryBatch, index: number): PublishItem | null {
    const { wanted, source, to } = this.#selection
    if (wanted !== null && !wanted.has(`${batch.partition[index]}/${batch.offset[index]}`)) return null
    const death = batch.annotations[index]?.deaths?.[0]
    if (source !== undefined && death?.topic !== source) return null
    const target = to ?? death?.topic
    if (target === undefined || this.#space.topic(target) === undefined) {
      this.#skippedWithoutSource++
      return null
    }
    const payload = batch.buffer[index]?.subarray(batch.start[index], batch.end[index])
    if (payload === undefined) return null
    const item = new PublishItem(null, target, batch.format[index] ?? 0, payload)
    item.timestamp = batch.timestamp[index] ?? 0
    return item
  }

  /** There is no word for "nothing more is ready", so it ends after a short silence, or when the window is used up. */
  #armQuiet(): void {
    clearTimeout(this.#quiet)
    if (this.#pending > 0) return
    const wait =
      this.#seen >= this.#window || this.#failure !== null || this.#redriven === this.#selection.wanted?.size ? 0 : redriveQuietMs
    this.#quiet = setTimeout(() => this.#finish(), wait)
  }
}

function readSelection(body: Readonly<Record<string, unknown>>): Selection {
  onlyKeys(body, ['all', 'records', 'source', 'to'])
  const list = optionalList(body, 'records')
  const all = optionalFlag(body, 'all') === true
  if (all === (list !== undefined)) throw invalid('give either "all": true or records, a list of {partition, offset}')
  const wanted = list === undefined ? null : new Set(list.map(place))
  return { wanted, source: optionalText(body, 'source'), to: optionalText(body, 'to') }
}

function place(value: unknown): string {
  const fields = object(value, 'each of records')
  onlyKeys(fields, ['partition', 'offset'], 'each of records')
  const offset = optionalNumber(fields, 'offset', 0)
  if (offset === undefined) throw invalid('each of records needs an offset')
  return `${optionalNumber(fields, 'partition', 0) ?? 0}/${offset}`
}

function isDead(record: PeekedRecord): boolean {
  return (record.annotations?.deaths?.length ?? 0) > 0
}

function sourceOf(record: PeekedRecord): string | undefined {
  return record.annotations?.deaths?.[0]?.topic
}

/** Target topic → the topics whose dead letters go there. */
function deadLetterTargets(space: Space): Map<string, string[]> {
  const targets = new Map<string, string[]>()
  for (const topic of space.topics()) {
    for (const target of targetsOf(space, topic)) {
      if (space.topic(target) === undefined) continue
      const sources = targets.get(target)
      if (sources === undefined) targets.set(target, [topic.name])
      else sources.push(topic.name)
    }
  }
  return targets
}

function targetsOf(space: Space, topic: TopicInfo): string[] {
  const { deadLetter } = topic.config
  if (deadLetter === null) return []
  if (deadLetter.exchange === '') return [deadLetter.routingKey ?? topic.name]
  const bindings = space.bindings({ source: deadLetter.exchange, destinationKind: 'topic' })
  return [...new Set(bindings.map((binding) => binding.destination))]
}
