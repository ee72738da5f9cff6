/** Random transactions of several producers, with takeovers, time running out and the power going, against what each producer knows of its own. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seeded } from '../../../test/crash/random.ts'
import { Machine, publish, spaceOf, textsRead } from '../../../test/support/machine.ts'
import type { OwnedBroker } from '../../broker/broker.ts'
import { PublishItem } from '../../broker/face.ts'
import { formats } from '../../core/record.ts'
import { batchFormat, recordFormat } from './mapping.ts'
import type { ProducerIdentity } from './transaction.ts'
import { TransactionCoordinator } from './transaction-coordinator.ts'

formats.register(batchFormat)
formats.register(recordFormat)

const topics = ['a', 'b']
const partitions = 2
const timeoutMs = 30_000
const steps = 200

/** A transactional id and all its producers, one after the other. */
class Actor {
  readonly id: string
  readonly group: string
  by: ProducerIdentity | null = null
  /** Written by the open transaction; null when none is open. */
  open: string[] | null = null
  readonly committed: string[] = []
  commits = 0
  #sequences = new Map<string, number>()
  #written = 0

  constructor(id: string) {
    this.id = id
    this.group = `group of ${id}`
  }

  async takeOver(broker: OwnedBroker): Promise<void> {
    const { errorCode, ...by } = await TransactionCoordinator.of(broker).init(this.id, timeoutMs, null)
    assert.equal(errorCode, 0)
    this.#ended(by, false)
  }

  async write(broker: OwnedBroker, by: ProducerIdentity, topic: string, partition: number): Promise<void> {
    const coordinator = TransactionCoordinator.of(broker)
    assert.equal(coordinator.add(this.id, by, [{ topic, partition }], this.group), 0)
    const place = `${topic}/${partition}`
    const sequence = this.#sequences.get(place) ?? 0
    const value = `${this.id}.${this.#written++}`
    const item = new PublishItem(null, topic, 1, Buffer.from(value))
    Object.assign(item, { ...by, producerEpoch: by.epoch, producerSequence: sequence, partition })
    item.undecided = true
    item.sequenceFromZero = true
    await publish(spaceOf(broker), item)
    this.#sequences.set(place, sequence + 1)
    this.open = [...(this.open ?? []), value]
    const offset = this.commits + 1
    coordinator.addOffsets(this.id, this.group, [{ topic: 'a', partition: 0, offset, metadata: '', leaderEpoch: -1 }])
    assert.equal(await coordinator.durable(), 0)
  }

  async end(broker: OwnedBroker, by: ProducerIdentity, commit: boolean): Promise<void> {
    const { errorCode, ...next } = await TransactionCoordinator.of(broker).end(this.id, by, commit, true)
    assert.equal(errorCode, 0)
    this.#ended(next, commit)
  }

  /** After a crash in the midst of a commit: the coordinator says what became of it, and all else must agree. */
  lookAgain(broker: OwnedBroker): void {
    const known = TransactionCoordinator.of(broker).get(this.id)
    if (this.open === null || known === undefined || known.isOpen) return
    this.#ended({ producerId: known.producerId, epoch: known.epoch }, true)
  }

  expire(): void {
    if (this.open === null) return
    this.open = null
    this.by = null
  }

  #ended(by: ProducerIdentity, commit: boolean): void {
    if (commit && this.open !== null) {
      this.committed.push(...this.open)
      this.commits++
    }
    this.open = null
    this.by = by
    this.#sequences = new Map()
  }
}

async function check(broker: OwnedBroker, actors: readonly Actor[], when: string): Promise<void> {
  const found: string[] = []
  for (const topic of topics) {
    for (let partition = 0; partition < partitions; partition++) {
      const values = textsRead(await spaceOf(broker).peek(topic, { partition, limit: 10_000 }))
      const places = values.map((value) => Number(value.split('.')[1]))
      for (const { id } of actors) {
        const own = places.filter((_, index) => values[index]?.startsWith(`${id}.`))
        assert.deepEqual(
          own,
          [...own].sort((x, y) => x - y),
          `${when}: the order of ${id} in ${topic}/${partition}`,
        )
      }
      found.push(...values)
    }
  }
  assert.deepEqual(found.sort(), actors.flatMap(({ committed }) => committed).sort(), `${when}: committed records`)
  for (const { group, commits } of actors) {
    const offset = spaceOf(broker).cursors(group)[0]?.offset ?? 0
    assert.equal(offset, commits, `${when}: the offset of ${group}`)
  }
}

test('each transaction is there whole or not at all, with its offset', async () => {
  for (let seed = 1; seed <= 10; seed++) {
    const random = seeded(seed)
    const machine = new Machine(seed)
    let broker = await machine.start()
    for (const topic of topics) await spaceOf(broker).createTopic(topic, { partitions }, 'test')
    const actors = ['x', 'y', 'z'].map((id) => new Actor(id))
    for (let step = 0; step < steps; step++) {
      const actor = actors[random(actors.length)] as Actor // below the length
      const what = random(12)
      if (actor.by === null || what === 0) await actor.takeOver(broker)
      else if (what === 1) {
        if (actor.open !== null) void TransactionCoordinator.of(broker).end(actor.id, actor.by, true, true)
        for (let turns = random(5); turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve))
        broker = await machine.crash()
        for (const each of actors) each.lookAgain(broker)
      } else if (what === 2) {
        machine.clock.advance(timeoutMs + 1_000)
        assert.equal(await TransactionCoordinator.of(broker).durable(), 0)
        for (const each of actors) each.expire()
      } else if (what < 8 || actor.open === null) {
        await actor.write(broker, actor.by, topics[random(topics.length)] ?? 'a', random(partitions))
      } else await actor.end(broker, actor.by, random(3) > 0)
    }
    for (const actor of actors) await actor.takeOver(broker)
    assert.ok(
      actors.every(({ commits }) => commits > 0),
      `seed ${seed}: everybody committed something`,
    )
    await check(broker, actors, `seed ${seed}`)
    await check(await machine.crash(), actors, `seed ${seed}, after a crash`)
    await check(await machine.restart(), actors, `seed ${seed}, after a restart`)
    await machine.stop()
  }
})
