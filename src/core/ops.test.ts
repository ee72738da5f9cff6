/** What is written into a frame is read out of it again, and a frame that ends too early is never read as something else. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { frameHeaderBytes } from '../storage/interfaces.ts'
import { Frame, visitFrame } from './ops.ts'

const id = fc.integer({ min: 0, max: 2 ** 32 - 1 })
const offset = fc.integer({ min: 0, max: 2 ** 53 - 1 })
const text = fc.string({ unit: 'binary', maxLength: 40 })
const bytes = fc.uint8Array({ maxLength: 60 }).map((each) => Buffer.from(each))
const run = fc.tuple(offset, fc.integer({ min: 1, max: 2 ** 32 - 1 }))
const plain = { noNullPrototype: true }
const producer = fc.record(
  {
    producerId: offset,
    epoch: fc.integer({ min: -(2 ** 15), max: 2 ** 15 - 1 }),
    sequence: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  },
  plain,
)
const named = fc.record({ name: text, sequence: offset }, plain)
const marks = fc.record({ producer: fc.option(producer), named: fc.option(named), dedupId: fc.option(text) }, plain)

type Op = readonly unknown[]
const op: fc.Arbitrary<Op> = fc.oneof(
  fc.tuple(fc.constant('append'), id, marks, bytes),
  fc.tuple(fc.constant('settle'), id, id, fc.array(run, { minLength: 1, maxLength: 5 })),
  fc.tuple(fc.constant('remove'), id, fc.array(run, { minLength: 1, maxLength: 5 })),
  fc.tuple(fc.constant('raise'), id, id, offset),
  fc.tuple(
    fc.constant('returned'),
    id,
    id,
    offset,
    fc.record({ attempts: id, handedOut: id, notBefore: offset }, { noNullPrototype: true }),
  ),
  fc.tuple(fc.constant('metadata'), text, text, fc.oneof(fc.constant(null), text, bytes)),
)

function write(frame: Frame, given: Op): void {
  const [kind, ...rest] = given as [string, ...never[]] // as `op` made it
  if (kind === 'append') {
    // The entry stands somewhere in a block.
    const [log, marked, entry] = rest as unknown as [number, Parameters<Frame['append']>[1], Buffer]
    frame.append(log, marked, Buffer.concat([Buffer.from('before'), entry, Buffer.from('after')]), 6, 6 + entry.length)
  } else if (kind === 'settle') {
    const [subscription, lane, runs] = rest as unknown as [number, number, [number, number][]]
    frame.settle(subscription, lane, runs.flat())
  } else if (kind === 'remove') {
    const [log, runs] = rest as unknown as [number, [number, number][]]
    frame.remove(log, runs.flat())
  } else (frame[kind as 'raise'] as (...args: never[]) => void).apply(frame, rest)
}

/** One visit for each operation, and for each run of offsets. */
function expected(given: Op): Op[] {
  const [kind] = given
  if (kind !== 'settle' && kind !== 'remove') return [given]
  return (given.at(-1) as [number, number][]).map((each) => [...given.slice(0, -1), ...each])
}

function read(frame: Buffer): Op[] {
  const seen: Op[] = []
  const note =
    (kind: string) =>
    (...args: unknown[]): void =>
      void seen.push([kind, ...args.map((each) => (Buffer.isBuffer(each) ? Buffer.from(each) : each))])
  visitFrame(frame, {
    append: note('append'),
    settle: note('settle'),
    remove: note('remove'),
    raise: note('raise'),
    returned: note('returned'),
    metadata: note('metadata'),
  })
  return seen
}

test('operations come back as they were written, in order', () => {
  fc.assert(
    fc.property(fc.array(op, { maxLength: 12 }), fc.integer({ min: frameHeaderBytes, max: 400 }), (ops, room) => {
      const frame = new Frame(room)
      for (const each of ops) write(frame, each)
      assert.deepEqual(read(frame.buffer.subarray(0, frame.used)), ops.flatMap(expected))
    }),
  )
})

test('a frame cut off anywhere gives its first operations, then throws or ends', () => {
  fc.assert(
    fc.property(fc.array(op, { minLength: 1, maxLength: 3 }), (ops) => {
      const frame = new Frame(256)
      const ends = [frame.used]
      for (const each of ops) {
        write(frame, each)
        ends.push(frame.used)
      }
      for (let length = frameHeaderBytes; length < frame.used; length++) {
        const whole = ends.filter((end) => end <= length).length - 1
        const visits = ops.slice(0, whole).flatMap(expected)
        let seen: Op[] = []
        try {
          seen = read(Buffer.from(frame.buffer.subarray(0, length)))
        } catch {
          continue
        }
        assert.deepEqual(seen.slice(0, visits.length), visits)
        assert.equal(
          length,
          ends[whole],
          `an operation cut off after ${length} of ${ends[whole + 1]} bytes is read as if it were whole`,
        )
      }
    }),
    { numRuns: 40 },
  )
})

test('what an earlier form of the log says of a record that came back is still read', () => {
  const operation = Buffer.alloc(25)
  operation[0] = 4
  operation.writeUInt32BE(20, 1)
  operation.writeUInt32BE(3, 5)
  operation.writeUInt32BE(1, 9)
  operation.writeBigUInt64BE(77n, 13)
  operation.writeUInt32BE(2, 21)
  const frame = Buffer.concat([Buffer.alloc(frameHeaderBytes), operation])
  assert.deepEqual(read(frame), [['returned', 3, 1, 77, { attempts: 2, handedOut: 2, notBefore: 0 }]])
})
