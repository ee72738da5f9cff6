/** The small parts of JetStream: durations, header blocks, tables of fields, acknowledgement subjects, requests in turns; and subjects that overlap. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { collide, isSubset, matchesSubject } from '../subjects.ts'
import { ackPrefix, ackSubject, parseAck } from './acks.ts'
import { ApiError } from './errors.ts'
import { flag, int, oneOf, parseObject, read, shown, strings, text } from './fields.ts'
import { headerOf, withHeaders } from './headers.ts'
import { parseRequest, WaitingRequests } from './requests.ts'
import { parseDuration } from './times.ts'

test('durations as Go writes them', () => {
  const expected = {
    '1s': 1000,
    '1h30m': 5_400_000,
    '1.5s': 1500,
    '250ms': 250,
    '0': 0,
    '3': null,
    never: null,
    '': null,
    '-1s': null,
  }
  for (const [written, ms] of Object.entries(expected)) assert.equal(parseDuration(written), ms, written)
})

test('headers are found by their whole name, and added at the end', () => {
  const block = 'NATS/1.0\r\nNats-Msg-Id-2: no\r\nNats-Msg-Id:  yes \r\n\r\n'
  assert.equal(headerOf(block, 'Nats-Msg-Id'), 'yes')
  assert.equal(headerOf(block, 'nats-msg-id'), undefined)
  assert.equal(withHeaders(Buffer.from(block), [['A', 1]]).toString(), `${block.slice(0, -2)}A: 1\r\n\r\n`)
  assert.equal(withHeaders(Buffer.alloc(0), [['A', 'b']]).toString(), 'NATS/1.0\r\nA: b\r\n\r\n')
})

test('fields of other names or types are refused, those left out are nothing', () => {
  const fields = { name: text, count: int, on: flag, list: strings, kind: oneOf('a', 'b') }
  assert.deepEqual(read(fields, { count: 3, kind: null }), { name: '', count: 3, on: false, list: [], kind: 'a' })
  for (const given of [{ other: 1 }, { count: 1.5 }, { count: '1' }, { on: 1 }, { list: [1] }, { kind: 'c' }, { name: {} }])
    assert.throws(() => read(fields, given), ApiError)
  for (const json of ['[1]', '3', '{', 'null']) assert.throws(() => parseObject(json), ApiError)
  assert.deepEqual(shown(fields, { name: '', count: 1, on: false, list: [], kind: 'a' }), { count: 1, kind: 'a' })
})

test('acknowledgement subjects are read as they are written, also in their longer form', () => {
  const subject = ackSubject(ackPrefix('S', 'c'), 2, 30, 4, 1_700_000_000_000, 5)
  assert.equal(subject, '$JS.ACK.S.c.2.30.4.1700000000000000000.5')
  const place = { stream: 'S', consumer: 'c', deliveries: 2, streamSequence: 30, consumerSequence: 4 }
  assert.deepEqual(parseAck(subject), place)
  assert.deepEqual(parseAck('$JS.ACK._.HASH.S.c.2.30.4.17.5.token'), place)
  for (const wrong of ['$JS.ACK', '$JS.ACK.S.c', '$JS.ACK.S.c.x.30.4.17.5']) assert.equal(parseAck(wrong), null)
})

test('requests are served in turns, or by their priority', () => {
  const request = (reply: string, priority = 0) => parseRequest(reply, JSON.stringify({ batch: 2, priority }), 0)
  const turns = new WaitingRequests(false)
  const [a, b] = [request('a'), request('b')]
  turns.add(a)
  turns.add(b)
  a.left--
  turns.served(a)
  assert.deepEqual([[...turns].map(({ reply }) => reply), turns.wanted], [['b', 'a'], 3])
  const ranked = new WaitingRequests(true)
  for (const [reply, priority] of [
    ['x', 5],
    ['y', 1],
    ['z', 5],
  ] as const)
    ranked.add(request(reply, priority))
  assert.deepEqual(
    [...ranked].map(({ reply }) => reply),
    ['y', 'x', 'z'],
  )
})

const word = fc.constantFrom('a', 'b', '*')
const pattern = fc
  .tuple(fc.array(word, { minLength: 1, maxLength: 3 }), fc.boolean())
  .map(([words, more]) => [...words, ...(more ? ['>'] : [])].join('.'))
const subjects = ['a', 'b', 'c'].flatMap((one) => [
  one,
  ...['a', 'b', 'c'].flatMap((two) => [
    `${one}.${two}`,
    ...['a', 'b', 'c'].flatMap((three) => [`${one}.${two}.${three}`, `${one}.${two}.${three}.a`, `${one}.${two}.${three}.a.b`]),
  ]),
])

test('patterns collide when a subject fits both, and are subsets when all that fits one fits the other', () => {
  fc.assert(
    fc.property(pattern, pattern, (one, other) => {
      const [left, right] = [one, other].map((each) => new Set(subjects.filter((subject) => matchesSubject(each, subject))))
      assert.equal(
        collide(one, other),
        [...(left ?? [])].some((subject) => right?.has(subject)),
        `${one} and ${other}`,
      )
      assert.equal(
        isSubset(one, other),
        [...(left ?? [])].every((subject) => right?.has(subject)),
        `${one} in ${other}`,
      )
    }),
  )
})
