/** The texts are those of a running RabbitMQ 3.10; `apply-to` names the targets of 4.x. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { effectiveDefinition, policyJson, policyOf } from './policy-words.ts'

const policy = (definition: unknown, more: object = {}) => policyOf('/', 'p', false, { pattern: '^q', definition, ...more })
const refused = (definition: unknown, text: string, more: object = {}, cap = false) =>
  assert.throws(() => policyOf('/', 'p', cap, { pattern: 'x', definition, ...more }), {
    status: 400,
    reason: `Validation failed\n\n${text}\n`,
  })

test('every key that means something is a setting of the broker', () => {
  const definition = {
    'message-ttl': 1,
    expires: 2,
    'max-length': 3,
    'max-length-bytes': 4,
    'delivery-limit': 5,
    'max-age': '2h',
    overflow: 'reject-publish-dlx',
    'dead-letter-exchange': 'dlx',
    'dead-letter-routing-key': 'k',
    'alternate-exchange': 'ae',
    'queue-mode': 'lazy',
    'dead-letter-strategy': 'at-least-once',
    'delayed-retry-type': 'failed',
    'delayed-retry-min': 100,
  }
  const { settings, topicKinds, exchanges, namespace } = policy(definition, { 'apply-to': 'quorum_queues', priority: 3 })
  assert.deepEqual(settings, {
    recordTtlMs: 1,
    expiresMs: 2,
    recordsMax: 3,
    bytesMax: 4,
    retentionBytes: 4,
    deliveryLimit: 5,
    retentionMs: 7_200_000,
    overflow: 'refuseDeadLetter',
    deadLetterExchange: 'dlx',
    deadLetterRoutingKey: 'k',
    alternate: 'ae',
    deadLetterUntilStored: true,
    retryDelay: { on: 'failed', minMs: 100, maxMs: 100 },
  })
  assert.deepEqual([topicKinds, exchanges, namespace], [['quorum'], false, 'default'])
})

test('what is wrong is said in the words of RabbitMQ', () => {
  refused({ nonsense: 3, other: 'a' }, '[{<<"nonsense">>,3},{<<"other">>,<<"a">>}] are not recognised policy settings')
  refused({ 'ha-mode': 'all' }, '[{<<"ha-mode">>,<<"all">>}] are not recognised policy settings')
  refused({}, 'no policy provided')
  refused({ 'max-length': -3 }, '-3 is not a valid maximum length')
  refused({ 'max-length': 'a' }, '<<"a">> is not a valid maximum length')
  refused({ expires: 0 }, '0 is not a valid queue expiry')
  refused({ overflow: 'a' }, '<<"a">> is not a valid overflow value')
  refused({ 'dead-letter-exchange': 1 }, '1 is not a valid dead letter exchange name')
  refused({ 'max-age': '5' }, '<<"5">> is not a valid max age')
  refused({ expires: 10 }, 'priority should be a number, actually was <<"bad">>', { priority: 'bad' })
  refused({ 'dead-letter-exchange': 'x' }, '[{<<"dead-letter-exchange">>,<<"x">>}] are not recognised policy settings', {}, true)
  assert.throws(() => policyOf('/', 'p', false, { definition: {} }), { reason: '[{key_missing,pattern}]' })
  assert.throws(
    () => policyOf('/', 'p', false, { pattern: '(', definition: { expires: 1 } }),
    /pattern should be regular expression/,
  )
  assert.throws(() => policy({ expires: 1 }, { 'apply-to': 'bad' }), /apply-to 'bad' unrecognised/)
})

test('policies are shown as they were given, and merged as RabbitMQ merges them', () => {
  const given = { pattern: '(?i)^q', 'apply-to': 'queues', definition: { 'max-length': 3, overflow: 'drop-head' }, priority: 2 }
  const own = policyOf('shop', 'p', false, given)
  assert.deepEqual(policyJson(own), { vhost: 'shop', name: 'p', ...given })
  const cap = policyOf('shop', 'op', true, { pattern: '', definition: { 'max-length': 9, expires: 5 } })
  assert.deepEqual(effectiveDefinition(own, cap), { 'max-length': 3, overflow: 'drop-head', expires: 5 })
  assert.deepEqual(effectiveDefinition(undefined, undefined), {})
})
