/** The matrix's NATS side, by nats.js. Attributes other than the reply subject are headers `anymq.<name>`. It listens before anything is published. */
import { connect, headers as emptyHeaders, type Msg, type MsgHdrs } from '@nats-io/transport-node'
import { setting, within } from '../cases/cases.ts'
import { ATTRIBUTES, BODY, type Driver, HEADERS, KEY, type Seen, TIMESTAMP } from './message.ts'
import { fromTexts } from './mqtt.ts'

export async function natsDriver(): Promise<Driver> {
  const connection = await connect({ servers: setting('NATS') })
  const coming = new Map<string, Promise<Msg>>()

  async function next(topic: string): Promise<Msg> {
    return await within(15_000, `a message for NATS in ${topic}`, coming.get(topic) as Promise<Msg>) // listened before
  }

  return {
    name: 'nats',
    typedHeaders: false,
    cannotWrite: ['h-bytes'],
    listen: async (topic) => {
      coming.set(
        topic,
        new Promise((resolve) => connection.subscribe(topic, { max: 1, callback: (_, message) => resolve(message) })),
      )
      await connection.flush()
    },
    produce: async (topic) => {
      const headers = emptyHeaders()
      headers.set('anymq.key-base64', KEY.toString('base64'))
      headers.set('anymq.timestamp', String(TIMESTAMP))
      for (const [name, value] of Object.entries(ATTRIBUTES)) if (name !== 'reply-to') headers.set(`anymq.${name}`, value)
      for (const { name, text } of HEADERS) if (text !== undefined) headers.set(name, text)
      connection.publish(topic, BODY, { headers, reply: ATTRIBUTES['reply-to'] })
      await connection.flush()
    },
    consume: async (topic) => seen(await next(topic)),
    forward: async (from, to) => {
      const { data, headers, reply } = await next(from)
      connection.publish(to, data, { ...(headers && { headers }), ...(reply !== undefined && reply !== '' && { reply }) })
      await connection.flush()
    },
    close: () => connection.close(),
  }
}

function seen({ data, headers: given, reply }: Msg): Seen {
  const attributes: Record<string, string | undefined> = { 'reply-to': reply === '' ? undefined : reply }
  const { key, timestamp, headers } = fromTexts(textsOf(given), attributes)
  return { body: Buffer.from(data), key, timestamp, attributes, headers, redelivered: undefined }
}

/** A header that no line can hold is there as `anymq.encoded: name=value`. */
function textsOf(headers: MsgHdrs | undefined): Map<string, string> {
  const texts = new Map<string, string>()
  for (const name of headers?.keys() ?? []) {
    for (const value of headers?.values(name) ?? []) {
      const [inner = '', text = ''] = name === 'anymq.encoded' ? value.split('=').map(decodeURIComponent) : [name, value]
      texts.set(inner, text)
    }
  }
  return texts
}
