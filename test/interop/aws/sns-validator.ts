/** AWS's sns-validator on what an endpoint gets from a broker with TLS. It is told the broker's host, and whom to trust: unlike AWS's, that is nobody it knows. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { Agent, get, globalAgent } from 'node:https'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { CreateTopicCommand, PublishCommand, SetTopicAttributesCommand, SNSClient, SubscribeCommand } from '@aws-sdk/client-sns'
import { runCases, setting, unique, until } from '../cases/cases.ts'
import { nodeSns } from '../install.ts'

/** As far as it is used here. */
type MessageValidator = new (
  hostPattern?: RegExp,
) => { validate(message: object, done: (error: Error | null, message?: Record<string, string>) => void): void }
const Validator = createRequire(`${nodeSns}/`)('sns-validator') as MessageValidator

const ca = readFileSync(`${setting('TLS')}/root.crt`)
globalAgent.options.ca = ca
const port = new URL(setting('SQS')).port
const host = new RegExp(`^localhost:${port}$`)

const validate = (message: object, pattern?: RegExp): Promise<Record<string, string> | undefined> =>
  new Promise((resolve, reject) =>
    new Validator(pattern).validate({ ...message }, (error, valid) => (error === null ? resolve(valid) : reject(error))),
  )

const sns = new SNSClient({
  endpoint: `https://localhost:${port}`,
  region: 'us-east-1',
  credentials: { accessKeyId: 'alice', secretAccessKey: 'alice-signs' },
  requestHandler: { httpsAgent: new Agent({ ca }) },
})

await runCases({
  'confirmations and notifications, in both versions': async () => {
    const posts: Record<string, string>[] = []
    const endpoint = createServer(async (request, response) => {
      posts.push(JSON.parse((await request.toArray()).join('')) as Record<string, string>)
      response.end()
    })
    await new Promise<void>((resolve) => endpoint.listen(0, '127.0.0.1', resolve))
    const { TopicArn } = await sns.send(new CreateTopicCommand({ Name: unique('signed').replaceAll('.', '-') }))
    const Endpoint = `http://127.0.0.1:${(endpoint.address() as AddressInfo).port}/`
    await sns.send(new SubscribeCommand({ TopicArn, Protocol: 'http', Endpoint }))
    await until('a confirmation', () => posts.length === 1)
    const confirmation = await validate(posts[0] ?? {}, host)
    assert.equal(confirmation?.['Type'], 'SubscriptionConfirmation')
    assert.equal(await statusOf(confirmation?.['SubscribeURL'] ?? ''), 200)
    for (const version of ['1', '2']) {
      await sns.send(new SetTopicAttributesCommand({ TopicArn, AttributeName: 'SignatureVersion', AttributeValue: version }))
      await sns.send(new PublishCommand({ TopicArn, Subject: 'An order', Message: `größe <&> by version ${version}\n` }))
      await until('a notification', () => posts.length === 1 + Number(version))
      const notification = posts.at(-1) ?? {}
      assert.equal((await validate(notification, host))?.['SignatureVersion'], version)
      await assert.rejects(validate({ ...notification, Message: 'forged' }, host), /signature is invalid/i)
    }
    // As it comes it trusts AWS's hosts alone.
    await assert.rejects(validate(posts.at(-1) ?? {}), /certificate is located on an invalid domain/i)
    endpoint.close()
    endpoint.closeAllConnections()
  },
})

function statusOf(url: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    get(url, (response) => {
      response.resume()
      resolve(response.statusCode)
    }).on('error', reject)
  })
}
