/** stompjs over WebSocket, or with the word tcp over plain TCP: queues and topics, text and binary bodies, heart-beats, transactions, errors. */
import assert from 'node:assert/strict'
import { Client, type IFrame, type IMessage, type StompConfig } from '@stomp/stompjs'
import { runCases, setting, unique, until } from '../cases/cases.ts'
import { TcpSocket } from './tcp.ts'

const transport: StompConfig =
  process.argv[2] === 'tcp'
    ? { webSocketFactory: () => new TcpSocket(setting('STOMP')), forceBinaryWSFrames: true }
    : { brokerURL: setting('STOMP_WEBSOCKET') }

async function connected(options: StompConfig = {}): Promise<{ client: Client; errors: IFrame[]; greeting: IFrame }> {
  const errors: IFrame[] = []
  let greeting: IFrame | undefined
  const client = new Client({
    ...transport,
    reconnectDelay: 0,
    onConnect: (frame) => {
      greeting = frame
    },
    onStompError: (frame) => void errors.push(frame),
    ...options,
  })
  client.activate()
  await until('CONNECTED', () => greeting !== undefined)
  return { client, errors, greeting: greeting as unknown as IFrame } // until() saw it
}

async function receipted(client: Client, act: (receipt: string) => void): Promise<void> {
  const id = unique('receipt')
  let seen = false
  client.watchForReceipt(id, () => {
    seen = true
  })
  act(id)
  await until('the receipt', () => seen)
}

await runCases({
  'a queue: text with characters of several bytes, each acknowledged': async () => {
    const { client, greeting } = await connected()
    assert.equal(greeting.headers['version'], '1.2')
    const destination = `/queue/${unique('stompjs')}`
    const bodies = Array.from({ length: 200 }, (_, i) => `${i} naïve 日本 ${'é'.repeat(i)}`)
    for (const body of bodies) client.publish({ destination, body })
    const seen: string[] = []
    client.subscribe(
      destination,
      (message) => {
        seen.push(message.body)
        message.ack()
      },
      { ack: 'client-individual' },
    )
    await until('all messages', () => seen.length === bodies.length)
    assert.deepEqual(seen, bodies)
    await client.deactivate()
  },

  'a binary body, and one of 2 MB': async () => {
    const { client } = await connected()
    const destination = `/topic/${unique('stompjs')}`
    const seen: IMessage[] = []
    await receipted(client, (receipt) => client.subscribe(destination, (message) => seen.push(message), { receipt }))
    const binaryBody = new Uint8Array([0, 255, 254, 0, 10, 13, 128])
    client.publish({ destination, binaryBody })
    client.publish({ destination, body: 'x'.repeat(2_000_000) })
    await until('both messages', () => seen.length === 2)
    assert.deepEqual(seen[0]?.binaryBody, binaryBody)
    assert.equal(seen[1]?.body.length, 2_000_000)
    await client.deactivate()
  },

  'a transaction is all or nothing': async () => {
    const { client } = await connected()
    const destination = `/queue/${unique('stompjs')}`
    const seen: string[] = []
    client.subscribe(destination, ({ body }) => seen.push(body))
    const aborted = client.begin()
    client.publish({ destination, body: 'never', headers: { transaction: aborted.id } })
    aborted.abort()
    const kept = client.begin()
    client.publish({ destination, body: 'kept', headers: { transaction: kept.id } })
    kept.commit()
    await until('the message', () => seen.length > 0)
    assert.deepEqual(seen, ['kept'])
    await client.deactivate()
  },

  'frames of the client in pieces of 1 KB, and heart-beats': async () => {
    const { client } = await connected({
      splitLargeFrames: true,
      maxWebSocketChunkSize: 1024,
      heartbeatIncoming: 1000,
      heartbeatOutgoing: 1000,
    })
    const destination = `/topic/${unique('stompjs')}`
    const seen: string[] = []
    await receipted(client, (receipt) => client.subscribe(destination, ({ body }) => seen.push(body), { receipt }))
    client.publish({ destination, body: 'y'.repeat(50_000) })
    await until('the message', () => seen.length === 1)
    assert.equal(seen[0]?.length, 50_000)
    await client.deactivate()
  },

  'an ERROR frame arrives before the end': async () => {
    const { client, errors } = await connected()
    client.subscribe(`/amq/queue/${unique('missing')}`, () => undefined)
    await until('the error', () => errors.length === 1)
    assert.match(errors[0]?.headers['message'] ?? '', /not.?found/i)
    await client.deactivate()
  },
})
