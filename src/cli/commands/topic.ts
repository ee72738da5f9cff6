/** `anymq topic list | create NAME [KEY=VALUE…] | describe NAME | delete NAME` */
import { ApiClient, clientOptions, topicPath } from '../api-client.ts'
import { optionValue, type ParsedArguments } from '../arguments.ts'
import type { Command } from '../command.ts'
import { didYouMean } from '../nearest.ts'
import { formatTable } from '../table.ts'
import { UsageError } from '../usage-error.ts'

interface TopicJson {
  readonly name: string
  readonly config: { readonly partitions: number; readonly retention: string }
  readonly status?: { readonly partitions: readonly { startOffset: number; nextOffset: number; bytes: number }[] }
}

const actions = ['list', 'create', 'describe', 'delete'] as const

export const command: Command = {
  name: 'topic',
  usage: 'list | create NAME [KEY=VALUE…] | describe NAME | delete NAME',
  summary:
    "Manage topics of a running broker. Keys of create are those of a topic's config, for example partitions=4 retention=acknowledged.",
  options: [...clientOptions, { name: 'json', help: 'print JSON' }],
  run,
}

async function run(parsed: ParsedArguments): Promise<number> {
  const [written = 'list', name, ...pairs] = parsed.positionals
  const action = actions.find((each) => each === written)
  if (action === undefined) throw new UsageError(`topic: unknown action ${written}${didYouMean(written, actions)}`)
  const client = new ApiClient(parsed)
  if (action === 'list') return list(client, optionValue(parsed, 'json') !== undefined)
  if (name === undefined) throw new UsageError(`topic ${action} needs the name of a topic`)
  switch (action) {
    case 'create':
      await client.call('POST', '/v1/topics', { name, config: Object.fromEntries(pairs.map(configPair)) })
      process.stdout.write(`created ${name}\n`)
      return 0
    case 'describe':
      process.stdout.write(`${JSON.stringify(await client.call('GET', topicPath(name)), null, 2)}\n`)
      return 0
    case 'delete':
      await client.call('DELETE', topicPath(name))
      process.stdout.write(`deleted ${name}\n`)
      return 0
  }
}

async function list(client: ApiClient, json: boolean): Promise<number> {
  const topics = (await client.call('GET', '/v1/topics'))['topics'] as TopicJson[] // the API's own shape
  if (json) process.stdout.write(`${JSON.stringify(topics, null, 2)}\n`)
  else if (topics.length === 0) process.stdout.write('no topics\n')
  else process.stdout.write(`${formatTable([['TOPIC', 'RETENTION', 'PARTITIONS', 'RECORDS', 'BYTES'], ...topics.map(row)])}\n`)
  return 0
}

function row(topic: TopicJson): (string | number)[] {
  const partitions = topic.status?.partitions ?? []
  const records = partitions.reduce((sum, each) => sum + each.nextOffset - each.startOffset, 0)
  const bytes = partitions.reduce((sum, each) => sum + each.bytes, 0)
  return [topic.name, topic.config.retention, topic.config.partitions, records, bytes]
}

function configPair(pair: string): [string, unknown] {
  const equals = pair.indexOf('=')
  if (equals === -1) throw new UsageError(`"${pair}" is not KEY=VALUE, for example partitions=4`)
  const value = pair.slice(equals + 1)
  if (value === 'true' || value === 'false') return [pair.slice(0, equals), value === 'true']
  const number = Number(value)
  return [pair.slice(0, equals), value !== '' && Number.isFinite(number) ? number : value]
}
