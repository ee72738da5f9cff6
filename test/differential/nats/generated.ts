/** Conversations that are made up, the same ones for the same seed: of the core protocol line by line, and of JetStream's streams. */
import { NatsClient } from '../../../src/protocols/nats/nats-client.testing.ts'
import { Random } from '../../simulation/disk.ts'
import { type Difference, differences } from '../compare.ts'
import type { Conversation, Step } from './side.ts'

const of = <T>(random: Random, list: readonly T[]): T => list[random.below(list.length)] as T // not empty

// ------------------------------------------------------------------------------------------------------------- core protocol

const clientCount = 3
const stepsEach = 120
const words = ['a', 'b', 'c'] as const
/** Members of queue groups, all of the first client: which of them gets a message is chance, so that all are told alike. */
const queueSid = 'q'

function subject(random: Random, wild: boolean): string {
  const length = 1 + random.below(3)
  const picked: string[] = Array.from({ length }, () => (wild && random.below(4) === 0 ? '*' : of(random, words)))
  if (wild && random.below(4) === 0) picked.push('>')
  return picked.join('.')
}

interface CoreStep {
  readonly client: number
  readonly lines: readonly string[]
}

function coreStep(random: Random): CoreStep {
  const client = random.below(clientCount)
  const body = 'x'.repeat(random.below(12))
  const block = `NATS/1.0\r\nKey: ${body}\r\n\r\n`
  const sid = String(1 + random.below(6))
  const to = subject(random, false)
  const reply = of(random, ['', '', 'answer', 'a.b'])
  const choices: readonly (readonly [weight: number, lines: readonly string[]])[] = [
    [8, [`PUB ${to} ${reply} ${body.length}`, body]],
    [4, [`HPUB ${to} ${reply} ${block.length} ${block.length + body.length}`, block + body]],
    [6, [`SUB ${subject(random, true)} ${sid}`]],
    [2, [`SUB answer ${sid}`]],
    [client === 0 ? 3 : 0, [`SUB ${subject(random, true)} ${of(random, ['g', 'h'])} ${queueSid}${random.below(3)}`]],
    [2, [`UNSUB ${sid}`]],
    [2, [`UNSUB ${sid} ${1 + random.below(5)}`]],
    [1, [`unsub ${queueSid}${random.below(3)}`]],
    [1, [of(random, ['SUB a..b 9', 'SUB .a 9', 'SUB a. 9', 'SUB a.>.b 9', 'SUB  a\t8'])]],
  ]
  let left = random.below(choices.reduce((sum, [weight]) => sum + weight, 0))
  for (const [weight, lines] of choices) {
    left -= weight
    if (left < 0) return { client, lines }
  }
  return { client, lines: ['PING'] }
}

/** What each client heard of one step; between subscriptions there is no order. */
async function hear(client: NatsClient): Promise<string[]> {
  const heard: string[] = []
  const lines = await client.flush()
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] as string // at < length
    const isMessage = /^H?MSG /.test(line)
    const told = line.replace(new RegExp(`^(H?MSG \\S+ ${queueSid})\\d+`), '$1')
    if (!isMessage) {
      // nats-server greets a client once more when it knows who it is.
      if (!told.startsWith('INFO ')) heard.push(told)
      continue
    }
    const total = Number(line.split(' ').at(-1))
    let text = lines[++at] ?? ''
    while (text.length < total) text += `\r\n${lines[++at] ?? ''}`
    // Of several subscriptions that the answer would have reached, one hears that there is none: whichever.
    const nobody = text.startsWith('NATS/1.0 503')
    heard.push(`${nobody ? told.replace(/^(HMSG \S+) \S+/, '$1 any') : told}\r\n${text}`)
  }
  return heard.sort()
}

async function playCore(port: number, steps: readonly CoreStep[]): Promise<string[][][]> {
  const clients = await Promise.all(Array.from({ length: clientCount }, () => NatsClient.open(port)))
  const all: string[][][] = []
  for (const { client, lines } of steps) {
    clients[client]?.send(...lines)
    const heard: string[][] = []
    // Whoever spoke first: what it said has been handed on then.
    const order = [client, ...clients.keys().filter((each) => each !== client)]
    for (const each of order) heard[each] = await hear(clients[each] as NatsClient)
    all.push(heard)
  }
  for (const client of clients) client.close()
  return all
}

