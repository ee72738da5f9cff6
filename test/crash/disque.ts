/**
 * Disque's part of the crash test: numbered jobs are added, some with a delay, some for one delivery alone, and a worker gets and acknowledges them. After a kill
 * what was confirmed is there under the same id, what was acknowledged is not, delayed jobs wait again, and nothing that was for one delivery comes twice.
 */
import assert from 'node:assert/strict'
import type { Answer } from '../../src/lib/resp/client.testing.ts'
import { pairs, RespClient } from '../../src/lib/resp/socket-client.testing.ts'
import { untilCut } from './load.ts'

const burst = 20

interface Sent {
  /** Ids of what was confirmed, by number. */
  readonly ids: Map<number, string>
  readonly seen: Set<number>
}

export interface DisqueLedger {
  readonly name: string
  readonly jobs: Sent
  readonly once: Sent
  readonly delayed: Sent
  readonly acknowledged: Set<number>
  /** Asked for, and not answered. */
  readonly asked: Set<number>
}

export const newDisqueLedger = (round: number): DisqueLedger => ({
  name: `crash-disque-${round}`,
  jobs: { ids: new Map(), seen: new Set() },
  once: { ids: new Map(), seen: new Set() },
  delayed: { ids: new Map(), seen: new Set() },
  acknowledged: new Set(),
  asked: new Set(),
})

type Fetched = readonly (readonly [queue: string, id: string, body: string])[]

const port = (address: string): number => Number(address.split(':')[1])

export async function disqueLoad(address: string, ledger: DisqueLedger): Promise<{ stop(): Promise<void> }> {
  const { name, jobs, once, delayed, acknowledged, asked } = ledger
  const [adder, worker] = [await RespClient.connected(port(address)), await RespClient.connected(port(address))]
  let stopped = false
  let number = 0
  const add = async (to: Sent, queue: string, options: string): Promise<void> => {
    const own = ++number
    const id = await adder.run(`ADDJOB ${queue} ${own} 0 ${options}`.trimEnd())
    if (!(id instanceof Error)) to.ids.set(own, String(id))
  }
  const adding = async (): Promise<void> => {
    while (!stopped) {
      const sent: Promise<void>[] = []
      for (let each = 0; each < burst; each++) {
        sent.push(add(jobs, name, ''), add(once, `${name}-once`, 'RETRY 0'))
      }
      sent.push(add(delayed, name, 'DELAY 36000'))
      await Promise.all(sent)
    }
  }
  const working = async (): Promise<void> => {
    while (!stopped) {
      const answer = (await worker.run(`GETJOB TIMEOUT 100 COUNT ${burst} FROM ${name} ${name}-once`)) as Fetched | null
      const fetched = answer ?? []
      const own = fetched.filter(([queue]) => queue === name)
      for (const [queue, , body] of fetched) (queue === name ? jobs : once).seen.add(Number(body))
      if (own.length === 0) continue
      for (const [, , body] of own) asked.add(Number(body))
      assert.equal(await worker.run(`ACKJOB ${own.map(([, id]) => id).join(' ')}`), own.length)
      for (const [, , body] of own) acknowledged.add(Number(body))
    }
  }
  return untilCut(
    [adding(), working()],
    () => {
      stopped = true
    },
    () => {
      adder.close()
      worker.close()
    },
  )
}

/** Throws when something confirmed is lost, or something done is back. Returns what was found, in words. */
export async function checkDisque(address: string, ledger: DisqueLedger): Promise<string> {
  const { name, jobs, once, delayed, acknowledged, asked } = ledger
  const client = await RespClient.connected(port(address))
  const left = await drain(client, name)
  for (const [number, id] of left) {
    assert.ok(!acknowledged.has(number), `disque: ${number} was acknowledged, and is back`)
    assert.ok(!delayed.ids.has(number), `disque: ${number} was to wait, and is here`)
    if (jobs.ids.has(number)) assert.equal(jobs.ids.get(number), id, `disque: the id of ${number} is another one`)
  }
  for (const number of jobs.ids.keys())
    assert.ok(left.has(number) || asked.has(number), `disque: ${number} was confirmed, not acknowledged, and is lost`)
  for (const [number, id] of delayed.ids) {
    const { state, body } = pairs((await client.run(`SHOW ${id}`)) as Answer)
    assert.deepEqual([state, body], ['active', String(number)], `disque: ${number} does not wait any more`)
  }
  const leftOnce = await drain(client, `${name}-once`)
  for (const number of leftOnce.keys())
    assert.ok(!once.seen.has(number), `disque: ${number} was for one delivery, and comes twice`)
  const missing = [...once.ids.keys()].filter((number) => !once.seen.has(number) && !leftOnce.has(number))
  assert.ok(missing.length <= burst, `disque: ${missing.length} jobs for one delivery are lost, and one GETJOB takes ${burst}`)
  client.close()
  return `disque ${jobs.ids.size} added, ${acknowledged.size} acknowledged, ${left.size} found, ${delayed.ids.size} delayed, ${once.ids.size} for one delivery, ${leftOnce.size} of these found`
}

/** All queued jobs: ids by number. */
async function drain(client: RespClient, queue: string): Promise<Map<number, string>> {
  const found = new Map<number, string>()
  for (;;) {
    const fetched = (await client.run(`GETJOB NOHANG COUNT 1000 FROM ${queue}`)) as Fetched | null
    if (fetched === null) return found
    for (const [, id, body] of fetched) {
      assert.ok(!found.has(Number(body)), `disque: ${body} is here twice`)
      found.set(Number(body), id)
    }
  }
}
