// For tests only: requests to SQS and SNS as SDKs send them, without one.
import assert from 'node:assert/strict'

export type Json = Record<string, unknown>

export interface Refusal {
  readonly status: number
  readonly code: string
  readonly message: string
}

export class AwsClient {
  readonly url: string
  headers: Record<string, string> = {}

  constructor(url: string) {
    this.url = url
  }

  /** SQS's JSON protocol. */
  async #post(action: string, fields: Json, signal?: AbortSignal): Promise<Response> {
    return await fetch(this.url, {
      method: 'POST',
      headers: { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': `AmazonSQS.${action}`, ...this.headers },
      body: JSON.stringify(fields),
      ...(signal !== undefined && { signal }),
    })
  }

  async sqs(action: string, fields: Json = {}, signal?: AbortSignal): Promise<Json> {
    const response = await this.#post(action, fields, signal)
    const text = await response.text()
    assert.equal(response.status, 200, text)
    return text === '' ? {} : (JSON.parse(text) as Json) // the protocol's shape
  }

  async refusal(action: string, fields: Json = {}): Promise<Refusal & { readonly type: string }> {
    const response = await this.#post(action, fields)
    const { __type: type, message } = (await response.json()) as { __type: string; message: string }
    assert.notEqual(response.status, 200)
    return { status: response.status, type, code: response.headers.get('x-amzn-query-error') ?? '', message }
  }

  /** The Query protocol of both. */
  async query(form: Record<string, string>, path = '/'): Promise<{ readonly status: number; readonly xml: string }> {
    const response = await fetch(this.url + path, {
      method: 'POST',
      headers: this.headers,
      body: new URLSearchParams(form),
    })
    return { status: response.status, xml: await response.text() }
  }

  async createQueue(name: string, attributes: Record<string, string> = {}): Promise<string> {
    return String((await this.sqs('CreateQueue', { QueueName: name, Attributes: attributes }))['QueueUrl'])
  }

  async receive(QueueUrl: string, fields: Json = {}): Promise<ReceivedMessage[]> {
    const all = { MaxNumberOfMessages: 10, AttributeNames: ['All'], MessageAttributeNames: ['All'] }
    const answer = await this.sqs('ReceiveMessage', { QueueUrl, ...all, ...fields })
    return (answer['Messages'] ?? []) as ReceivedMessage[] // the protocol's shape
  }

  async bodies(url: string, fields: Json = {}): Promise<string[]> {
    return (await this.receive(url, fields)).map(({ Body }) => Body)
  }

  async attributes(QueueUrl: string): Promise<Record<string, string>> {
    return (await this.sqs('GetQueueAttributes', { QueueUrl, AttributeNames: ['All'] }))['Attributes'] as Record<string, string> // the protocol's shape
  }
}

export interface ReceivedMessage {
  readonly MessageId: string
  readonly ReceiptHandle: string
  readonly Body: string
  readonly MD5OfBody: string
  readonly Attributes: Record<string, string>
  readonly MessageAttributes: Record<string, { DataType: string; StringValue?: string; BinaryValue?: string }>
  readonly MD5OfMessageAttributes?: string
}

/** The text of an element. */
export const element = (xml: string, name: string): string | undefined =>
  new RegExp(`<${name}>(.*?)</${name}>`, 's').exec(xml)?.[1]
export const elements = (xml: string, name: string): string[] =>
  [...xml.matchAll(new RegExp(`<${name}>(.*?)</${name}>`, 'gs'))].map((match) => match[1] ?? '')
