/** A protocol's journal comes back after a crash as far as it was durable, is atomic with everything else, and is listed nowhere. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Machine } from '../../test/support/machine.ts'
import type { Broker, Journal } from './face.ts'

const durable = (journal: Journal): Promise<void> =>
  new Promise((resolve, reject) => journal.whenDurable((error) => (error === null ? resolve() : reject(error))))

async function texts(broker: Broker): Promise<string[]> {
  const found: string[] = []
  await broker.journal('test.effects').replay((entry) => found.push(entry.toString()))
  return found
}

test('entries come back in order after a crash, and what was cut off does not', async () => {
  const machine = new Machine()
  const first = await machine.start()
  const journal = first.journal('test.effects')
  assert.equal(first.journal('test.effects'), journal)
  for (const entry of ['a', 'b', 'c']) journal.append(Buffer.from(entry))
  await durable(journal)

  const second = await machine.crash()
  assert.deepEqual(await texts(second), ['a', 'b', 'c'])
  const again = second.journal('test.effects')
  const place = again.append(Buffer.from('d'))
  assert.equal(place, 3)
  await durable(again)
  again.truncate(2)
  await durable(again)

  const third = await machine.crash()
  assert.deepEqual(await texts(third), ['c', 'd'])
  assert.equal(third.journal('test.effects').next, 4)
  assert.deepEqual(await texts(await machine.restart()), ['c', 'd'])
  await machine.stop()
})

test('what one atomic change appends and publishes is there together or not at all', async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const machine = new Machine(seed)
    const first = await machine.start()
    const journal = first.journal('test.effects')
    const rows = first.rows('test.rows')
    await durable(journal)
    first.atomically(
      () => {
        journal.append(Buffer.from('x'))
        rows.put('x', '1')
        journal.append(Buffer.from('y'))
      },
      () => undefined,
    )
    if (seed % 2 === 0) await new Promise((resolve) => setImmediate(resolve))
    const second = await machine.crash()
    const found = await texts(second)
    assert.deepEqual(found, second.rows('test.rows').get('x') === '1' ? ['x', 'y'] : [])
    await machine.stop()
  }
})

test('it is listed nowhere', async () => {
  const machine = new Machine()
  const broker = await machine.start()
  await durable(broker.journal('test.effects'))
  assert.deepEqual(broker.namespaces(), ['default'])
  assert.deepEqual(broker.space(broker.anonymous, 'default').topics(), [])
  assert.throws(() => broker.space(broker.anonymous, ''), { code: 'NotFound' })
  await machine.stop()
})
