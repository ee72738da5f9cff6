import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HyperLogLog } from './hyperloglog.ts'

function filled(elements: number, from = 0): HyperLogLog {
  const log = new HyperLogLog()
  for (let element = from; element < from + elements; element++) log.add(Buffer.from(`element ${element}`))
  return log
}

test('it counts within a few percent, whatever the size', () => {
  for (const elements of [0, 1, 10, 1000, 100_000]) {
    const { count } = filled(elements)
    assert.ok(Math.abs(count - elements) <= elements * 0.03, `${count} for ${elements}`)
  }
})

test('what it was stored as counts the same, short while it can be', () => {
  for (const [elements, isDense] of [
    [0, false],
    [100, false],
    [20_000, true],
  ] as const) {
    const log = filled(elements)
    const { bytes } = log
    assert.equal(bytes.length === 12_304, isDense)
    assert.deepEqual(HyperLogLog.from(bytes).registers, log.registers)
    assert.deepEqual(HyperLogLog.from(bytes).bytes, bytes)
  }
})

test('merged ones count what is in either', () => {
  const log = filled(1000)
  log.merge(filled(1000, 500))
  assert.deepEqual(log.registers, filled(1500).registers)
})

test('bytes that are none are refused', () => {
  const { bytes } = filled(100)
  for (const bad of [
    Buffer.alloc(0),
    Buffer.from('abc'),
    Buffer.from('HYLL\x02aaaaaaaaaaaaaaaa'),
    Buffer.from('HYLL\x00aaaaaaaaaaaaaaaa'),
  ])
    assert.throws(() => HyperLogLog.from(bad), /^Error: WRONGTYPE Key is not a valid HyperLogLog/)
  assert.throws(() => HyperLogLog.from(bytes.subarray(0, -1)), /INVALIDOBJ/)
  assert.throws(() => HyperLogLog.from(Buffer.concat([bytes, Buffer.from([0x7f, 0xff])])), /INVALIDOBJ/)
})
