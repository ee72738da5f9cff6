/** `anymq sub TOPIC`: prints records as they arrive, without acknowledging anything. */
import { ApiClient, clientOptions, topicPath } from '../api-client.ts'
import { optionValue, type ParsedArguments } from '../arguments.ts'
import type { Command } from '../command.ts'
import { UsageError } from '../usage-error.ts'

export const command: Command = {
  name: 'sub',
  usage: 'TOPIC',
  summary: 'Print records as they arrive. Nothing is acknowledged or moved: consumers get what they would have got.',
  options: [
    ...clientOptions,
    { name: 'from', value: 'WHERE', help: 'oldest, newest (default), or an offset' },
    { name: 'count', value: 'N', help: 'end after so many records' },
    { name: 'json', help: 'print each record as a line of JSON with all attributes' },
  ],
  run,
}

async function run(parsed: ParsedArguments): Promise<number> {
  const [topic] = parsed.positionals
  if (topic === undefined) throw new UsageError('sub needs a topic: anymq sub TOPIC')
  const count = Number(optionValue(parsed, 'count') ?? Infinity)
  if (!(count > 0)) throw new UsageError('--count must be a number above 0')
  const json = optionValue(parsed, 'json') !== undefined
  process.once('SIGINT', () => process.exit(0))
  let seen = 0
  for await (const line of new ApiClient(parsed).lines(`${topicPath(topic)}/records/stream?${startQuery(parsed)}`)) {
    const record = JSON.parse(line) as Record<string, unknown> // each line is an object, by the API
    if (typeof record['error'] === 'string' && !('offset' in record)) throw new Error(record['error'])
    process.stdout.write(`${json ? line : plainLine(record)}\n`)
    if (++seen >= count) return 0
  }
  return 0
}

function startQuery(parsed: ParsedArguments): string {
  const from = optionValue(parsed, 'from') ?? 'newest'
  if (from === 'oldest' || from === 'newest') return `from=${from}`
  if (!/^\d+$/.test(from)) throw new UsageError('--from must be oldest, newest or an offset')
  return `offset=${from}`
}

function plainLine(record: Record<string, unknown>): string {
  const key = record['key'] ?? record['keyBase64']
  const value = record['value'] ?? (record['valueBase64'] === undefined ? '' : `base64:${String(record['valueBase64'])}`)
  return key === undefined || key === null ? String(value) : `${String(key)}\t${String(value)}`
}
