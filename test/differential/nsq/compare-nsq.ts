/**
 * The same random commands and requests to both servers, one at a time: answers are compared at once, and what both show in /stats and have sent to
 * their clients as soon as it is the same. Which of a channel's clients gets a message is by chance, so that a message is told by its body, and what
 * becomes of it is said by whoever has it. Stops a conversation at its first difference.
 *
 * What is known to differ, and not asked (src/protocols/nsq/README.md): what a client had in flight when it
 * goes; messages of DPUB and channels that come and go meanwhile; in which order what came back comes again.
 */
import { isDeepStrictEqual } from 'node:util'
import { NsqClient } from '../../../src/protocols/nsq/client.testing.ts'
import { Random } from '../../simulation/disk.ts'

const conversations = 40
const commandsEach = 60
const clientsMax = 4
const settleMs = 4000

const refusals = [
  'SUB a',
  'SUB !',
  'PUB',
  'PUB t$',
  'PUB "q"',
  'PUB \u00fc\u0001',
  'MPUB',
  'MPUB x#',
  'DPUB t',
  'DPUB t x',
  'DPUB t 3600001',
  'RDY 1',
  'FIN 0123456789abcdef',
  'REQ 0123456789abcdef 1',
  'TOUCH',
  'CLS',
  'AUTH x',
  'nothing like it',
  'pub t',
  '',
  'RDY\r',
  `PUB ${'x'.repeat(65)}`,
] as const
const refusedWhenSubscribed = [
  'SUB a b',
  'IDENTIFY',
  'AUTH',
  'RDY 2501',
  'RDY -1',
  'RDY x',
  'FIN',
  'FIN 1',
  'REQ 0123456789abcdef',
  'REQ 0123456789abcdef x',
  'TOUCH 0123456789abcde',
] as const
/** With bodies. */
const refusedBodies: readonly (readonly [string, string])[] = [
  ['PUB t', ''],
  ['MPUB t', ''],
  ['MPUB t', '\0\0\0\0'],
  ['MPUB t', '\0\0\0\x01\0\0\0\0'],
  ['MPUB t', '\0\0\0\x02\0\0\0\x01x\xff\xff\xff\xff'],
  ['AUTH', 'secret'],
  ['AUTH', ''],
  ['IDENTIFY', ''],
  ['IDENTIFY', '{'],
  ['IDENTIFY', '[]'],
  ['IDENTIFY', '"x"'],
  ['IDENTIFY', '{"client_id":1}'],
  ['IDENTIFY', '{"heartbeat_interval":999}'],
  ['IDENTIFY', '{"heartbeat_interval":60001}'],
  ['IDENTIFY', '{"heartbeat_interval":1.5}'],
  ['IDENTIFY', '{"output_buffer_size":63}'],
  ['IDENTIFY', '{"output_buffer_timeout":24}'],
  ['IDENTIFY', '{"sample_rate":100}'],
  ['IDENTIFY', '{"msg_timeout":900001}'],
  ['IDENTIFY', '{"feature_negotiation":true,"snappy":true,"deflate":true}'],
]
/** Answered, and the connection goes on. */
const identities: readonly object[] = [
  {},
  { feature_negotiation: true },
  { feature_negotiation: true, tls_v1: true, heartbeat_interval: -1, output_buffer_size: -1 },
  { feature_negotiation: true, output_buffer_size: 64, output_buffer_timeout: -1, msg_timeout: 5000, sample_rate: 7 },
  { FEATURE_negotiation: true, deflate_level: 3, output_buffer_timeout: 30_000 },
]
const requests: readonly (readonly [method: string, path: string, body?: string])[] = [
  ['GET', '/ping'],
  ['POST', '/ping'],
  ['GET', '/nothing'],
  ['POST', '/pub', 'x'],
  ['POST', '/pub?topic=', 'x'],
  ['POST', '/pub?topic=a!', 'x'],
  ['POST', '/pub?topic=bad', ''],
  ['POST', '/pub?topic=bad&defer=x', 'x'],
  ['POST', '/pub?topic=bad&defer=-1', 'x'],
  ['POST', '/pub?topic=bad&defer=3600001', 'x'],
  ['GET', '/pub?topic=bad'],
  ['POST', '/mpub', 'x'],
  ['POST', '/mpub?topic=bad&binary=true', 'x'],
  ['POST', '/mpub?topic=bad&binary=1', '\0\0\0\x01\0\0\0\x09x'],
  ['POST', '/mpub?topic=bad', '\n\n'],
  ['POST', '/topic/create'],
  ['POST', '/topic/create?topic=a!'],
  ['POST', '/topic/delete'],
  ['POST', '/topic/delete?topic=nothere'],
  ['POST', '/topic/empty?topic=a!'],
  ['POST', '/topic/empty?topic=nothere'],
  ['POST', '/topic/pause?topic=nothere'],
  ['POST', '/topic/pause'],
  ['POST', '/channel/create?topic=nothere&channel=c'],
  ['POST', '/channel/create?topic=a!&channel=c'],
  ['POST', '/channel/create?topic=t'],
  ['POST', '/channel/create?topic=t&channel=!'],
  ['POST', '/channel/delete?topic=nothere&channel=c'],
  ['POST', '/channel/empty?channel=c'],
  ['POST', '/channel/unpause?topic=nothere&channel=c'],
  ['GET', '/config/nsqlookupd_tcp_addresses'],
  ['GET', '/config/nothing'],
  ['GET', '/config/msg_timeout'],
  ['GET', '/config/max_rdy_count'],
  ['GET', '/config/max_output_buffer_timeout'],
  ['GET', '/config/snappy'],
  ['PUT', '/config/nsqlookupd_tcp_addresses', 'x'],
  ['PUT', '/config/nothing', 'x'],
  ['GET', '/stats?format=json&topic=nothere&include_mem=false'],
]

