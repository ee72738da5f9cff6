/** ioredis 6: what applications do with it, RESP2 and RESP3. */
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { runCases, setting, unique, until } from '../cases/cases.ts'
import { nodeRedis } from '../install.ts'

/** As far as it is used here. */
interface Client {
  [command: string]: (...args: unknown[]) => Promise<unknown>
}
interface Pipeline {
  [command: string]: (...args: unknown[]) => Pipeline
}
interface Events {
  on(event: string, run: (...args: string[]) => void): void
  pipeline(): Pipeline & { exec(): Promise<[Error | null, unknown][]> }
  multi(): Pipeline & { exec(): Promise<[Error | null, unknown][] | null> }
  defineCommand(name: string, definition: { numberOfKeys: number; lua: string }): void
  scanStream(options: object): AsyncIterable<string[]>
  disconnect(): void
}
type Redis = Client & Events

const { Redis } = createRequire(`${nodeRedis}/`)('ioredis') as {
  Redis: new (port: number, host: string, options?: object) => Redis
}
const [host = '', port = ''] = setting('REDIS').split(':')
const open = (options: object = {}): Redis => new Redis(Number(port), host, options)

await runCases({
  'strings, hashes, sets and sorted sets': async () => {
    const redis = open()
    const key = unique('io')
    assert.equal(await redis['set']?.(key, 'value', 'EX', 100), 'OK')
    assert.equal(await redis['get']?.(key), 'value')
    assert.equal(await redis['hset']?.(`${key}h`, { a: 1, b: 'two' }), 2)
    assert.deepEqual(await redis['hgetall']?.(`${key}h`), { a: '1', b: 'two' })
    assert.equal(await redis['sadd']?.(`${key}s`, 'x', 'y'), 2)
    assert.equal(await redis['zadd']?.(`${key}z`, 2, 'two', 1, 'one'), 2)
    assert.deepEqual(await redis['zrange']?.(`${key}z`, 0, -1, 'WITHSCORES'), ['one', '1', 'two', '2'])
    assert.deepEqual(await redis['zpopmin']?.(`${key}z`), ['one', '1'])
    const bytes = Buffer.from([0, 255, 13, 10])
    await redis['set']?.(key, bytes)
    assert.deepEqual(await redis['getBuffer']?.(key), bytes)
    redis.disconnect()
  },
  'pipelines and transactions': async () => {
    const redis = open()
    const key = unique('io')
    const pipeline = redis.pipeline()
    for (let i = 0; i < 1000; i++) pipeline['incr']?.(key)
    const results = await pipeline.exec()
    assert.deepEqual(results.at(-1), [null, 1000])
    const multi = redis.multi()
    multi['set']?.(key, 'x')
    multi['get']?.(key)
    assert.deepEqual(await multi.exec(), [
      [null, 'OK'],
      [null, 'x'],
    ])
    redis.disconnect()
  },
  'channels and patterns': async () => {
    const listener = open()
    const publisher = open()
    const channel = unique('io')
    const heard: string[][] = []
    listener.on('message', (...words) => heard.push(words))
    listener.on('pmessage', (...words) => heard.push(words))
    await listener['subscribe']?.(channel)
    await listener['psubscribe']?.(`${channel}*`)
    assert.equal(await publisher['publish']?.(channel, 'hello'), 2)
    await until('both messages', () => heard.length === 2)
    assert.deepEqual(heard, [
      [channel, 'hello'],
      [`${channel}*`, channel, 'hello'],
    ])
    listener.disconnect()
    publisher.disconnect()
  },
  'scripts, by their hash and when they are not known': async () => {
    const redis = open()
    await redis['script']?.('FLUSH')
    redis.defineCommand('twice', {
      numberOfKeys: 1,
      lua: "return redis.call('SET', KEYS[1], ARGV[1] * 2) and redis.call('GET', KEYS[1])",
    })
    assert.equal(await redis['twice']?.(unique('io'), 21), '42')
    redis.disconnect()
  },
  scanning: async () => {
    const redis = open()
    const prefix = unique('scan')
    for (let i = 0; i < 300; i++) await redis['set']?.(`${prefix}:${i}`, i)
    const met = new Set<string>()
    for await (const keys of redis.scanStream({ match: `${prefix}:*`, count: 20 })) for (const key of keys) met.add(key)
    assert.equal(met.size, 300)
    redis.disconnect()
  },
  'RESP3, and databases': async () => {
    const redis = open({ protocol: 3, db: 3 })
    const other = open({ db: 4 })
    const key = unique('io')
    await redis['set']?.(key, '3')
    assert.equal(await redis['get']?.(key), '3')
    assert.equal(await other['get']?.(key), null)
    redis.disconnect()
    other.disconnect()
  },
  'waiting for a sorted set': async () => {
    const waiting = open()
    const other = open()
    const key = unique('io')
    const popped = waiting['bzpopmin']?.(key, 10)
    await other['zadd']?.(key, 5, 'job')
    assert.deepEqual(await popped, [key, 'job', '5'])
    waiting.disconnect()
    other.disconnect()
  },
})
