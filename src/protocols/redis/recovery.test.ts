/** After random commands and a power failure Redis's keys are what clients saw before it. The commands are those that are compared with Redis itself. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sequence } from '../../../test/differential/redis/commands.ts'
import { Machine } from '../../../test/support/machine.ts'
import { formats } from '../../core/record.ts'
import { begin } from './begin.ts'
import { protocol } from './index.ts'
import { TestClient } from './redis-client.testing.ts'

const seeds = Number(process.env['SEEDS'] ?? 40)
const commandsEach = 60

for (const format of protocol.formats) formats.register(format)

const elsewhere = /^([PS]?SUBSCRIBE|MONITOR|RESET|QUIT|HELLO|CLIENT|CONFIG)$/
/** It would wait, be answered otherwise, or be about something else than keys. */
const isPassedOver = ([name = '', ...args]: readonly string[]): boolean =>
  elsewhere.test(name) || /^B[LRZ]/.test(name) || args.includes('BLOCK')

const reading: Readonly<Record<string, (key: string) => (string | number)[]>> = {
  string: (key) => ['GET', key],
  list: (key) => ['LRANGE', key, 0, -1],
  hash: (key) => ['HGETALL', key],
  set: (key) => ['SMEMBERS', key],
  zset: (key) => ['ZRANGE', key, 0, -1, 'WITHSCORES'],
  stream: (key) => ['XINFO', 'STREAM', key, 'FULL'],
}

async function contents(client: TestClient): Promise<string[]> {
  const found: string[] = []
  for (const index of [0, 1]) {
    await client.run('SELECT', index)
    for (const key of ((await client.run('KEYS', '*')) as string[]).sort()) {
      const type = String(await client.run('TYPE', key))
      const read = reading[type]
      assert.ok(read, type)
      const value = await client.run(...read(key))
      const ordered = type === 'set' ? (value as string[]).sort() : type === 'hash' ? pairs(value as string[]) : value
      const expiry = await client.run('PEXPIRETIME', key)
      found.push(`${index} ${key} ${type} ${expiry} ${JSON.stringify(ordered)}`)
    }
  }
  return found
}

const pairs = (flat: readonly string[]): string[] =>
  flat.flatMap((field, at) => (at % 2 === 0 ? [`${field}=${flat[at + 1]}`] : [])).sort()

// One of a kind that random commands rarely make.
test('when a consumer was active is kept where it acknowledges nothing', async () => {
  await compare(1, [
    ['XGROUP', 'CREATE', 'd', 'g', '0', 'MKSTREAM'],
    ['XADD', 'd', '1-1', 'f', 'v'],
    ['XREADGROUP', 'GROUP', 'g', 'one', 'NOACK', 'STREAMS', 'd', '>'],
  ])
})

for (let seed = 1; seed <= seeds; seed++) {
  const commands = [...sequence(seed, commandsEach)].map(({ args }) => args).filter((args) => !isPassedOver(args))
  test(`what seed ${seed} leaves is there after a crash`, () => compare(seed, commands))
}

async function compare(seed: number, commands: readonly (readonly string[])[]): Promise<void> {
  const machine = new Machine(seed)
  const broker = await machine.start()
  await begin(broker)
  const client = await TestClient.open(broker)
  for (const args of commands) await client.run(...args)
  await client.run('DISCARD')
  const before = await contents(client)
  const restarted = await machine.crash()
  await begin(restarted)
  assert.deepEqual(await contents(await TestClient.open(restarted)), before)
  await machine.stop()
}
