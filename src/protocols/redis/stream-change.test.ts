/** What the journal of streams says is read as it was written, also by older versions. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeChange, encodeChange, type StreamChange } from './stream-change.ts'
import { idMax, idMin } from './stream-id.ts'

const topic = '0123456789abcdef'
const group = 'g\xff\0'

test('each kind of change is read as it was written', () => {
  const large = { ms: 2n ** 60n, seq: 2 ** 53 - 1 }
  const changes: StreamChange[] = [
    { kind: 'memory', memory: { lastId: idMax, maxDeletedId: idMin, added: 3, at: 4 } },
    { kind: 'group', group, lastId: '1-2', entriesRead: -1 },
    { kind: 'consumer', group, consumer: 'c', at: 5, activeAt: -1 },
    {
      kind: 'delivered',
      group,
      lastId: large,
      entriesRead: -1,
      consumer: 'c',
      at: 1_800_000_000_000,
      ids: [idMin, large, idMax],
    },
    { kind: 'delivered', group: '', lastId: idMin, entriesRead: 2 ** 40, consumer: '', at: 0, ids: [] },
    { kind: 'done', group, ids: Array.from({ length: 5000 }, (_, seq) => ({ ms: 1, seq })) },
    { kind: 'pending', group, entries: [[large, 'c\xe9', 7, 2] as const, [idMin, '', 0, 0] as const] },
    { kind: 'gone' },
  ]
  for (const change of changes) assert.deepEqual(decodeChange(Buffer.from(encodeChange(topic, change))), [topic, change])
})

test('what older versions wrote as JSON is read', () => {
  const read = (change: object): StreamChange => decodeChange(Buffer.from(JSON.stringify([topic, change])))[1]
  const id = { ms: 5, seq: 1 }
  const delivered = { kind: 'delivered', group, entriesRead: 2, consumer: 'c', at: 7 }
  assert.deepEqual(read({ ...delivered, lastId: '5-1', ids: ['5-1'] }), { ...delivered, lastId: id, ids: [id] })
  assert.deepEqual(read({ kind: 'done', group, ids: ['5-1', `${2n ** 60n}-0`] }), {
    kind: 'done',
    group,
    ids: [id, { ms: 2n ** 60n, seq: 0 }],
  })
  assert.deepEqual(read({ kind: 'pending', group, entries: [['5-1', 'c', 7, 1]] }), {
    kind: 'pending',
    group,
    entries: [[id, 'c', 7, 1]],
  })
})

test('an entry of a kind that is not known says who may have written it', () => {
  assert.throws(() => decodeChange(Buffer.from([9, 0, 0, 0, 0, 0, 0, 0, 0])), /of the kind 9: a newer version has written it/)
})