/** Of one seed: the first step that differs, with what both servers said; null when none does. */
export async function compareCore(
  seed: number,
  theirPort: number,
  ourPort: number,
): Promise<{ readonly step: CoreStep; readonly found: readonly Difference[] } | null> {
  const random = new Random(seed)
  const steps = Array.from({ length: stepsEach }, () => coreStep(random))
  const [theirs, ours] = [await playCore(theirPort, steps), await playCore(ourPort, steps)]
  for (const [at, step] of steps.entries()) {
    const found = differences(theirs[at], ours[at])
    if (found.length > 0) return { step, found }
  }
  return null
}

// ------------------------------------------------------------------------------------------------------------------ JetStream

const apiStepsEach = 40

/** One stream, what is published to it, taken away, asked for and changed. */
export function generatedConversation(seed: number): Conversation {
  const random = new Random(seed)
  const name = `G${seed}`
  const own = name.toLowerCase()
  const limit = (): number => of(random, [-1, -1, 3, 6])
  // Half of them refuse what is too much, and half of those for each subject.
  const refuses = random.below(2) === 0
  const perSubject = refuses && random.below(2) === 0
  const config = (): object => ({
    name,
    subjects: [`${own}.>`],
    max_msgs: limit(),
    max_msgs_per_subject: perSubject ? 1 + random.below(4) : limit(),
    max_msg_size: of(random, [-1, -1, 60]),
    ...(refuses ? { discard: 'new', discard_new_per_subject: perSubject } : {}),
    allow_direct: true,
    allow_rollup_hdrs: true,
  })
  const steps: Step[] = [{ to: `$JS.API.STREAM.CREATE.${name}`, body: config() }]
  const pick = (wild = false): string => `${own}.${of(random, wild ? ['a', 'b', 'a.c', '*', '>'] : ['a', 'b', 'a.c'])}`
  const sequence = (): number => 1 + random.below(25)
  const headers = (): Record<string, string> =>
    of(random, [
      {},
      {},
      { 'Nats-Msg-Id': String(random.below(5)) },
      { 'Nats-Expected-Last-Sequence': String(random.below(15)) },
      { 'Nats-Expected-Last-Subject-Sequence': String(random.below(10)) },
      { 'Nats-Expected-Last-Subject-Sequence': String(random.below(10)), 'Nats-Expected-Last-Subject-Sequence-Subject': pick() },
      { 'Nats-Expected-Last-Msg-Id': String(random.below(5)) },
      { 'Nats-Rollup': of(random, ['sub', 'all', 'none']) },
      { 'Nats-Expected-Stream': of(random, [name, 'OTHER']) },
      { 'Nats-Msg-Id': String(random.below(5)), 'Nats-Expected-Last-Sequence': String(random.below(15)) },
      { 'Nats-Msg-Id': String(random.below(5)), 'Nats-Rollup': 'sub' },
    ])
  const api = (request: string, body: object | string = ''): Step => ({ to: `$JS.API.${request}.${name}`, body })
  while (steps.length < apiStepsEach) {
    const said = headers()
    const publish: Step = {
      to: pick(),
      body: 'x'.repeat(random.below(9)),
      ...(Object.keys(said).length === 0 ? {} : { headers: said }),
    }
    steps.push(
      of<Step>(random, [
        publish,
        publish,
        publish,
        publish,
        publish,
        api('STREAM.MSG.GET', { seq: sequence() }),
        api('STREAM.MSG.GET', { last_by_subj: pick(true) }),
        api('STREAM.MSG.GET', { next_by_subj: pick(true), seq: sequence() }),
        api('DIRECT.GET', { seq: sequence() }),
        api('DIRECT.GET', { last_by_subj: pick() }),
        api('STREAM.MSG.DELETE', { seq: sequence() }),
        api(
          'STREAM.PURGE',
          of<object>(random, [{ filter: pick(true) }, { filter: pick(), keep: 1 }, { seq: sequence() }, { keep: 2 }]),
        ),
        api('STREAM.INFO', of<object>(random, [{}, { subjects_filter: pick(true) }, { deleted_details: true }])),
        api('STREAM.UPDATE', config()),
      ]),
    )
  }
  steps.push(api('STREAM.INFO', { subjects_filter: '>', deleted_details: true }), api('STREAM.DELETE'))
  return { name: `generated ${seed}`, steps }
}
