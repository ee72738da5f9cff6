import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Random } from '../../test/simulation/disk.ts'
import { Machine, spaceOf } from '../../test/support/machine.ts'
import { plainItem, publish } from '../../test/support/records.ts'
import type { ReadResult } from './face.ts'
import { readBytesMax } from './reading.ts'

const entryHeaderBytes = 48

for (const cacheBytes of [64 * 1024 * 1024, 10_000]) {
  test(`a read gives what was asked for and no more, one entry at least: ${cacheBytes} bytes cached`, async () => {
    const machine = new Machine(1, { cacheBytes })
    const space = spaceOf(await machine.start())
    await space.createTopic('t', {}, 'test')
    const random = new Random(7)
    const sizes = Array.from({ length: 300 }, () => (random.chance(0.05) ? 50_000 : random.below(2000)))
    const items = sizes.map((size) => plainItem('t', { value: 'x'.repeat(size) }))
    for (const item of items) await publish(space, item)
    for (let round = 0; round < 300; round++) {
      const from = random.below(sizes.length)
      const maxBytes = random.below(20_000)
      const { entries } = await new Promise<ReadResult>((resolve) => space.read('t', 0, from, maxBytes, resolve))
      const bytes = entries.reduce((sum, { start, end }) => sum + end - start + entryHeaderBytes, 0)
      assert(entries.length === 1 || bytes <= maxBytes, `${bytes} bytes in ${entries.length} entries, ${maxBytes} asked for`)
      assert.deepEqual(
        entries.map(({ baseOffset }) => baseOffset),
        entries.map((_, index) => from + index),
      )
    }
    await machine.stop()
  })
}

test('a read has a limit of its own', async () => {
  const machine = new Machine()
  const space = spaceOf(await machine.start())
  await space.createTopic('t', {}, 'test')
  const value = 'x'.repeat(1024 * 1024)
  for (let count = 0; count < 20; count++) await publish(space, plainItem('t', { value }))
  const { entries } = await new Promise<ReadResult>((resolve) => space.read('t', 0, 0, Number.MAX_SAFE_INTEGER, resolve))
  assert.equal(entries.length, Math.floor(readBytesMax / (1024 * 1024)) - 1)
  await machine.stop()
})

test('memory of a read that is given back serves the next one, and only then', async () => {
  const machine = new Machine(1, { cacheBytes: 10_000 })
  const space = spaceOf(await machine.start())
  await space.createTopic('t', {}, 'test')
  const value = (index: number): string => String.fromCharCode(97 + index).repeat(300_000)
  for (let index = 0; index < 20; index++) await publish(space, plainItem('t', { value: value(index) }))
  const read = (offset: number): Promise<ReadResult> => new Promise((resolve) => space.read('t', 0, offset, 400_000, resolve))
  const kept: ReadResult[] = []
  // Not in order, so that nothing is read ahead.
  for (const offset of [2, 9, 5]) kept.push(await read(offset))
  kept.forEach(({ entries: [entry] }, index) => {
    assert(entry?.buffer.subarray(entry.start, entry.end).includes(value([2, 9, 5][index] as number)), 'nobody wrote into it')
  })
  const memory = new Set(kept.map(({ entries }) => entries[0]?.buffer.buffer))
  assert.equal(memory.size, 3)
  kept[1]?.giveBack?.()
  kept[1]?.giveBack?.()
  const [fourth, fifth] = [await read(12), await read(7)]
  assert.equal(fourth.entries[0]?.buffer.buffer, kept[1]?.entries[0]?.buffer.buffer)
  assert(!memory.has(fifth.entries[0]?.buffer.buffer), 'given back twice is given back once')
  await machine.stop()
})
