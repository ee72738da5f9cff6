/** Kills of the broker during traffic: what was confirmed is found, a FIFO queue gives nothing twice that was deleted, and a notification is in all queues or in none. */
import assert from 'node:assert/strict'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PublishCommand, SNSClient } from '@aws-sdk/client-sns'
import {
  CreateQueueCommand,
  DeleteMessageCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs'
import { AwsClient } from '../../../src/protocols/aws/client.testing.ts'
import { type AnyMQ, startAnyMQ } from '../anymq.ts'
import { runCases } from '../cases/cases.ts'

const kills = 3
const senders = 8

await runCases({
  'sent, deleted and published messages': async () => {
    const data = mkdtempSync(join(tmpdir(), 'anymq-aws-'))
    let broker: AnyMQ = await startAnyMQ({ data })
    const { portOffset } = broker
    const options = {
      endpoint: broker.sqs,
      region: 'us-east-1',
      credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
      maxAttempts: 1,
    }
    const sqs = new SQSClient(options)
    const sns = new SNSClient(options)
    const bare = new AwsClient(broker.sqs)
    const standard = await bare.createQueue('standard')
    const ordered = (
      await sqs.send(new CreateQueueCommand({ QueueName: 'o.fifo', Attributes: { FifoQueue: 'true', VisibilityTimeout: '2' } }))
    ).QueueUrl
    const copies = [await bare.createQueue('copy-a'), await bare.createQueue('copy-b')]
    const sns2010 = { Version: '2010-03-31', TopicArn: 'arn:aws:sns:us-east-1:000000000000:t' }
    await bare.query({ Action: 'CreateTopic', ...sns2010, Name: 't' })
    for (const name of ['copy-a', 'copy-b']) {
      const raw = { 'Attributes.entry.1.key': 'RawMessageDelivery', 'Attributes.entry.1.value': 'true' }
      await bare.query({
        Action: 'Subscribe',
        ...sns2010,
        Protocol: 'sqs',
        Endpoint: `arn:aws:sqs:us-east-1:000000000000:${name}`,
        ...raw,
      })
    }

    let going = true
    let next = 0
    const confirmed: Record<'standard' | 'ordered' | 'published', string[]> = { standard: [], ordered: [], published: [] }
    const deleted: string[] = []
    /** A kill may come between a deletion and the answer that says so. */
    const asked = new Set<string>()
    /** Until it is over; what fails was not confirmed. */
    const again = async (act: () => Promise<void>): Promise<void> => {
      while (going) await act().catch(() => new Promise<void>((resolve) => setTimeout(resolve, 20)))
    }
    const sending = Array.from({ length: senders }, (_, sender) => [
      again(async () => {
        const body = `s${next++}`
        await sqs.send(new SendMessageCommand({ QueueUrl: standard, MessageBody: body }))
        confirmed.standard.push(body)
      }),
      again(async () => {
        const body = `o${next++}`
        const group = { MessageGroupId: `g${sender}`, MessageDeduplicationId: body }
        await sqs.send(new SendMessageCommand({ QueueUrl: ordered, MessageBody: body, ...group }))
        confirmed.ordered.push(body)
      }),
      again(async () => {
        const body = `p${next++}`
        await sns.send(new PublishCommand({ TopicArn: sns2010.TopicArn, Message: body }))
        confirmed.published.push(body)
      }),
    ]).flat()
    const take = async (): Promise<number> => {
      const { Messages = [] } = await sqs.send(
        new ReceiveMessageCommand({ QueueUrl: ordered, MaxNumberOfMessages: 10, WaitTimeSeconds: 1 }),
      )
      for (const { Body = '', ReceiptHandle } of Messages) {
        assert.ok(!deleted.includes(Body), `${Body} came again after its deletion was confirmed`)
        asked.add(Body)
        await sqs.send(new DeleteMessageCommand({ QueueUrl: ordered, ReceiptHandle }))
        deleted.push(Body)
      }
      return Messages.length
    }
    let wrong: Error | undefined
    const taking = again(async () => {
      await take().catch((error: Error) => {
        if (error instanceof assert.AssertionError) wrong = error
        throw error
      })
    })

    for (let kill = 0; kill < kills; kill++) {
      const before = confirmed.published.length
      while (confirmed.published.length < before + 40) await new Promise((resolve) => setTimeout(resolve, 5))
      broker.process.kill('SIGKILL')
      await broker.process.exited
      broker = await startAnyMQ({ data, portOffset })
    }
    going = false
    await Promise.all([...sending, taking])
    assert.equal(wrong, undefined)

    const drain = async (url: string): Promise<Set<string>> => {
      const found = new Set<string>()
      for (let got = await bare.receive(url); got.length > 0; got = await bare.receive(url, { WaitTimeSeconds: 0 }))
        for (const { Body } of got) found.add(Body)
      return found
    }
    const left = await drain(standard)
    for (const body of confirmed.standard) assert.ok(left.has(body), `${body} was confirmed and is gone`)
    const [a, b] = await Promise.all(copies.map(drain))
    assert.deepEqual(a, b)
    for (const body of confirmed.published) assert.ok(a?.has(body), `${body} was confirmed and is gone`)
    for (let empty = 0; empty < 3; ) empty = (await take()) === 0 ? empty + 1 : 0
    for (const body of confirmed.ordered) assert.ok(asked.has(body), `${body} was confirmed and is gone`)
    await broker.stop()
  },
})
