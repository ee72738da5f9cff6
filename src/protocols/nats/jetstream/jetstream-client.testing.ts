/** For tests of JetStream: requests and their answers over one connection of nats-client.testing.ts. */
import { NatsClient } from '../nats-client.testing.ts'

/** A message as it stands on the wire; `status` is the line of its header block. */
export interface Got {
  readonly subject: string
  readonly reply: string
  readonly status: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export type Json = Record<string, unknown>

let clients = 0

export class JetStreamClient {
  readonly nats: NatsClient
  /** Nobody else's, since everybody hears what is sent to it. */
  readonly inbox = `in.${++clients}`
  #requests = 0

  private constructor(nats: NatsClient) {
    this.nats = nats
  }

  static async open(port: number, options: object = {}): Promise<JetStreamClient> {
    const client = new JetStreamClient(await NatsClient.open(port, options))
    client.nats.send(`SUB ${client.inbox}.> in`)
    return client
  }

  /** The next message of any subscription. */
  async next(): Promise<Got> {
    const line = await this.nats.line()
    const words = line.split(' ')
    const isBlock = words[0] === 'HMSG'
    if (words[0] !== 'MSG' && !isBlock) throw new Error(`no message: ${line}`)
    const total = Number(words.at(-1))
    const headerBytes = isBlock ? Number(words.at(-2)) : 0
    const hasReply = words.length === (isBlock ? 6 : 5)
    let text = await this.nats.line()
    // Lines of the payload are lines of the conversation.
    while (text.length < total) text += `\r\n${await this.nats.line()}`
    const [status = '', ...lines] = text.slice(0, headerBytes).split('\r\n')
    const headers = lines.filter((each) => each !== '').map((each) => each.split(': ') as [string, string])
    return {
      subject: words[1] ?? '',
      reply: hasReply ? (words[3] ?? '') : '',
      status: status.replace('NATS/1.0', '').trim(),
      headers: Object.fromEntries(headers),
      body: text.slice(headerBytes),
    }
  }

  async take(count: number): Promise<Got[]> {
    const got: Got[] = []
    while (got.length < count) got.push(await this.next())
    return got
  }

  /** Sends a request whose answers come in on a subject of its own, which is returned. */
  ask(subject: string, body: string | Json = '', headers: Readonly<Record<string, string>> = {}): string {
    const reply = `${this.inbox}.${++this.#requests}`
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
    if (lines.length === 0) this.nats.publish(subject, text, reply)
    else {
      const block = `NATS/1.0\r\n${lines.join('')}\r\n`
      this.nats.send(`HPUB ${subject} ${reply} ${block.length} ${block.length + Buffer.byteLength(text)}`, block + text)
    }
    return reply
  }

  async request(subject: string, body: string | Json = '', headers: Readonly<Record<string, string>> = {}): Promise<Got> {
    this.ask(subject, body, headers)
    return await this.next()
  }

  /** A request to the API; what it answers. */
  async api(request: string, body: string | Json = ''): Promise<Json> {
    return JSON.parse((await this.request(`$JS.API.${request}`, body)).body) as Json
  }

  /** Of an answer that refuses: its code. */
  async refusal(request: string, body: string | Json = ''): Promise<number> {
    return (((await this.api(request, body))['error'] ?? {}) as { err_code: number }).err_code
  }

  async stream(name: string, config: Json = {}): Promise<void> {
    const answer = await this.api(`STREAM.CREATE.${name}`, { name, subjects: [`${name}.>`], ...config })
    if (answer['error'] !== undefined) throw new Error(JSON.stringify(answer['error']))
  }

  async consumer(stream: string, name: string, config: Json = {}): Promise<Json> {
    const all = { durable_name: name, ack_policy: 'explicit', ...config }
    const answer = await this.api(`CONSUMER.CREATE.${stream}.${name}`, { stream_name: stream, config: all })
    if (answer['error'] !== undefined) throw new Error(JSON.stringify(answer['error']))
    return answer
  }

  /** Publishes and waits for the answer. */
  async publish(subject: string, body = '', headers: Readonly<Record<string, string>> = {}): Promise<Json> {
    return JSON.parse((await this.request(subject, body, headers)).body) as Json
  }

  /** Asks for messages that are there. */
  async pull(stream: string, consumer: string, batch: number): Promise<Got[]> {
    this.ask(`$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`, { batch, expires: 60_000_000_000 })
    return await this.take(batch)
  }

  close(): void {
    this.nats.close()
  }
}
