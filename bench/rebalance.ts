/**
 * How long a classic group of many members takes to be whole again when one more joins: from its JoinGroup to the last member's assignment. Members
 * beat often, so that what is measured is the broker and not how rarely its clients ask.
 */
import { ApiKey } from '../src/protocols/kafka/codec.ts'
import { TestClient } from '../src/protocols/kafka/test-client.ts'
import type { Figures } from './workload.ts'

const beatMs = 50
const lookMs = 2
const settleMs = 60_000
const rebalanceInProgress = 27
const memberIdRequired = 79

/** `rounds` times the last member of so many leaves, and joins again. */
export async function rebalances(address: string, members: number, rounds: number): Promise<Figures> {
  const port = Number(address.split(':').at(-1))
  const group = `rebalance-${members}-${Date.now()}`
  const all = Array.from({ length: members }, () => new Member(port, group))
  try {
    const others = all.slice(0, -1)
    const last = all.at(-1) as Member // there are many
    for (const each of all) each.begin()
    await settled(all)
    const times: number[] = []
    for (let round = 0; round < rounds; round++) {
      await last.leave()
      await settled(others)
      const started = performance.now()
      last.begin()
      await settled(all)
      times.push(performance.now() - started)
    }
    times.sort((a, b) => a - b)
    return { p50Ms: times[Math.floor(times.length / 2)] ?? 0, p99Ms: times.at(-1) ?? 0 }
  } finally {
    for (const each of all) each.close()
  }
}

/** Until all have their assignment of one generation, with nobody else in it. */
async function settled(members: readonly Member[]): Promise<void> {
  const deadline = performance.now() + settleMs
  while (!isOne(members)) {
    if (performance.now() > deadline) throw new Error('the group does not come to rest')
    for (const { failure } of members) if (failure !== null) throw failure
    await new Promise((resolve) => setTimeout(resolve, lookMs))
  }
}

/** The leader knows how many there are. */
function isOne(members: readonly Member[]): boolean {
  const generations = new Set(members.map(({ generation }) => generation))
  return generations.size === 1 && !generations.has(-1) && members.some(({ led }) => led === members.length)
}

class Member {
  /** Of the assignment it has; -1 while it has none. */
  generation = -1
  /** How many it leads, itself included. */
  led = 0
  failure: Error | null = null
  readonly #client: TestClient
  readonly #group: string
  #id = ''
  #here = false

  constructor(port: number, group: string) {
    this.#client = new TestClient(port)
    this.#group = group
  }

  /** Joins, and beats until it leaves. */
  begin(): void {
    this.#here = true
    this.#live().catch((cause: Error) => {
      if (this.#here) this.failure = cause
    })
  }

  async leave(): Promise<void> {
    this.#here = false
    this.generation = -1
    this.led = 0
    await this.#client.ask(ApiKey.LeaveGroup, 5, { groupId: this.#group, members: [{ memberId: this.#id }] })
    this.#id = ''
  }

  async #live(): Promise<void> {
    while (this.#here) {
      await this.#join()
      const generationId = this.generation
      for (let errorCode = 0; errorCode === 0 && this.#here; ) {
        await new Promise((resolve) => setTimeout(resolve, beatMs))
        if (!this.#here) return
        errorCode = (await this.#client.ask(ApiKey.Heartbeat, 4, { groupId: this.#group, generationId, memberId: this.#id }))[
          'errorCode'
        ]
        if (errorCode !== 0 && this.#here) mustBe(errorCode, rebalanceInProgress)
      }
    }
  }

  async #join(): Promise<void> {
    while (this.#here) {
      const joined = await this.#client.ask(ApiKey.JoinGroup, 9, {
        groupId: this.#group,
        sessionTimeoutMs: 30_000,
        rebalanceTimeoutMs: 30_000,
        memberId: this.#id,
        protocolType: 'consumer',
        protocols: [{ name: 'range', metadata: Buffer.alloc(64) }],
      })
      this.#id = joined['memberId']
      if (joined['errorCode'] === memberIdRequired) continue
      mustBe(joined['errorCode'], 0)
      const { generationId, leader } = joined
      const members: { memberId: string }[] = leader === this.#id ? joined['members'] : []
      const { errorCode } = await this.#client.ask(ApiKey.SyncGroup, 5, {
        groupId: this.#group,
        generationId,
        memberId: this.#id,
        protocolType: 'consumer',
        protocolName: 'range',
        assignments: members.map(({ memberId }) => ({ memberId, assignment: Buffer.alloc(64) })),
      })
      if (errorCode === rebalanceInProgress) continue
      mustBe(errorCode, 0)
      this.led = members.length
      this.generation = generationId
      return
    }
  }

  close(): void {
    this.#here = false
    this.#client.close()
  }
}

function mustBe(code: number, wanted: number): void {
  if (code !== wanted) throw new Error(`error ${code} in place of ${wanted}`)
}
