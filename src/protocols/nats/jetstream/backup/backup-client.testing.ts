/** Takes backups of streams and gives them back, as nats's tools do, against any server. */
import { Buffer } from 'node:buffer'
import { createInbox, type Msg, type NatsConnection } from '@nats-io/transport-node'
import type { Json } from '../jetstream-client.testing.ts'

export interface Backup {
  readonly config: Json
  readonly state: Json
  readonly bytes: Buffer
  /** Of its last message, and how many came. */
  readonly status: string
  readonly chunks: number
}

const waitMs = 10_000

export async function ask(connection: NatsConnection, subject: string, body: object | Uint8Array): Promise<Json> {
  const data = body instanceof Uint8Array ? body : JSON.stringify(body)
  const text = (await connection.request(subject, data, { timeout: waitMs })).string()
  return text === '' ? {} : (JSON.parse(text) as Json)
}

export async function takeBackup(connection: NatsConnection, stream: string, options: object = {}): Promise<Backup> {
  const inbox = createInbox()
  const chunks: Buffer[] = []
  const { promise: ended, resolve, reject } = Promise.withResolvers<string>()
  const timer = setTimeout(() => reject(new Error(`the backup did not end, ${chunks.length} chunks came`)), waitMs)
  const callback = (_: Error | null, message: Msg): void => {
    if (message.data.length === 0) return resolve(`${message.headers?.code ?? 0} ${message.headers?.description ?? ''}`.trim())
    chunks.push(Buffer.from(message.data))
    message.respond()
  }
  const subscription = connection.subscribe(inbox, { callback })
  const answer = await ask(connection, `$JS.API.STREAM.SNAPSHOT.${stream}`, { deliver_subject: inbox, ...options })
  if (answer['error'] !== undefined) resolve('')
  const status = await ended.finally(() => clearTimeout(timer))
  subscription.unsubscribe()
  if (answer['error'] !== undefined) throw Object.assign(new Error('refused'), { answer })
  const { config, state } = answer as { config: Json; state: Json }
  return { config, state, bytes: Buffer.concat(chunks), status, chunks: chunks.length }
}

/** Resolves to the last answer, or the first that has an error. */
export async function giveBackup(
  connection: NatsConnection,
  { config, state, bytes }: Omit<Backup, 'status' | 'chunks'>,
): Promise<Json> {
  const begun = await ask(connection, `$JS.API.STREAM.RESTORE.${String(config['name'])}`, { config, state })
  const to = begun['deliver_subject']
  if (typeof to !== 'string') return begun
  for (let at = 0; at < bytes.length; at += 50_000) {
    const answer = await ask(connection, to, bytes.subarray(at, at + 50_000))
    if (answer['error'] !== undefined) return answer
  }
  return await ask(connection, to, new Uint8Array())
}
