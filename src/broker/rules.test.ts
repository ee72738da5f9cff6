import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Asker } from './asker.ts'
import type { AccessRule } from './face.ts'
import { AccessRules, readRule, ruleKey } from './rules.ts'

const base: AccessRule = {
  namespace: 'default',
  kind: 'topic',
  match: 'exact',
  name: 'orders',
  user: 'alice',
  from: '*',
  action: 'publish',
  effect: 'allow',
}

const alice = new Asker('alice', '::ffff:10.1.2.3')
const bob = new Asker('bob', '')

function rulesOf(...changes: Partial<AccessRule>[]): AccessRules {
  const rules = new AccessRules()
  for (const change of changes) {
    const rule = { ...base, ...change }
    rules.apply(ruleKey(rule), rule)
  }
  return rules
}

test('a rule speaks of its user, its name, its kind and its action, and of nothing else', () => {
  const rules = rulesOf({})
  assert.equal(rules.judge(alice, 'publish', 'default', 'topic', 'orders'), 'allow')
  assert.equal(rules.judge(bob, 'publish', 'default', 'topic', 'orders'), null)
  assert.equal(rules.judge(alice, 'consume', 'default', 'topic', 'orders'), null)
  assert.equal(rules.judge(alice, 'publish', 'default', 'topic', 'orders2'), null)
  assert.equal(rules.judge(alice, 'publish', 'default', 'group', 'orders'), null)
  assert.equal(rules.judge(alice, 'publish', 'other', 'topic', 'orders'), null)
})

test('what is denied is denied, whatever is allowed and however wide', () => {
  const rules = rulesOf({ user: '*', name: '*', action: 'all' }, { match: 'prefix', name: 'ord', effect: 'deny' })
  assert.equal(rules.judge(alice, 'publish', 'default', 'topic', 'orders'), 'deny')
  assert.equal(rules.judge(alice, 'consume', 'default', 'topic', 'orders'), 'allow')
  assert.equal(rules.judge(bob, 'publish', 'default', 'topic', 'orders'), 'allow')
  assert.equal(rules.judge(alice, 'publish', 'default', 'topic', 'other'), 'allow')
})

test('who may use or change a thing may look at it, but being kept from using it does not hide it', () => {
  assert.equal(rulesOf({}).judge(alice, 'describe', 'default', 'topic', 'orders'), 'allow')
  assert.equal(rulesOf({ action: 'configure' }).judge(alice, 'describeConfig', 'default', 'topic', 'orders'), 'allow')
  assert.equal(rulesOf({ effect: 'deny' }).judge(alice, 'describe', 'default', 'topic', 'orders'), null)
  assert.equal(rulesOf({ action: 'alter', effect: 'deny' }).judge(alice, 'manage', 'default', 'topic', 'orders'), 'deny')
})

test('a rule that names an address, or a network, speaks of clients from there alone', () => {
  const judge = (from: string, asker: Asker) => rulesOf({ user: '*', from }).judge(asker, 'publish', 'default', 'topic', 'orders')
  assert.equal(judge('10.1.2.3', alice), 'allow')
  assert.equal(judge('10.1.2.4', alice), null)
  assert.equal(judge('10.0.0.0/8', alice), 'allow')
  assert.equal(judge('10.0.0.0/8', bob), null)
  const rules = rulesOf({ from: '10.1.2.3' }, { from: '10.0.0.0/8', effect: 'deny' })
  assert.equal(rules.judge(alice, 'publish', 'default', 'topic', 'orders'), 'deny')
  assert.equal(rules.admits(new Asker('alice', '10.1.2.4'), 'default'), false)
})

test('a rule of an older version is from anywhere, and keeps its key', () => {
  const { from, ...old } = base
  const rule = readRule(JSON.stringify(old))
  assert.equal(rule.from, '*')
  assert.equal(ruleKey(rule), JSON.stringify(['default', 'topic', 'exact', 'orders', 'alice', 'publish', 'allow']))
})

test('a rule that is taken out leaves nothing behind', () => {
  const rules = rulesOf({}, { match: 'prefix' })
  assert.equal(rules.admits(alice, 'default'), true)
  for (const rule of rules.all()) rules.apply(ruleKey(rule), null)
  assert.equal(rules.size, 0)
  assert.equal(rules.judge(alice, 'publish', 'default', 'topic', 'orders'), null)
  assert.equal(rules.admits(alice, 'default'), false)
})