/** A command for both sides. */
type Step =
  | { readonly kind: 'publish'; readonly line: string; readonly body: string }
  | { readonly kind: 'http'; readonly method: string; readonly path: string; readonly body?: string }
  | { readonly kind: 'refused'; readonly line: string; readonly body?: string; readonly subscribed: boolean }
  | { readonly kind: 'identify'; readonly identity: object }
  | { readonly kind: 'subscribe'; readonly topic: string; readonly channel: string; readonly rdy: number }
  | { readonly kind: 'rdy'; readonly client: number; readonly rdy: number }
  | { readonly kind: 'settle'; readonly channel: string; readonly body: string; readonly command: string }
  | {
      readonly kind: 'foreign'
      readonly client: number
      readonly channel: string
      readonly body: string
      readonly command: string
    }
  | { readonly kind: 'leave'; readonly client: number; readonly politely: boolean }

interface Message {
  readonly id: string
  readonly attempts: number
}

/** A client that consumes. */
class Consumer {
  readonly client: NsqClient
  readonly channel: string
  readonly rdy: number
  readonly messages = new Map<string, Message>()
  readonly #answers: string[] = []
  #wake: () => void = () => undefined
  ended = false

  constructor(client: NsqClient, channel: string, rdy: number) {
    this.client = client
    this.channel = channel
    this.rdy = rdy
    client.listen((frame) => {
      if (frame === null) this.ended = true
      else if (frame.type !== 'message') this.#answers.push(`${frame.type} ${frame.data.toString('latin1')}`)
      else
        this.messages.set(frame.data.toString('latin1', 26), {
          id: frame.data.toString('latin1', 10, 26),
          attempts: frame.data.readUInt16BE(8),
        })
      this.#wake()
    })
  }

  async answer(): Promise<string> {
    const deadline = Date.now() + settleMs
    while (this.#answers.length === 0 && !this.ended && Date.now() < deadline)
      await new Promise<void>((resolve) => {
        this.#wake = resolve
        setTimeout(resolve, 20)
      })
    return this.#answers.shift() ?? (this.ended ? 'closed' : 'nothing')
  }
}

const notTheirs = 'it is not theirs'

/** One server. */
class Side {
  readonly #port: number
  readonly #httpPort: number
  readonly consumers: (Consumer | null)[] = []

  constructor(port: number, httpPort: number) {
    this.#port = port
    this.#httpPort = httpPort
  }

  async http(method: string, path: string, body?: string): Promise<string> {
    const sent = body === undefined ? {} : { body: Buffer.from(body, 'latin1') }
    const response = await fetch(`http://127.0.0.1:${this.#httpPort}${path}`, { method, ...sent })
    const text = (await response.text()).replace(/"start_time":\d+/, '"start_time":0')
    return `${response.status} ${response.headers.get('x-nsq-content-type')} ${text}`
  }

