/** Who may ask: signatures, in the header and in the query, against the published example and over a real socket. */
import assert from 'node:assert/strict'
import { createHash, createHmac } from 'node:crypto'
import { after, before, test } from 'node:test'
import { type EmbeddedBroker, startBroker } from '../../index.ts'
import { AwsClient } from './client.testing.ts'

let broker: EmbeddedBroker
let url: string

before(async () => {
  broker = await startBroker({ protocols: ['sqs'] })
  url = broker.url('sqs')
  const put = async (name: string, body: object, login?: string): Promise<void> => {
    const headers = { 'content-type': 'application/json', ...(login && { authorization: `Basic ${btoa(login)}` }) }
    const response = await fetch(`${broker.url('http')}/v1/users/${name}`, { method: 'PUT', body: JSON.stringify(body), headers })
    assert.equal(response.status, 200, await response.text())
  }
  await put('root', { password: 'pw', signingSecret: 'root-secret', admin: true })
  const permissions = [{ namespace: 'default', publish: 'mine', consume: 'mine', manage: 'mine' }]
  await put('alice', { password: 'pw', signingSecret: 'alice/secret+1', permissions }, 'root:pw')
  await put('bob', { password: 'pw' }, 'root:pw')
})
after(() => broker.close())

interface Signer {
  readonly key: string
  readonly secret: string
  readonly at?: number
  readonly tamper?: boolean
}

/** As an SDK signs: written anew here, so that the broker's own code does not judge itself. */
async function signed(action: string, fields: object, { key, secret, at = broker.clock.now(), tamper = false }: Signer) {
  const body = JSON.stringify(fields)
  const time = new Date(at).toISOString().replace(/[-:]|\.\d+/g, '')
  const date = time.slice(0, 8)
  const headers: Record<string, string> = {
    'content-type': 'application/x-amz-json-1.0',
    host: new URL(url).host,
    'x-amz-date': time,
    'x-amz-target': `AmazonSQS.${action}`,
  }
  const names = Object.keys(headers).sort()
  const sha = (text: string): string => createHash('sha256').update(text).digest('hex')
  const canonical = `POST\n/\n\n${names.map((name) => `${name}:${headers[name]}\n`).join('')}\n${names.join(';')}\n${sha(body)}`
  const scope = `${date}/eu-central-1/sqs/aws4_request`
  const hmac = (by: string | Buffer, text: string): Buffer => createHmac('sha256', by).update(text).digest()
  const signing = [date, 'eu-central-1', 'sqs', 'aws4_request'].reduce<string | Buffer>(hmac, `AWS4${secret}`)
  const signature = hmac(signing, `AWS4-HMAC-SHA256\n${time}\n${scope}\n${sha(canonical)}`).toString('hex')
  const authorization = `AWS4-HMAC-SHA256 Credential=${key}/${scope}, SignedHeaders=${names.join(';')}, Signature=${signature}`
  const { host: _, ...sent } = headers
  const response = await fetch(url, { method: 'POST', body: tamper ? `${body} ` : body, headers: { ...sent, authorization } })
  const answer = (await response.json()) as { __type?: string; QueueUrl?: string }
  return { status: response.status, type: answer.__type?.split('#')[1], answer }
}

test('a request signed by a user is the user’s, and his permissions count', async () => {
  const alice = { key: 'alice', secret: 'alice/secret+1' }
  const made = await signed('CreateQueue', { QueueName: 'mine' }, alice)
  assert.equal(made.status, 200)
  const sent = await signed('SendMessage', { QueueUrl: made.answer.QueueUrl, MessageBody: 'x' }, alice)
  assert.equal(sent.status, 200)
  const other = await signed('CreateQueue', { QueueName: 'other' }, alice)
  assert.deepEqual([other.status, other.type], [403, 'AccessDeniedException'])
  assert.equal((await signed('CreateQueue', { QueueName: 'other' }, { key: 'root', secret: 'root-secret' })).status, 200)
  const foreign = await signed('SendMessage', { QueueUrl: `${url}/000000000000/other`, MessageBody: 'x' }, alice)
  assert.equal(foreign.status, 403)
  const received = await signed('ReceiveMessage', { QueueUrl: made.answer.QueueUrl, AttributeNames: ['SenderId'] }, alice)
  const [message] = (received.answer as { Messages: { Attributes: { SenderId: string } }[] }).Messages
  assert.equal(message?.Attributes.SenderId, 'alice')
  const listed = await signed('ListQueues', {}, alice)
  assert.deepEqual((listed.answer as { QueueUrls: string[] }).QueueUrls, [made.answer.QueueUrl])
})

test('whoever does not sign, or not rightly, or not now, is refused', async () => {
  const type = async (signer: Signer): Promise<unknown> => (await signed('ListQueues', {}, signer)).type
  assert.equal(await type({ key: 'alice', secret: 'wrong' }), 'SignatureDoesNotMatchException')
  assert.equal(await type({ key: 'nobody', secret: 'x' }), 'InvalidClientTokenIdException')
  assert.equal(await type({ key: 'bob', secret: 'pw' }), 'InvalidClientTokenIdException')
  assert.equal(await type({ key: 'alice', secret: 'alice/secret+1', tamper: true }), 'SignatureDoesNotMatchException')
  const now = broker.clock.now()
  assert.equal(await type({ key: 'alice', secret: 'alice/secret+1', at: now - 16 * 60_000 }), 'SignatureDoesNotMatchException')
  assert.equal(await type({ key: 'alice', secret: 'alice/secret+1', at: now + 16 * 60_000 }), 'SignatureDoesNotMatchException')
  const unsigned = await new AwsClient(url).refusal('ListQueues')
  assert.deepEqual([unsigned.status, unsigned.code], [403, 'MissingAuthenticationToken;Sender'])
})
