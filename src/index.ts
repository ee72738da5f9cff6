/**
 * AnyMQ as a library: a whole broker inside another program's tests, on ports of its own.
 *
 *     const broker = await startBroker({ storage: 'memory' })
 *     const connection = await amqplib.connect(broker.url('amqp'))
 *     …
 *     await broker.settled()
 *     assert.equal((await broker.messages('orders')).length, 1)
 *     await broker.clock.advance('30m')
 *     await broker.close()
 */
import type { Broker, Limits, Logger, Space } from './broker/face.ts'
import { CoreError, PublishStatus } from './broker/face.ts'
import { formats } from './core/record.ts'
import { attributesToJson } from './http/record-json.ts'
import { itemFromJson, publishItems } from './http/routes/records.ts'
import { VirtualClock } from './lib/timers.ts'
import { knownProtocols, protocolTable } from './protocols/table.ts'
import { type RunningBroker, startRunningBroker } from './server/start.ts'
import { openLocalStorage } from './storage/local/index.ts'
import { openMemoryStorage } from './storage/memory/index.ts'

export interface StartBrokerOptions {
  /** Where records are kept; default memory. A folder is durable (`fsync`). */
  readonly storage?: 'memory' | { readonly folder: string }
  /** Names of the protocols to open; default all that are not optional (docs/decisions/0008). */
  readonly protocols?: readonly string[]
  readonly host?: string
  readonly limits?: Partial<Limits>
  /** Where the broker's log goes; default nowhere. */
  readonly log?: Logger
}

/** A record as the broker stores it: what its publisher said, whichever protocol it used. */
export interface Message {
  readonly partition: number
  readonly offset: number
  readonly timestamp: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  /** The value as UTF-8; '' when there is none. */
  readonly text: string
  /** Header values as JSON shows them. */
  readonly headers: Readonly<Record<string, unknown>>
  /** All attributes, as the HTTP API shows them. */
  readonly attributes: Readonly<Record<string, unknown>>
}

/** What `publish` takes beside the value: the record keys of the HTTP API (key, headers, contentType, correlationId, deliverAt …). */
export type PublishOptions = Readonly<Record<string, unknown>>

export interface EmbeddedBroker {
  /** The address clients connect to: `amqp://127.0.0.1:…`, `127.0.0.1:…` for Kafka, `http://127.0.0.1:…`. */
  url(protocol: string): string
  /** The port of a listener. */
  port(listener: string): number
  /** Stores a record; resolves when it is. The topic is created if it does not exist. */
  publish(topic: string, value: string | Buffer | object, options?: PublishOptions): Promise<void>
  /** The records in a topic, oldest first; delivery state is not touched. */
  messages(topic: string, limit?: number): Promise<Message[]>
  /** Resolves when no record is ready for, or in flight at, any consumer that is connected; rejects after `timeoutMs` (default 10 000). */
  settled(timeoutMs?: number): Promise<void>
  /** Deletes all topics and their records; connections stay. */
  reset(): Promise<void>
  readonly clock: {
    now(): number
    /** Moves the broker's time ahead by ms or text such as `30m`: delays, deadlines, expiries and retries that were due meanwhile happen. */
    advance(by: number | string): Promise<void>
  }
  close(): Promise<void>
}

const messagesMax = 10_000
const pollMs = 5

export async function startBroker(options: StartBrokerOptions = {}): Promise<EmbeddedBroker> {
  for (const name of options.protocols ?? []) {
    if (!knownProtocols().includes(name))
      throw new CoreError('Invalid', `unknown protocol "${name}"; known: ${knownProtocols().join(', ')}`)
  }
  const clock = new VirtualClock()
  const { storage = 'memory' } = options
  const running = await startRunningBroker({
    storage: storage === 'memory' ? openMemoryStorage() : openLocalStorage(storage.folder, true),
    clock,
    log: options.log ?? silent,
    host: options.host ?? '127.0.0.1',
    port: () => 0,
    only: options.protocols ?? null,
    limits: options.limits ?? {},
    skipTakenPorts: false,
    anyHost: false,
  })
  return new Embedded(running, clock)
}

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} }

