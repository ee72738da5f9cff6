import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fromWhole, javaScriptOf, toWhole } from './pattern.ts'

const whole = (pattern: string): RegExp => new RegExp(`^(?:${pattern})$`)

test('a pattern that is searched for becomes one that matches the whole name, and comes back', () => {
  for (const [pattern, yes, no] of [
    ['^ada', 'ada.queue', 'my.ada'],
    ['orders', 'my.orders.eu', 'order'],
    ['^(a|b)$', 'b', 'ab'],
    ['.*', 'anything', null],
    ['', null, 'x'],
  ] as const) {
    const converted = toWhole(pattern)
    if (yes !== null) assert.match(yes, whole(converted), pattern)
    if (no !== null && converted !== '') assert.doesNotMatch(no, whole(converted), pattern)
    assert.equal(fromWhole(converted), pattern)
  }
  assert.equal(fromWhole('orders\\..*'), '^(?:orders\\..*)$')
})

test('what PCRE alone has is translated, or refused', () => {
  assert.match('Orders', new RegExp(javaScriptOf('(?i)^orders$')))
  assert.match('abc1', new RegExp(javaScriptOf('\\A[[:alpha:]]+[[:digit:]]\\z')))
  for (const pattern of ['\\Qa.b\\E', '\\p{L}', '[[:^alpha:]]', '(?>a)', 'a++', '(', '\\K'])
    assert.throws(() => javaScriptOf(pattern), { status: 400 }, pattern)
})
