/** Envelopes are read as they were written, damaged ones too, and attributes of others become jobs. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bodyOfJob, decodeHead, encodeJob, jobFormat } from './mapping.ts'

const head = { createdMs: 1_795_300_623_116, sequence: 77, ttlSeconds: 100, delaySeconds: 0xffffffff, retrySeconds: 10 }

test('a job is read as it was written', () => {
  const envelope = encodeJob(head, Buffer.from('body'))
  assert.deepEqual(decodeHead(envelope), head)
  assert.equal(bodyOfJob(envelope).toString(), 'body')
  const { value, expirationMs, timestamp } = jobFormat.toAttributes(envelope)
  assert.deepEqual([value?.toString(), expirationMs, timestamp], ['body', 100_000, head.createdMs])
  const back = jobFormat.fromAttributes(jobFormat.toAttributes(envelope))
  assert.deepEqual(decodeHead(back), { ...head, sequence: 0, delaySeconds: 0 })
})

test('what is damaged is all body, and attributes of others become a job', () => {
  assert.equal(jobFormat.toAttributes(Buffer.from('short')).value?.toString(), 'short')
  const job = decodeHead(jobFormat.fromAttributes({ key: null, value: null, headers: [] }))
  assert.deepEqual(job, { createdMs: 0, sequence: 0, ttlSeconds: 86_400, delaySeconds: 0, retrySeconds: 300 })
  const brief = decodeHead(jobFormat.fromAttributes({ key: null, value: null, headers: [], expirationMs: 5500 }))
  assert.deepEqual([brief?.ttlSeconds, brief?.retrySeconds], [5, 1])
})
