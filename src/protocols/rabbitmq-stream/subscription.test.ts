// A subscription against a log that is told what to answer.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Connection, EntryView, ReadResult, Space } from '../../broker/face.ts'
import { encodeBatch, simpleHead } from './batch.ts'
import { batchFormatId } from './mapping.ts'
import type { Stream } from './streams.ts'
import { Subscription } from './subscription.ts'

const entry = (baseOffset: number): EntryView => {
  const payload = encodeBatch(1, [], Buffer.concat([simpleHead(1), Buffer.from('a')]))
  const place = { buffer: payload, start: 0, end: payload.length }
  return { ...place, format: batchFormatId, baseOffset, count: 1, timestamp: 1, annotations: null, subject: null, hidden: false }
}
const answer = (given: Partial<ReadResult>): ReadResult => ({
  error: null,
  entries: [],
  startOffset: 0,
  nextOffset: 0,
  stableOffset: 0,
  aborted: [],
  ...given,
})

/** Answers one read after the other, and remembers from where each was asked and where it waited. */
function host(answers: ReadResult[]) {
  const reads: number[] = []
  const waits: number[] = []
  const written: number[] = []
  const connection = { congested: false, write: (bytes: Uint8Array) => void written.push(bytes.length) }
  const space = {
    read: (_topic: string, _partition: number, offset: number, _bytes: number, done: (result: ReadResult) => void) => {
      reads.push(offset)
      done(answers.shift() ?? answer({ error: 'NotFound' }))
    },
    whenReadable: (_topic: string, _partition: number, offset: number) => {
      waits.push(offset)
      return () => undefined
    },
  }
  const failures: string[] = []
  return {
    reads,
    waits,
    written,
    failures,
    connection,
    subscription: new Subscription(
      {
        connection: connection as unknown as Connection, // what a subscription uses of it
        space: space as unknown as Space,
        deliverVersion: 1,
        subscriptionFailed: (_, reason) => void failures.push(reason),
      },
      1,
      { name: 's', topic: { name: 's' }, partition: 0 } as Stream,
      { type: 'first' },
      2,
      '',
      null,
    ),
  }
}

test('it reads on while there is credit, then waits at the end', () => {
  const one = host([answer({ entries: [entry(0), entry(1)], nextOffset: 2, stableOffset: 2 })])
  one.subscription.run(0)
  // The head, and the data of each entry.
  assert.deepEqual([one.reads, one.waits, one.written.length], [[0], [2], 3])
  assert.equal(one.subscription.credit, 1)
})

test('what was taken away at the end of the log is passed over, and it waits behind it', () => {
  const one = host([answer({ entries: [], nextOffset: 6, stableOffset: 6 })])
  one.subscription.run(5)
  assert.deepEqual([one.reads, one.waits], [[5], [6]])
})

test('what is not decided yet is waited for', () => {
  const one = host([answer({ entries: [entry(7)], nextOffset: 8, stableOffset: 7 })])
  one.subscription.run(5)
  assert.deepEqual([one.reads, one.waits, one.written], [[5], [7], []])
})

test('without credit, congested or halted it does not read; out of range it goes to what is left', () => {
  const one = host([
    answer({ error: 'OutOfRange', startOffset: 4, nextOffset: 5 }),
    answer({ entries: [entry(4)], nextOffset: 5, stableOffset: 5 }),
  ])
  one.subscription.credit = 0
  one.subscription.run(1)
  assert.deepEqual(one.reads, [])
  one.subscription.credit = 1
  one.connection.congested = true
  one.subscription.pump()
  assert.deepEqual(one.reads, [])
  one.connection.congested = false
  one.subscription.pump()
  assert.deepEqual([one.reads, one.subscription.credit], [[1, 4], 0])
  one.subscription.halt()
  one.subscription.credit = 1
  one.subscription.pump()
  assert.equal(one.reads.length, 2)
})

test('a log that can not be read is said so, once', () => {
  const one = host([answer({ error: 'Internal' })])
  one.subscription.run(0)
  assert.deepEqual([one.reads, one.failures], [[0], ['Internal']])
})
