/**
 * beanstalkd's part of the crash test: numbered jobs are put, many on their way, some with a delay, and a worker reserves them, deletes most and buries some. After a
 * kill what was confirmed is there once, under the same id and in the same state, and what was deleted is not.
 */
import assert from 'node:assert/strict'
import { BeanstalkClient } from '../../src/protocols/beanstalkd/client.testing.ts'
import { untilCut } from './load.ts'

const burst = 20
/** Each so many is delayed, and buried. */
const delayedEach = 10
const buriedEach = 5

export interface BeanstalkdLedger {
  readonly tube: string
  /** Ids of what was confirmed, by number. */
  readonly ready: Map<number, number>
  readonly delayed: Map<number, number>
  readonly buried: Set<number>
  readonly deleted: Set<number>
  /** Asked for, and not answered. */
  readonly asked: Set<number>
}

export const newBeanstalkdLedger = (round: number): BeanstalkdLedger => ({
  tube: `crash-beanstalkd-${round}`,
  ready: new Map(),
  delayed: new Map(),
  buried: new Set(),
  deleted: new Set(),
  asked: new Set(),
})

const connected = (address: string): Promise<BeanstalkClient> => BeanstalkClient.connected(Number(address.split(':')[1]))

export async function beanstalkdLoad(address: string, ledger: BeanstalkdLedger): Promise<{ stop(): Promise<void> }> {
  const { tube, ready, delayed, buried, deleted, asked } = ledger
  const [producer, worker] = [await connected(address), await connected(address)]
  await producer.ask(`use ${tube}`)
  await worker.ask(`watch ${tube}`)
  let stopped = false
  let number = 0
  const putting = async (): Promise<void> => {
    while (!stopped) {
      const numbers = Array.from({ length: burst }, () => ++number)
      const lines = numbers.map((each) => {
        const body = String(each)
        return `put 100 ${each % delayedEach === 0 ? 36_000 : 0} 60 ${body.length}\r\n${body}\r\n`
      })
      producer.send(lines.join(''))
      for (const each of numbers) {
        const [word, id] = (await producer.answer()).split(' ')
        if (word === 'INSERTED') (each % delayedEach === 0 ? delayed : ready).set(each, Number(id))
      }
    }
  }
  const working = async (): Promise<void> => {
    while (!stopped) {
      const [word, id, , body] = (await worker.ask('reserve-with-timeout 1')).split(' ')
      if (word !== 'RESERVED') continue
      const own = Number(body)
      asked.add(own)
      const isToBury = own % buriedEach === 1
      assert.equal(await worker.ask(isToBury ? `bury ${id} 7` : `delete ${id}`), isToBury ? 'BURIED' : 'DELETED')
      ;(isToBury ? buried : deleted).add(own)
    }
  }
  return untilCut(
    [putting(), working()],
    () => {
      stopped = true
    },
    () => {
      producer.close()
      worker.close()
    },
  )
}

/** Throws when something confirmed is lost, or something done is back. Returns what was found, in words. */
export async function checkBeanstalkd(address: string, ledger: BeanstalkdLedger): Promise<string> {
  const { tube, ready, delayed, buried, deleted, asked } = ledger
  const client = await connected(address)
  await client.ask(`watch ${tube}`)
  await client.ask('ignore default')
  const stateOf = async (id: number): Promise<string> => /\nstate: (\w+)/.exec(await client.ask(`stats-job ${id}`))?.[1] ?? 'gone'
  for (const [number, id] of ready) {
    const state = await stateOf(id)
    if (deleted.has(number)) assert.equal(state, 'gone', `beanstalkd: ${number} was deleted, and is back`)
    else if (buried.has(number)) assert.equal(state, 'buried', `beanstalkd: ${number} was buried`)
    else if (!asked.has(number)) assert.equal(state, 'ready', `beanstalkd: ${number} was confirmed, and is lost`)
  }
  for (const [number, id] of delayed) assert.equal(await stateOf(id), 'delayed', `beanstalkd: ${number} does not wait any more`)
  const found = new Set<number>()
  for (;;) {
    const [word, id, , body] = (await client.ask('reserve-with-timeout 0')).split(' ')
    if (word !== 'RESERVED') break
    const number = Number(body)
    assert.ok(!found.has(number), `beanstalkd: ${number} is here twice`)
    found.add(number)
    if (ready.has(number)) assert.equal(ready.get(number), Number(id), `beanstalkd: the id of ${number} is another one`)
    assert.equal(await client.ask(`delete ${id}`), 'DELETED')
  }
  client.close()
  return `beanstalkd ${ready.size} put, ${deleted.size} deleted, ${buried.size} buried, ${delayed.size} delayed, ${found.size} found`
}
