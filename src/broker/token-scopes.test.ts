import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TokenScopes } from './token-scopes.ts'

test('a scope lets one thing be done with what its patterns fit', () => {
  const scopes = new TokenScopes('rabbitmq.read:%2F/orders-* rabbitmq.write:sh*p/*', 'rabbitmq.')
  assert.equal(scopes.may('consume', 'default', 'orders-1'), true)
  assert.equal(scopes.may('consume', 'default', 'invoices'), false)
  assert.equal(scopes.may('publish', 'default', 'orders-1'), false)
  assert.equal(scopes.may('consume', 'shop', 'orders-1'), false)
  assert.equal(scopes.may('publish', 'shop', 'anything\nat all'), true)
  assert.equal(scopes.may('publish', 'shops', 'x'), false)
  assert.deepEqual([scopes.enters('default'), scopes.enters('shop'), scopes.enters('other')], [true, true, false])
})

test('keys are asked of the exchange that a scope is about', () => {
  const scopes = new TokenScopes(['write:*/events/eu.*', 'write:*/logs', 'read:*/events'], '')
  const may = (exchange: string, key: string): boolean => scopes.mayUseKey('publish', 'default', exchange, key)
  assert.deepEqual([may('events', 'eu.sale'), may('events', 'us.sale'), may('logs', 'any')], [true, false, true])
  assert.equal(scopes.mayUseKey('consume', 'default', 'events', 'us.sale'), true)
})

test('patterns mean themselves but for their stars, also percent-encoded ones', () => {
  const scopes = new TokenScopes('read:default/a.b read:default/c%2Ad read:default/e%2Ff', '')
  const may = (name: string): boolean => scopes.may('consume', 'default', name)
  assert.deepEqual(['a.b', 'axb', 'c*d', 'cxd', 'e/f'].map(may), [true, false, true, false, true])
})

test('what is no scope of ours says nothing', () => {
  const words =
    'openid other.read:*/* rabbitmq.own:*/* rabbitmq.read:* rabbitmq.read:a/b/c/d rabbitmq.read:%zz/x rabbitmq.tag:management'
  const scopes = new TokenScopes(words, 'rabbitmq.')
  assert.deepEqual([scopes.enters('default'), scopes.enters('a')], [false, false])
  assert.deepEqual(scopes.tags, ['management'])
  assert.equal(new TokenScopes({ read: '*/*' }, '').enters('default'), false)
})
