/** One of the two servers: steps are sent to it, and what comes back is told in a form that can be compared. */
import { connect, createInbox, type Msg, headers as makeHeaders, type NatsConnection } from '@nats-io/transport-node'

export interface Step {
  readonly to: string
  /** An object is sent as JSON. */
  readonly body?: string | object
  readonly headers?: Readonly<Record<string, string>>
  /** Messages that are waited for; 1 if it is not said. 0: nothing is asked for. */
  readonly answers?: number
  /** Of the reply subject, what follows the inbox. */
  readonly part?: string
  /** Goes on only when this many more have come to what is listened to. */
  readonly heard?: number
}

export interface Conversation {
  readonly name: string
  /** Listened to beside the answers. */
  readonly listen?: readonly string[]
  readonly steps: readonly (Step | ((heard: readonly Heard[]) => Step))[]
}

export interface Heard {
  readonly subject: string
  readonly reply: string
  readonly status: string
  readonly headers: Readonly<Record<string, readonly string[]>>
  readonly body: unknown
}

const waitMs = 6000

export class Side {
  readonly #connection: NatsConnection

  private constructor(connection: NatsConnection) {
    this.#connection = connection
  }

  static async open(port: number): Promise<Side> {
    return new Side(await connect({ servers: `127.0.0.1:${port}`, inboxPrefix: '_IN' }))
  }

  /** What was heard after each step. */
  async play({ steps, listen = [] }: Conversation): Promise<Heard[][]> {
    const inbox = createInbox('_IN')
    let wake: () => void = () => undefined
    let waiting: Heard[] = []
    const all: Heard[] = []
    const onMessage = (_: Error | null, message: Msg): void => {
      const heard = told(message, inbox)
      waiting.push(heard)
      all.push(heard)
      wake()
    }
    const subscriptions = [inbox, `${inbox}.>`, ...listen].map((subject) =>
      this.#connection.subscribe(subject, { callback: onMessage }),
    )
    await this.#connection.flush()
    const heard: Heard[][] = []
    for (const each of steps) {
      const step = typeof each === 'function' ? each(all) : each
      const wanted = (step.answers ?? 1) + (step.heard ?? 0)
      const block = makeHeaders()
      for (const [name, value] of Object.entries(step.headers ?? {})) block.set(name, value)
      const body = typeof step.body === 'object' ? JSON.stringify(step.body) : (step.body ?? '')
      const options = {
        ...(step.part !== undefined ? { reply: `${inbox}.${step.part}` } : step.answers === 0 ? {} : { reply: inbox }),
        ...(step.headers === undefined ? {} : { headers: block }),
      }
      this.#connection.publish(step.to, body, options)
      const deadline = performance.now() + waitMs
      while (waiting.length < wanted && performance.now() < deadline)
        await new Promise<void>((resolve) => {
          wake = resolve
          setTimeout(resolve, deadline - performance.now())
        })
      await this.#connection.flush()
      // Between answers and what is listened to there is no order.
      heard.push([...waiting.filter(isAnswer), ...waiting.filter((each) => !isAnswer(each))])
      waiting = []
    }
    for (const subscription of subscriptions) subscription.unsubscribe()
    return heard
  }

  async close(): Promise<void> {
    await this.#connection.close()
  }
}

const isAnswer = ({ subject }: Heard): boolean => subject.startsWith('the inbox')

function told(message: Msg, inbox: string): Heard {
  const names = message.headers?.keys() ?? []
  const text = message.string()
  return {
    subject: message.subject.replace(inbox, 'the inbox'),
    reply: message.reply ?? '',
    status: message.headers === undefined ? '' : `${message.headers.code || ''} ${message.headers.description}`.trim(),
    headers: Object.fromEntries(names.map((name) => [name, message.headers?.values(name) ?? []])),
    body: text.startsWith('{') ? (JSON.parse(text) as unknown) : text,
  }
}
