/** Every operator of filter policies, on attributes and on bodies, and what is no policy. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MessageAttribute } from '../message-attributes.ts'
import { compilePolicy, type Scope } from './filter-policy.ts'

const text = (name: string, value: string): MessageAttribute => ({ name, type: 'String', value })
const number = (name: string, value: string): MessageAttribute => ({ name, type: 'Number', value })
const list = (name: string, ...values: unknown[]): MessageAttribute => ({
  name,
  type: 'String.Array',
  value: JSON.stringify(values),
})

const passes = (policy: unknown, ...attributes: MessageAttribute[]): boolean =>
  compilePolicy(JSON.stringify(policy), 'MessageAttributes')({ body: '', attributes })
const bodyPasses = (policy: unknown, body: unknown): boolean =>
  compilePolicy(
    JSON.stringify(policy),
    'MessageBody',
  )({
    body: typeof body === 'string' ? body : JSON.stringify(body),
    attributes: [],
  })

test('attributes match by each operator', () => {
  for (const [rule, good, bad] of [
    ['a', [text('x', 'a')], [text('x', 'b')]],
    [{ prefix: 'ab' }, [text('x', 'abc')], [text('x', 'bab')]],
    [{ suffix: '.png' }, [text('x', 'a.png')], [text('x', 'a.png.gz')]],
    [{ wildcard: 'a*c*e' }, [text('x', 'abcde')], [text('x', 'abde')]],
    [{ wildcard: '*.log' }, [text('x', '.log')], [text('x', 'log')]],
    [{ 'equals-ignore-case': 'Tennis' }, [text('x', 'TENNIS')], [text('x', 'tennis2')]],
    [{ 'anything-but': 'a' }, [text('x', 'b')], [text('x', 'a')]],
    [{ 'anything-but': ['a', 'b'] }, [text('x', 'c')], [text('x', 'b')]],
    [{ 'anything-but': [100, 500] }, [number('x', '101')], [number('x', '100.0')]],
    [{ 'anything-but': { prefix: 'order-' } }, [text('x', 'data')], [text('x', 'order-1')]],
    [{ 'anything-but': { suffix: 'ball' } }, [text('x', 'rugby')], [text('x', 'football')]],
    [{ 'anything-but': { wildcard: '*ball' } }, [text('x', 'rugby')], [text('x', 'football')]],
    [{ numeric: ['=', 301.5] }, [number('x', '3.015e2')], [number('x', '301')]],
    [{ numeric: ['>', 0, '<=', 5] }, [number('x', '5')], [number('x', '0')]],
    [{ numeric: ['<', 0] }, [number('x', '-1')], [text('x', '-1')]],
    [{ exists: true }, [text('x', '')], [text('y', 'a')]],
    [{ exists: false }, [text('y', 'a')], [text('x', 'a')]],
    [{ cidr: '10.0.0.0/24' }, [text('x', '10.0.0.255')], [text('x', '10.0.1.1')]],
    [{ cidr: '2001:db8::/32' }, [text('x', '2001:db8::1')], [text('x', '2001:db9::1')]],
    ['a', [list('x', 'b', 'a')], [list('x', 'b')]],
    [{ 'anything-but': ['rugby', 'tennis'] }, [list('x', 'rugby', 'baseball')], [list('x', 'rugby')]],
    [true, [list('x', true)], [text('x', 'true')]],
    [5, [number('x', '5.0')], [text('x', '5')]],
  ] as const) {
    const policy = { x: [rule] }
    assert.equal(passes(policy, ...good), true, `${JSON.stringify(rule)} of ${JSON.stringify(good)}`)
    assert.equal(passes(policy, ...bad), false, `${JSON.stringify(rule)} of ${JSON.stringify(bad)}`)
  }
})

test('keys are all needed, rules of one key any; $or needs one of its own', () => {
  const policy = { a: ['1', '2'], b: ['x'] }
  assert.equal(passes(policy, text('a', '2'), text('b', 'x'), text('c', '')), true)
  assert.equal(passes(policy, text('a', '2')), false)
  assert.equal(passes({ 'a.b': ['1'] }, text('a.b', '1')), true)
  const either = { source: ['s'], $or: [{ metric: ['cpu'] }, { size: [{ numeric: ['>', 100] }], unit: ['kb'] }] }
  assert.equal(passes(either, text('source', 's'), text('metric', 'cpu')), true)
  assert.equal(passes(either, text('source', 's'), number('size', '101'), text('unit', 'kb')), true)
  assert.equal(passes(either, text('source', 's'), number('size', '101')), false)
  assert.equal(passes(either, text('metric', 'cpu')), false)
  assert.equal(passes({}, text('a', 'b')), true)
  assert.equal(passes({ x: ['v'] }, { name: 'x', type: 'Binary', value: 'dg==' }), false)
})

test('bodies match as deep as they go, of arrays each element', () => {
  const policy = { order: { item: [{ prefix: 'bo' }], price: [{ numeric: ['<', 10] }] }, done: [true, null] }
  assert.equal(bodyPasses(policy, { order: { item: 'book', price: 9.5 }, done: null }), true)
  assert.equal(bodyPasses(policy, { order: { item: 'book', price: 10 }, done: true }), false)
  assert.equal(bodyPasses(policy, { order: { item: 'book', price: 9 }, done: 'true' }), false)
  assert.equal(bodyPasses({ order: { item: ['a'] } }, { order: [{ item: 'b' }, { item: ['c', 'a'] }] }), true)
  assert.equal(bodyPasses({ order: { item: [{ exists: false }] } }, { order: {} }), true)
  assert.equal(bodyPasses({ __proto__x: ['a'] }, '{"__proto__":{"__proto__x":"a"}}'), false)
  assert.equal(bodyPasses(policy, 'no json'), false)
  assert.equal(bodyPasses({ a: [{ exists: false }] }, '[1]'), false)
})

test('what is no policy is refused', () => {
  const refused = (policy: unknown, scope: Scope = 'MessageAttributes'): void => {
    const written = typeof policy === 'string' ? policy : JSON.stringify(policy)
    assert.throws(() => compilePolicy(written, scope), /^Error: Invalid parameter: FilterPolicy: /, written)
  }
  for (const policy of [
    '{',
    '[]',
    '"a"',
    { a: 'b' },
    { a: [] },
    { a: { b: ['c'] } },
    { a: [['b']] },
    { a: [{ nonsense: 1 }] },
    { a: [{ prefix: 1 }] },
    { a: [{ prefix: 'a', suffix: 'b' }] },
    { a: [{ exists: 'true' }] },
    { a: [{ numeric: ['<'] }] },
    { a: [{ numeric: ['~', 1] }] },
    { a: [{ numeric: ['>', 5, '<', 1] }] },
    { a: [{ numeric: ['=', 1e10] }] },
    { a: [{ cidr: '10.0.0.0' }] },
    { a: [{ cidr: '10.0.0.0/33' }] },
    { a: [{ 'anything-but': [] }] },
    { a: [{ 'anything-but': { exists: true } }] },
    { a: [{ wildcard: 'a**b' }] },
    { $or: [{ a: ['b'] }] },
    Object.fromEntries(['a', 'b', 'c', 'd', 'e', 'f'].map((name) => [name, ['1']])),
  ])
    refused(policy)
  const many = Array.from({ length: 13 }, (_, index) => String(index))
  refused({ a: many, b: many }, 'MessageBody')
})
