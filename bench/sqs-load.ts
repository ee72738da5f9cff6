/**
 * Load for SQS in a process of its own, the same for both sides: connections that are kept, each with one request of the JSON protocol at a time. There is
 * no public load generator for SQS. Prints one line of JSON: messages a second, and the latencies of the requests.
 *
 *   node bench/sqs-load.ts URL send|sendBatch|receive QUEUE MESSAGES BYTES CONNECTIONS
 */
import { Agent, request } from 'node:http'

const [endpoint = '', mode = '', queue = '', messages = '0', bytes = '0', connections = '1'] = process.argv.slice(2)
const url = new URL(endpoint)
const agent = new Agent({ keepAlive: true, maxSockets: Number(connections) })
const perBatch = 10
const latencies: number[] = []

function call(action: string, fields: object): Promise<Record<string, unknown>> {
  const body = JSON.stringify(fields)
  const headers = {
    'content-type': 'application/x-amz-json-1.0',
    'x-amz-target': `AmazonSQS.${action}`,
    'content-length': Buffer.byteLength(body),
    // As an SDK signs; neither side checks it here.
    authorization: 'AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=0',
  }
  const since = performance.now()
  return new Promise((resolve, reject) => {
    const sent = request({ host: url.hostname, port: url.port, path: '/', method: 'POST', agent, headers }, (response) => {
      const parts: Buffer[] = []
      response.on('data', (part: Buffer) => parts.push(part))
      response.on('end', () => {
        latencies.push(performance.now() - since)
        const text = Buffer.concat(parts).toString()
        if (response.statusCode !== 200) reject(new Error(`${action}: ${response.statusCode} ${text}`))
        else resolve(text === '' ? {} : (JSON.parse(text) as Record<string, unknown>)) // the protocol's shape
      })
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

const { QueueUrl } = await call('CreateQueue', { QueueName: queue })
latencies.length = 0
const body = 'x'.repeat(Number(bytes))
let left = Number(messages)

async function send(): Promise<void> {
  while (left > 0) {
    left--
    await call('SendMessage', { QueueUrl, MessageBody: body })
  }
}

async function sendBatch(): Promise<void> {
  while (left > 0) {
    left -= perBatch
    const Entries = Array.from({ length: perBatch }, (_, index) => ({ Id: `${index}`, MessageBody: body }))
    await call('SendMessageBatch', { QueueUrl, Entries })
  }
}

async function receive(): Promise<void> {
  while (left > 0) {
    const { Messages = [] } = (await call('ReceiveMessage', { QueueUrl, MaxNumberOfMessages: perBatch })) as {
      Messages?: { ReceiptHandle: string }[]
    }
    if (Messages.length === 0) return
    left -= Messages.length
    const Entries = Messages.map(({ ReceiptHandle }, index) => ({ Id: `${index}`, ReceiptHandle }))
    await call('DeleteMessageBatch', { QueueUrl, Entries })
  }
}

const work = { send, sendBatch, receive }[mode]
if (work === undefined) throw new Error(`unknown: ${mode}`)
const started = performance.now()
await Promise.all(Array.from({ length: Number(connections) }, work))
const seconds = (performance.now() - started) / 1000
latencies.sort((a, b) => a - b)
const at = (share: number): number => latencies[Math.floor((latencies.length - 1) * share)] ?? 0
const done = Number(messages) - Math.max(0, left)
console.log(JSON.stringify({ perSecond: done / seconds, p50Ms: at(0.5), p99Ms: at(0.99) }))
agent.destroy()