class Embedded implements EmbeddedBroker {
  readonly clock: EmbeddedBroker['clock']
  readonly #running: RunningBroker
  readonly #broker: Broker
  /** Time goes on by itself too: the virtual clock follows the machine's. */
  readonly #follow: NodeJS.Timeout

  constructor(running: RunningBroker, clock: VirtualClock) {
    this.#running = running
    this.#broker = running.broker
    let last = performance.now()
    const follow = (): void => {
      const now = performance.now()
      const passed = Math.floor(now - last)
      last += passed
      if (passed > 0) clock.advance(passed)
    }
    this.#follow = setInterval(follow, pollMs)
    this.#follow.unref()
    this.clock = {
      now: () => clock.now(),
      advance: async (by) => {
        follow()
        clock.advance(by)
        await turns()
      },
    }
  }

  url(protocol: string): string {
    const port = this.port(protocol)
    const { host } = this.#running.listeners[0] ?? { host: '127.0.0.1' }
    // Kafka's clients take host:port, the others a URL.
    if (protocol === 'kafka') return `${host}:${port}`
    const spec = protocolTable.flatMap(({ listeners }) => listeners).find(({ name }) => name === protocol)
    return `${spec?.kind === 'http' ? 'http' : protocol}://${host}:${port}`
  }

  port(listener: string): number {
    const found = this.#running.listeners.find((each) => each.name === listener || each.protocols.includes(listener))
    if (found === undefined) throw new CoreError('NotFound', `no listener for "${listener}" is open`)
    return found.port
  }

  async publish(topic: string, value: string | Buffer | object, options: PublishOptions = {}): Promise<void> {
    const space = this.#space()
    if (space.topic(topic) === undefined) await space.createTopic(topic, {}, 'api')
    const content = Buffer.isBuffer(value) ? { valueBase64: value.toString('base64') } : { value }
    const item = itemFromJson(topic, { ...options, ...content })
    await publishItems(space, [item])
    if (item.status === PublishStatus.Failed) throw new CoreError(item.errorCode ?? 'Internal', item.errorMessage)
  }

  async messages(topic: string, limit = messagesMax): Promise<Message[]> {
    const records = await this.#space().peek(topic, { limit })
    return records.map((record) => {
      const attributes = formats.get(record.format).toAttributes(record.bytes)
      const json = attributesToJson(attributes)
      const headers = json['headers'] as { name: string; value: unknown }[] // always a list, by attributesToJson
      return {
        partition: record.partition,
        offset: record.offset,
        timestamp: record.timestamp,
        key: attributes.key,
        value: attributes.value,
        text: attributes.value?.toString('utf8') ?? '',
        headers: Object.fromEntries(headers.map((header) => [header.name, header.value])),
        attributes: json,
      }
    })
  }

  async settled(timeoutMs = 10_000): Promise<void> {
    const deadline = performance.now() + timeoutMs
    for (;;) {
      await turns()
      const waiting = this.#unsettled()
      if (waiting.length === 0) return
      if (performance.now() > deadline) throw new Error(`not settled after ${timeoutMs} ms: ${waiting.join(', ')}`)
      await new Promise((resolve) => setTimeout(resolve, pollMs))
    }
  }

  async reset(): Promise<void> {
    const space = this.#space()
    for (const { id } of await space.scheduled(messagesMax)) await space.cancelScheduled(id)
    for (const topic of space.topics()) await space.deleteTopic(topic.name)
    for (const group of space.cursorGroups()) await space.deleteCursors(group)
  }

  async close(): Promise<void> {
    clearInterval(this.#follow)
    await this.#running.stop()
  }

  #unsettled(): string[] {
    const space = this.#space()
    return space
      .topics()
      .flatMap((topic) =>
        (space.status(topic.name)?.subscriptions ?? [])
          .filter((each) => each.kind === 'queue' && each.consumers > 0 && each.ready + each.inFlight > 0)
          .map((each) => `${topic.name} has ${each.ready} ready and ${each.inFlight} in flight`),
      )
  }

  #space(): Space {
    return this.#broker.space(this.#broker.anonymous, 'default')
  }
}

/** Lets what was made due happen: sockets, commits and their callbacks take a few turns of the event loop. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 4; turn++) await new Promise((resolve) => setImmediate(resolve))
}
