/** Ids have the form that clients check, and lead back to the record. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { placesOfPartition } from '../../broker/face.ts'
import { decodeJobId, encodeJobId, isJobId, topicKey } from './job-id.ts'

const topicId = Buffer.from('00112233445566778899aabbccddeeff', 'hex')
const node = 'dcb833cf'

test('an id has 40 characters: prefix, node, 144 bits, and minutes to live that are odd unless it is delivered once', () => {
  const id = encodeJobId(node, topicId, 5, 86_400, true)
  assert.match(id, /^D-dcb833cf-[A-Za-z0-9+/]{24}-05a1$/)
  const ttlOf = (ttlSeconds: number, isRetried: boolean): string => encodeJobId(node, topicId, 5, ttlSeconds, isRetried).slice(36)
  assert.equal(ttlOf(86_400, false), '05a0')
  assert.equal(ttlOf(1, true), '0001')
  assert.equal(ttlOf(1, false), '0000')
  assert.equal(ttlOf(180, false), '0002')
  assert.equal(ttlOf(0xffffffff, true), 'ffff')
  assert.equal(ttlOf(Infinity, false), 'fffe')
})

test('an id leads back to topic, partition and offset', () => {
  for (const place of [0, 1, 255, 2 ** 32 + 7, placesOfPartition - 1, placesOfPartition * 300 + 12, placesOfPartition * 0xffff])
    assert.deepEqual(decodeJobId(node, encodeJobId(node, topicId, place, 60, true)), { topic: topicKey(topicId), place })
})

test('what no node like this one has given is none', () => {
  const id = encodeJobId(node, topicId, 5, 86_400, true)
  assert.ok(isJobId(id))
  assert.equal(decodeJobId('00000000', id), null)
  for (let at = 11; at < 35; at++) {
    const other = id[at] === 'A' ? 'B' : 'A'
    assert.equal(decodeJobId(node, id.slice(0, at) + other + id.slice(at + 1)), null, `character ${at}`)
  }
  for (const bad of ['', 'D-', id.slice(1), `${id}x`, `X${id.slice(1)}`, id.replaceAll('-', '_')]) assert.ok(!isJobId(bad), bad)
})
