/** `anymq pub TOPIC [VALUE…]`: publishes each value, or each line of standard input when none is given. */
import { createInterface } from 'node:readline'
import { parseDuration } from '../../lib/timers.ts'
import { ApiClient, clientOptions, topicPath } from '../api-client.ts'
import { optionValue, type ParsedArguments } from '../arguments.ts'
import type { Command } from '../command.ts'
import { UsageError } from '../usage-error.ts'

const batchRecords = 500

export const command: Command = {
  name: 'pub',
  usage: 'TOPIC [VALUE…]',
  summary: 'Publish each value as a record; without values, each line of standard input. A topic that does not exist is created.',
  options: [
    ...clientOptions,
    { name: 'key', value: 'KEY', help: 'key of every record' },
    { name: 'header', value: 'NAME=VALUE', repeatable: true, help: 'a header of every record; repeatable' },
    { name: 'content-type', value: 'TYPE', help: 'content type of every record' },
    { name: 'delay', value: 'TIME', help: 'visible only after this long, for example 30s or 5m' },
  ],
  run,
}

async function run(parsed: ParsedArguments): Promise<number> {
  const [topic, ...values] = parsed.positionals
  if (topic === undefined) throw new UsageError('pub needs a topic: anymq pub TOPIC [VALUE…]')
  const client = new ApiClient(parsed)
  const common = commonFields(parsed)
  let published = 0
  const send = async (batch: readonly string[]): Promise<void> => {
    const records = batch.map((value) => ({ ...common, value }))
    const answer = await client.call('POST', `${topicPath(topic)}/records`, { records, create: true })
    const results = answer['results'] as { status: string; error?: { message: string } }[] // the API's own shape
    const failed = results.find((result) => result.status === 'failed')
    if (failed !== undefined) throw new Error(failed.error?.message ?? 'the broker refused a record')
    published += batch.length
  }
  if (values.length > 0) await send(values)
  else await sendLines(send)
  process.stderr.write(`published ${published} ${published === 1 ? 'record' : 'records'} to ${topic}\n`)
  return 0
}

async function sendLines(send: (batch: readonly string[]) => Promise<void>): Promise<void> {
  let batch: string[] = []
  for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
    batch.push(line)
    // At a terminal each line goes at once.
    if (batch.length >= batchRecords || process.stdin.isTTY) {
      await send(batch)
      batch = []
    }
  }
  if (batch.length > 0) await send(batch)
}

function commonFields(parsed: ParsedArguments): Record<string, unknown> {
  const key = optionValue(parsed, 'key')
  const contentType = optionValue(parsed, 'content-type')
  const delay = optionValue(parsed, 'delay')
  const headers = (parsed.options.get('header') ?? []).map((written) => {
    const equals = written.indexOf('=')
    if (equals === -1) throw new UsageError(`--header ${written}: write NAME=VALUE`)
    return { name: written.slice(0, equals), type: 'string', value: written.slice(equals + 1) }
  })
  return {
    headers,
    ...(key === undefined ? {} : { key }),
    ...(contentType === undefined ? {} : { contentType }),
    ...(delay === undefined ? {} : { deliverAt: Date.now() + parseDuration(delay) }),
  }
}
