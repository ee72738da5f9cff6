/**
 * The matrix's Redis sides, by ioredis: a stream, whose fields are `value`, headers, and `anymq.<name>` for attributes; and a list, whose elements are
 * the value alone.
 */
import { Redis } from 'ioredis'
import { setting, until } from '../cases/cases.ts'
import { ATTRIBUTES, allButTheBody, BODY, type Driver, HEADERS, KEY, type Seen, TIMESTAMP } from './message.ts'

const prefix = 'anymq.'
const keyField = 'anymq.key'
const timestampField = 'anymq.timestamp'

function connect(): Redis {
  const [host = '', port = ''] = setting('REDIS').split(':')
  return new Redis({ host, port: Number(port), maxRetriesPerRequest: 1, enableReadyCheck: false })
}

type Entry = [id: Buffer, fields: Buffer[]]

export async function redisStreamDriver(): Promise<Driver> {
  const client = connect()
  await client.ping()

  async function first(topic: string): Promise<Map<string, Buffer>> {
    let entry: Entry | undefined
    await until(`an entry for Redis in ${topic}`, async () => {
      ;[entry] = await client.xrangeBuffer(topic, '-', '+', 'COUNT', 1)
      return entry !== undefined
    })
    const fields = entry?.[1] ?? []
    const named = new Map<string, Buffer>()
    for (let at = 0; at < fields.length; at += 2) named.set(String(fields[at]), fields[at + 1] as Buffer) // pairs
    return named
  }

  return {
    name: 'redis stream',
    typedHeaders: false,
    declares: 'log',
    needs: 'log',
    declare: async (topic) => {
      await client.xgroup('CREATE', topic, 'declared', '$', 'MKSTREAM')
    },
    produce: async (topic) => {
      const fields: (string | Buffer)[] = ['value', BODY, keyField, KEY, timestampField, String(TIMESTAMP)]
      for (const [name, value] of Object.entries(ATTRIBUTES)) fields.push(prefix + name, value)
      for (const { name, raw, text } of HEADERS) {
        const written = raw ?? text
        if (written !== undefined) fields.push(name, written)
      }
      await client.xadd(topic, '*', ...fields)
    },
    consume: async (topic) => seen(await first(topic)),
    forward: async (from, to) => {
      const fields = await first(from)
      await client.xadd(to, '*', ...[...fields].flat())
    },
    close: async () => client.disconnect(),
  }
}

function seen(fields: ReadonlyMap<string, Buffer>): Seen {
  const headers = new Map<string, unknown>()
  const attributes: Record<string, string | undefined> = {}
  for (const [name, bytes] of fields) {
    if (name === 'value' || name === keyField || name === timestampField) continue
    if (name.startsWith(prefix) && name.slice(prefix.length) in ATTRIBUTES)
      attributes[name.slice(prefix.length)] = bytes.toString()
    else headers.set(name, bytes)
  }
  const timestamp = fields.get(timestampField)
  return {
    body: fields.get('value') ?? Buffer.alloc(0),
    key: fields.get(keyField),
    timestamp: timestamp === undefined ? undefined : Number(timestamp),
    attributes,
    headers,
    redelivered: undefined,
  }
}

export async function redisListDriver(): Promise<Driver> {
  const client = connect()
  await client.ping()
  const first = async (topic: string): Promise<Buffer> => {
    const found = await client.brpopBuffer(topic, 12)
    if (found === null) throw new Error(`no element in ${topic}`)
    return found[1]
  }
  return {
    name: 'redis list',
    typedHeaders: false,
    declares: 'queue',
    needs: 'queue',
    cannotWrite: allButTheBody,
    cannotRead: allButTheBody,
    cannotCopy: allButTheBody,
    declare: async (topic) => {
      // A list is made by its first element, and is hidden, but there for others, once that is gone.
      await client.lpush(topic, 'declared')
      await client.rpop(topic)
    },
    produce: async (topic) => {
      await client.lpush(topic, BODY)
    },
    consume: async (topic) => ({
      body: await first(topic),
      key: undefined,
      timestamp: undefined,
      attributes: {},
      headers: new Map(),
      redelivered: undefined,
    }),
    forward: async (from, to) => {
      await client.lpush(to, await first(from))
    },
    close: async () => client.disconnect(),
  }
}
