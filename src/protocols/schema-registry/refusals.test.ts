// A topic that asks for schemas refuses what is not by them in the words of every protocol that can bring it, and stores nothing.
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { after, before, test } from 'node:test'
import { type EmbeddedBroker, startBroker } from '../../index.ts'

let broker: EmbeddedBroker
const [good, bad] = ['{"a":1}', '{"b":1}']
const topic = 'work'

before(async () => {
  const protocols = ['redis', 'disque', 'beanstalkd', 'nsq', 'sqs', 'kafka', 'kafka-rest', 'schema-registry']
  broker = await startBroker({ protocols })
  const schema = '{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}'
  const registered = await post('schema-registry', `/subjects/${topic}-value/versions`, { schema, schemaType: 'JSON' })
  assert.equal(registered.status, 200)
  const made = await post('http', '/v1/topics', { name: topic, config: { retention: 'acknowledged', valueSchema: 'content' } })
  assert.equal(made.status, 201)
})
after(() => broker.close())

interface Answer {
  readonly status: number
  readonly text: string
}

async function post(listener: string, path: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  const response = await fetch(`${broker.url(listener).replace(/^\w+:/, 'http:')}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
  return { status: response.status, text: await response.text() }
}

/** What is answered to these bytes, until the pattern is there or the connection ends. */
function said(listener: string, bytes: string, until: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(broker.port(listener), '127.0.0.1', () => socket.write(bytes))
    let heard = ''
    socket.on('data', (chunk) => {
      heard += chunk.toString()
      if (until.test(heard)) socket.end()
    })
    socket.on('error', reject).on('close', () => resolve(heard))
  })
}

const stored = async (): Promise<number> => (await broker.messages(topic)).length

async function refuses(send: (value: string) => Promise<string>, refusal: RegExp, done: RegExp): Promise<void> {
  const before = await stored()
  assert.match(await send(bad), refusal)
  assert.equal(await stored(), before, 'nothing is stored')
  assert.match(await send(good), done)
  assert.equal(await stored(), before + 1)
}

const resp = (...words: readonly string[]): string =>
  `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`

test('Redis', () => refuses((value) => said('redis', resp('RPUSH', topic, value), /\r\n/), /^-ERR .*schema/, /^:\d+/))

test('Disque', () => refuses((value) => said('disque', resp('ADDJOB', topic, value, '1000'), /\r\n/), /^-ERR .*schema/, /^[+$]/))

test('beanstalkd', () =>
  refuses(
    (value) => said('beanstalkd', `use ${topic}\r\nput 0 0 60 ${value.length}\r\n${value}\r\n`, /\r\n.*\r\n/),
    /USING work\r\n\w+_\w+\r\n/,
    /INSERTED/,
  ))

test('NSQ', async () => {
  const frame = (value: string): string => {
    const size = Buffer.alloc(4)
    size.writeInt32BE(value.length)
    return `  V2PUB ${topic}\n${size.toString('latin1')}${value}`
  }
  await refuses((value) => said('nsq', frame(value), /OK|E_\w+/), /E_\w+/, /OK/)
})

test('SQS', () =>
  refuses(
    async (value) => {
      const QueueUrl = `${broker.url('sqs')}/000000000000/${topic}`
      const headers = { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': 'AmazonSQS.SendMessage' }
      const { status, text } = await post('sqs', '/', { QueueUrl, MessageBody: value }, headers)
      return `${status} ${text}`
    },
    /^400 .*schema/,
    /^200 /,
  ))

test('the REST proxy', () =>
  refuses(
    async (value) => {
      const records = { records: [{ value: JSON.parse(value) as unknown }] }
      const headers = { 'content-type': 'application/vnd.kafka.json.v2+json' }
      return (await post('kafka-rest', `/topics/${topic}`, records, headers)).text
    },
    /"error":".*schema/,
    /"error_code":null/,
  ))
