import assert from 'node:assert/strict'
import { connect, type Socket } from 'node:net'
import { type Answer, encode, readAnswer } from '../../../src/lib/resp/client.testing.ts'
import type { Corpus } from './corpus.ts'
import { requests } from './resp.ts'

type Word = string | number | Buffer

/** Sends commands and waits for their answers, in order. */
class RedisClient {
  readonly #socket: Socket
  #bytes: Buffer = Buffer.alloc(0)
  readonly #waiting: PromiseWithResolvers<Answer>[] = []

  constructor(port: number) {
    this.#socket = connect(port, '127.0.0.1')
    this.#socket.on('error', () => this.#socket.destroy())
    this.#socket.on('close', () => {
      for (const { reject } of this.#waiting.splice(0)) reject(new Error('the connection was closed'))
    })
    this.#socket.on('data', (chunk: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk])
      for (let read = readAnswer(this.#bytes, 0); read !== null; read = readAnswer(this.#bytes, 0)) {
        this.#bytes = this.#bytes.subarray(read.end)
        this.#waiting.shift()?.resolve(read.answer)
      }
    })
  }

  run(...words: Word[]): Promise<Answer> {
    const answer = Promise.withResolvers<Answer>()
    this.#waiting.push(answer)
    this.#socket.write(encode(words))
    return answer.promise
  }

  close(): void {
    this.#socket.destroy()
  }
}

const commands: readonly (readonly Word[])[] = [
  ['PING', 'hello'],
  ['CLIENT', 'SETNAME', 'fuzz'],
  ['SET', 'fuzzed:text', 'value', 'EX', 100],
  ['GET', 'fuzzed:text'],
  ['APPEND', 'fuzzed:text', 'x'.repeat(3000)],
  ['INCRBY', 'fuzzed:count', 5],
  ['HSET', 'fuzzed:hash', 'a', '1', 'b', '2'],
  ['HGETALL', 'fuzzed:hash'],
  ['SADD', 'fuzzed:set', 'a', 'b', 'c'],
  ['ZADD', 'fuzzed:sorted', 1, 'a', 2.5, 'b'],
  ['ZRANGE', 'fuzzed:sorted', 0, -1, 'WITHSCORES'],
  ['RPUSH', 'fuzzed:list', 'a', 'b', Buffer.from([0, 255, 13, 10])],
  ['LRANGE', 'fuzzed:list', 0, -1],
  ['LPOP', 'fuzzed:list', 2],
  ['BLPOP', 'fuzzed:list', 0.1],
  ['BLPOP', 'fuzzed:nothing', 0.05],
  ['XADD', 'fuzzed:stream', '*', 'field', 'value'],
  ['XGROUP', 'CREATE', 'fuzzed:stream', 'group', 0],
  ['XREADGROUP', 'GROUP', 'group', 'me', 'COUNT', 10, 'STREAMS', 'fuzzed:stream', '>'],
  ['XRANGE', 'fuzzed:stream', '-', '+'],
  ['MULTI'],
  ['SET', 'fuzzed:in', 'transaction'],
  ['EXEC'],
  ['SCAN', 0, 'MATCH', 'fuzzed:*', 'COUNT', 100],
  ['EXPIRE', 'fuzzed:hash', 100],
  ['PUBLISH', 'fuzzed:channel', 'nobody'],
  ['DEL', 'fuzzed:count', 'fuzzed:set'],
  ['HELLO', 3],
  ['INFO'],
]

export const redis: Corpus = {
  listener: 'redis',
  standardPort: 6379,
  frames: requests,

  async drive(port) {
    const client = new RedisClient(port)
    for (const words of commands) await client.run(...words)
    const subscriber = new RedisClient(port)
    await subscriber.run('SUBSCRIBE', 'fuzzed:channel')
    subscriber.close()
    client.close()
  },

  async healthy(port) {
    const [producer, consumer] = [new RedisClient(port), new RedisClient(port)]
    const list = 'healthy:list'
    let next = 0
    return {
      async beat() {
        const value = `${process.pid}-${next++}`
        const popped = consumer.run('BLPOP', list, 9)
        // Should both connections end, the other one's error is the one that is told.
        popped.catch(() => undefined)
        await producer.run('RPUSH', list, value)
        assert.deepEqual(await popped, [list, value])
      },
      close: async () => {
        producer.close()
        consumer.close()
      },
    }
  },
}