  async run(step: Step): Promise<string> {
    switch (step.kind) {
      case 'publish': {
        const client = await NsqClient.connected(this.#port)
        const { type, text } = await client.ask(step.line, Buffer.from(step.body, 'latin1'))
        client.close()
        return `${type} ${text}`
      }
      case 'http': {
        const answer = await this.http(step.method, step.path, step.body)
        const [, topic = '', channel = ''] = /^\/channel\/empty\?topic=(.*)&channel=(.*)$/.exec(step.path) ?? []
        const emptied = `${decodeURIComponent(topic)}/${decodeURIComponent(channel)}`
        if (answer.startsWith('200')) for (const each of this.consumers) if (each?.channel === emptied) each.messages.clear()
        return answer
      }
      case 'identify': {
        const client = await NsqClient.connected(this.#port)
        const { type, text } = await client.ask('IDENTIFY', JSON.stringify(step.identity))
        client.close()
        return `${type} ${text}`
      }
      case 'refused':
        return await this.#refused(step.line, step.body, step.subscribed)
      case 'subscribe': {
        const client = await NsqClient.connected(this.#port)
        await client.identify({ client_id: 'c', hostname: 'h' })
        const { text } = await client.ask(`SUB ${step.topic} ${step.channel}`)
        client.send(`RDY ${step.rdy}\n`)
        this.consumers.push(new Consumer(client, `${step.topic}/${step.channel}`, step.rdy))
        return text
      }
      case 'rdy':
        this.consumers[step.client]?.client.send(`RDY ${step.rdy}\n`)
        return ''
      case 'settle': {
        const owner = this.consumers.find((each) => each?.channel === step.channel && each.messages.has(step.body))
        const { id } = owner?.messages.get(step.body) ?? { id: '' }
        owner?.client.send(`${step.command.replace('%', id)}\n`)
        if (!step.command.startsWith('TOUCH')) owner?.messages.delete(step.body)
        return ''
      }
      case 'foreign': {
        const owner = this.consumers.find((each) => each?.channel === step.channel && each.messages.has(step.body))
        const { id } = owner?.messages.get(step.body) ?? { id: 'f'.repeat(16) }
        const other = this.consumers[step.client]
        // Whose it is is by chance: with one's own nothing is tried.
        if (other === undefined || other === null || other === owner) return notTheirs
        other.client.send(`${step.command.replace('%', id)}\n`)
        return (await other.answer())
          .replace(id, '%')
          .replace(/^error E_(FIN|REQ|TOUCH)_FAILED \1 % failed client does not own message$/, notTheirs)
      }
      case 'leave': {
        const consumer = this.consumers[step.client]
        if (consumer === undefined || consumer === null) return ''
        this.consumers[step.client] = null
        if (step.politely) consumer.client.send('CLS\n')
        const answer = step.politely ? await consumer.answer() : ''
        consumer.client.close()
        return answer
      }
    }
  }

  async #refused(line: string, body: string | undefined, subscribed: boolean): Promise<string> {
    const client = await NsqClient.connected(this.#port)
    if (subscribed) await client.ok('SUB refused#ephemeral c#ephemeral')
    const { type, text } = await client.ask(line, body === undefined ? undefined : Buffer.from(body, 'latin1'))
    const ends = await client.closed().then(
      () => 'closed',
      () => 'open',
    )
    client.close()
    return `${type} ${text}, ${ends}`
  }

  /** Of topics whose names begin so: what /stats says, and what clients hold. */
  async state(prefix: string): Promise<State> {
    // Those that the server has closed.
    for (const [index, each] of this.consumers.entries()) if (each?.ended) this.consumers[index] = null
    const text = await this.http('GET', '/stats?format=json&include_mem=false')
    const { topics } = JSON.parse(text.replace(/^\S+ nsq; \S+ /, '')) as { topics: TopicJson[] }
    return {
      topics: topics.filter(({ topic_name }) => topic_name.startsWith(prefix)).map(topicState),
      held: [...new Set(this.consumers.map((each) => each?.channel ?? ''))].sort().map((channel): [string, string[]] => [
        channel,
        this.consumers
          .filter((each) => each?.channel === channel)
          .flatMap((each) => [...(each?.messages ?? [])].map(([body, { attempts }]) => `${body} ${attempts}`))
          .sort(),
      ]),
    }
  }

  async clean(prefix: string): Promise<void> {
    for (const each of this.consumers) each?.client.close()
    const { topics } = await this.state(prefix)
    for (const { name } of topics) await this.http('POST', `/topic/delete?topic=${encodeURIComponent(name)}`)
  }
}

interface State {
  readonly topics: readonly ReturnType<typeof topicState>[]
  readonly held: readonly (readonly [channel: string, messages: readonly string[]])[]
}

interface TopicJson {
  topic_name: string
  depth: number
  message_count: number
  message_bytes: number
  paused: boolean
  channels: (Record<ChannelField, unknown> & { clients: ClientJson[] | null })[]
}
interface ClientJson {
  client_id: string
  hostname: string
  state: number
  ready_count: number
}
const channelFields = [
  'channel_name',
  'depth',
  'in_flight_count',
  'deferred_count',
  'message_count',
  'requeue_count',
  'timeout_count',
  'client_count',
  'paused',
] as const
type ChannelField = (typeof channelFields)[number]

function topicState({ topic_name: name, depth, message_count, message_bytes, paused, channels }: TopicJson) {
  const view = channels.map((channel) => ({
    ...(Object.fromEntries(channelFields.map((field) => [field, channel[field]])) as Record<ChannelField, unknown>), // of these
    takes: (channel.clients ?? []).some(({ state, ready_count }) => state === 3 && ready_count > 0),
    clients: (channel.clients ?? [])
      .map(({ client_id, hostname, state, ready_count }) => `${client_id} ${hostname} ${state} ${ready_count}`)
      .sort(),
  }))
  return { name, depth, message_count, message_bytes, paused, channels: view }
}

/** What is asked next, by what our side has: both have the same. */
function nextStep(random: Random, prefix: string, ours: Side, count: number): Step {
  const of = <T>(list: readonly T[]): T => list[random.below(list.length)] as T // not empty
  const topic = `${prefix}${of(['a', 'b', 'c#ephemeral'])}`
  const channel = of(['x', 'y', 'z#ephemeral'])
  const quoted = `topic=${encodeURIComponent(topic)}`
  const both = `${quoted}&channel=${encodeURIComponent(channel)}`
  const body = `m${count}`
  const held = ours.consumers.flatMap((each) =>
    each === null ? [] : [...each.messages.keys()].map((name) => ({ channel: each.channel, body: name })),
  )
  const live = ours.consumers.flatMap((each, index) => (each === null ? [] : [index]))
  const free = live.filter((index) => ours.consumers[index]?.messages.size === 0)
  const pick = random.below(100)
  if (pick < 18) return { kind: 'publish', line: `PUB ${topic}`, body }
  if (pick < 22) return { kind: 'publish', line: `MPUB ${topic}`, body: multiple([`${body}a`, `${body}b`, `${body}c`]) }
  if (pick < 25) return { kind: 'publish', line: `DPUB ${prefix}delayed 3600000`, body }
  if (pick < 27) return { kind: 'publish', line: `DPUB ${topic} 0`, body }
  if (pick < 30) return { kind: 'http', method: 'POST', path: `/pub?${quoted}`, body }
  if (pick < 33) return { kind: 'http', method: 'POST', path: `/mpub?${quoted}`, body: `${body}a\n\n${body}b\n` }
  if (pick < 43 && live.length < clientsMax) return { kind: 'subscribe', topic, channel, rdy: of([0, 2500, 2500]) }
  if (pick < 46 && live.length > 0) return { kind: 'rdy', client: of(live), rdy: of([0, 2500]) }
  if (pick < 64 && held.length > 0) {
    const { channel: where, body: which } = of(held)
    return {
      kind: 'settle',
      channel: where,
      body: which,
      command: of(['FIN %', 'FIN %', 'FIN %', 'REQ % 0', 'REQ % 3600000', 'TOUCH %']),
    }
  }
  if (pick < 67 && held.length > 0) {
    const { channel: where, body: which } = of(held)
    const others = live.filter((index) => ours.consumers[index]?.channel === where)
    return { kind: 'foreign', client: of(others), channel: where, body: which, command: of(['FIN %', 'REQ % 0', 'TOUCH %']) }
  }
  if (pick < 71 && free.length > 0) return { kind: 'leave', client: of(free), politely: random.below(2) === 0 }
  if (pick < 73) return { kind: 'identify', identity: of(identities) }
  if (pick < 76) return { kind: 'refused', line: of(refusals), subscribed: false }
  if (pick < 78) return { kind: 'refused', line: of(refusedWhenSubscribed), subscribed: true }
  if (pick < 81) {
    const [line, bytes] = of(refusedBodies)
    return { kind: 'refused', line, body: bytes, subscribed: false }
  }
  if (pick < 86) {
    const [method, path, sent] = of(requests)
    return { kind: 'http', method, path, ...(sent === undefined ? {} : { body: sent }) }
  }
  const action = of(['create', 'create', 'pause', 'unpause', 'unpause', 'empty', 'delete'])
  if (pick < 96) return { kind: 'http', method: 'POST', path: `/channel/${action}?${both}` }
  return {
    kind: 'http',
    method: 'POST',
    path: `/topic/${of(['create', 'pause', 'unpause', 'unpause', 'empty', 'delete'])}?${quoted}`,
  }
}

function multiple(bodies: readonly string[]): string {
  const u32 = (value: number): string => {
    const bytes = Buffer.alloc(4)
    bytes.writeInt32BE(value)
    return bytes.toString('latin1')
  }
  return u32(bodies.length) + bodies.map((body) => u32(body.length) + body).join('')
}

/** Whether nothing is on its way: a channel whose client takes what there is has nothing ready, and what is in flight has come to the client. */
function isQuiet({ topics, held }: State): boolean {
  const heldBy = new Map(held.map(([channel, messages]) => [channel, messages.length]))
  return topics.every(({ name, channels }) =>
    channels.every(
      ({ channel_name, depth, paused, takes, in_flight_count }) =>
        (depth === 0 || paused === true || !takes) && in_flight_count === (heldBy.get(`${name}/${channel_name}`) ?? 0),
    ),
  )
}

/** The parts of two states that are not the same. */
function differing(left: State, right: State): [string, string] {
  const parts = ({ topics, held }: State): [string, unknown][] => [
    ...topics.map((topic): [string, unknown] => [topic.name, topic]),
    ...held.map((each): [string, unknown] => [each[0], each]),
  ]
  const only = (of: State, other: State): string =>
    JSON.stringify(
      parts(of)
        .filter((part) => !parts(other).some((each) => isDeepStrictEqual(part, each)))
        .map(([, part]) => part),
    )
  return [only(left, right), only(right, left)]
}

/** Resolves to how many conversations differed. */
export async function compareNsq(peerPort: number, ownPort: number, words: readonly string[]): Promise<number> {
  const seeds = words.length > 0 ? words.map(Number) : Array.from({ length: conversations }, (_, index) => index + 1)
  let failures = 0
  let steps = 0
  for (const seed of seeds) {
    const random = new Random(seed)
    const prefix = `s${seed}.`
    const [theirs, ours] = [new Side(peerPort, peerPort + 1), new Side(ownPort, ownPort + 1)]
    for (const side of [theirs, ours])
      await side.run({ kind: 'http', method: 'POST', path: `/topic/create?topic=${prefix}delayed` })
    for (const side of [theirs, ours])
      await side.run({ kind: 'http', method: 'POST', path: `/channel/create?topic=${prefix}delayed&channel=only` })
    const said: string[] = []
    for (let count = 0; count < commandsEach; count++) {
      const step = nextStep(random, prefix, ours, count)
      said.push(JSON.stringify(step))
      const different = await differs(step, theirs, ours, prefix)
      steps++
      if (different === null) continue
      failures++
      console.log(
        `✖ seed ${seed}, step ${count + 1}\n    ${said.slice(-12).join('\n    ')}\n  theirs: ${different[0]}\n  ours:   ${different[1]}`,
      )
      break
    }
    for (const side of [theirs, ours]) await side.clean(prefix)
  }
  console.log(`${seeds.length - failures} of ${seeds.length} conversations agree (${steps} steps)`)
  return failures
}

async function differs(step: Step, theirs: Side, ours: Side, prefix: string): Promise<[string, string] | null> {
  const [left, right] = [await theirs.run(step), await ours.run(step)]
  if (left !== right) return [left, right]
  for (const deadline = Date.now() + settleMs; ; ) {
    const [before, after] = [await theirs.state(prefix), await ours.state(prefix)]
    if (isDeepStrictEqual(before, after) && isQuiet(after)) return null
    if (Date.now() > deadline) return differing(before, after)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
