/**
 * Redis's part of the crash test: numbers are pushed to a list at one end and popped at the other, and added to a stream, by pipelines. What was confirmed is
 * there after a kill; what was popped is not; and what is missing without having been seen was taken by pops that got no answer any more.
 */
import assert from 'node:assert/strict'
import { Redis } from 'ioredis'
import { untilCut } from './load.ts'

const burst = 20

export interface RedisLedger {
  readonly list: string
  readonly stream: string
  /** The numbers up to here were confirmed, in order. */
  pushed: number
  popped: number
  added: number
}

export const newRedisLedger = (round: number): RedisLedger => ({
  list: `crash-list-${round}`,
  stream: `crash-stream-${round}`,
  pushed: 0,
  popped: 0,
  added: 0,
})

function connect(address: string): Redis {
  const [host = '', port = ''] = address.split(':')
  const client = new Redis({ host, port: Number(port), enableReadyCheck: false, retryStrategy: () => null, lazyConnect: true })
  // The broker is killed under it.
  client.on('error', () => undefined)
  return client
}

export async function redisLoad(address: string, ledger: RedisLedger): Promise<{ stop(): Promise<void> }> {
  const [pusher, popper] = [connect(address), connect(address)]
  await Promise.all([pusher.connect(), popper.connect()])
  let stopped = false
  const push = async (): Promise<void> => {
    while (!stopped) {
      const pipeline = pusher.pipeline()
      for (let each = 1; each <= burst; each++) {
        pipeline.lpush(ledger.list, ledger.pushed + each)
        pipeline.xadd(ledger.stream, '*', 'n', ledger.added + each)
      }
      const answers = await pipeline.exec()
      for (const [index, [error]] of (answers ?? []).entries()) {
        if (error !== null) return
        if (index % 2 === 0) ledger.pushed++
        else ledger.added++
      }
    }
  }
  const pop = async (): Promise<void> => {
    while (!stopped) {
      const pipeline = popper.pipeline()
      for (let each = 0; each < burst; each++) pipeline.rpop(ledger.list)
      for (const [error, element] of (await pipeline.exec()) ?? []) {
        if (error !== null) return
        if (element === null) continue
        ledger.popped++
        assert.equal(Number(element), ledger.popped)
      }
    }
  }
  return untilCut(
    [push(), pop()],
    () => {
      stopped = true
    },
    () => {
      pusher.disconnect()
      popper.disconnect()
    },
  )
}

/** Throws when something confirmed is lost, or something popped is back. Returns what was found, in words. */
export async function checkRedis(address: string, { list, stream, pushed, popped, added }: RedisLedger): Promise<string> {
  const client = connect(address)
  await client.connect()
  const left = (await client.lrange(list, 0, -1)).map(Number).reverse()
  const entries = await client.xrange(stream, '-', '+')
  client.disconnect()
  const [first = pushed + 1] = left
  assert.ok(first > popped, `${first} is back, and ${popped} numbers were popped`)
  assert.ok(first <= popped + burst + 1, `${popped} numbers were popped, and the list begins with ${first}`)
  assert.deepEqual(
    left,
    left.map((_, index) => first + index),
  )
  assert.ok(
    first + left.length - 1 >= pushed,
    `${pushed} pushes were confirmed, and the list ends with ${first + left.length - 1}`,
  )
  assert.deepEqual(
    entries.map(([, [, number]]) => Number(number)),
    entries.map((_, index) => index + 1),
  )
  assert.ok(entries.length >= added, `${added} entries were confirmed, and ${entries.length} are there`)
  return `redis ${pushed} pushed, ${popped} popped, ${left.length} found, ${added} added, ${entries.length} found`
}
