/** Patterns against a matcher that tries everything. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { matchesPattern, PatternTrie } from './trie.ts'

function matches(pattern: readonly string[], key: readonly string[]): boolean {
  const [first, ...rest] = pattern
  if (first === undefined) return key.length === 0
  if (first === '#') return matches(rest, key) || (key.length > 0 && matches(pattern, key.slice(1)))
  return key.length > 0 && (first === '*' || first === key[0]) && matches(rest, key.slice(1))
}

const word = fc.constantFrom('a', 'b', '', 'long')
const pattern = fc
  .array(fc.oneof(word, fc.constantFrom('*', '#')), { minLength: 1, maxLength: 5 })
  .map((words) => words.join('.'))
const key = fc
  .array(fc.oneof({ weight: 9, arbitrary: word }, fc.constantFrom('*', '#')), { minLength: 1, maxLength: 6 })
  .map((words) => words.join('.'))
const step = fc.record({ kind: fc.constantFrom('add', 'add', 'remove', 'match'), pattern, key, value: fc.nat(3) })

test('one pattern matches what it matches in a trie', () => {
  fc.assert(
    fc.property(pattern, key, (pattern, key) => {
      assert.equal(matchesPattern(pattern, key), matches(pattern.split('.'), key.split('.')))
    }),
    { numRuns: 2000 },
  )
})

test('a key finds each value whose pattern matches, once for each time it was added', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const trie = new PatternTrie<number>()
      const added: { pattern: string; value: number }[] = []
      for (const each of [...steps, { kind: 'match', pattern: '', key: 'a.b', value: 0 }]) {
        if (each.kind === 'add') {
          trie.add(each.pattern, each.value)
          added.push(each)
        }
        if (each.kind === 'remove') {
          trie.remove(each.pattern, each.value)
          const at = added.findIndex((one) => one.pattern === each.pattern && one.value === each.value)
          if (at >= 0) added.splice(at, 1)
        }
        if (each.kind !== 'match') continue
        const found: number[] = []
        trie.match(each.key, (value) => found.push(value))
        const wanted = added.filter((one) => matches(one.pattern.split('.'), each.key.split('.'))).map(({ value }) => value)
        assert.deepEqual(found.sort(), wanted.sort(), each.key)
        if (wanted.length > 0) assert.ok(trie.begins(each.key), each.key)
        if (!trie.isSameForAnyLast(each.key)) continue
        for (const last of ['a', 'b', '', 'long', 'other', '*', '#']) {
          const sibling = [...each.key.split('.').slice(0, -1), last].join('.')
          const same: number[] = []
          trie.match(sibling, (value) => same.push(value))
          assert.deepEqual(same.sort(), wanted, `${sibling} as ${each.key}`)
        }
      }
    }),
  )
})

test('a pattern of many # takes no longer than its length times that of the key', { timeout: 10_000 }, () => {
  const trie = new PatternTrie<string>()
  trie.add(`${'#.'.repeat(30)}end`, 'found')
  const found: string[] = []
  trie.match('a.'.repeat(60), (value) => found.push(value))
  trie.match(`${'a.'.repeat(60)}end`, (value) => found.push(value))
  assert.deepEqual(found, ['found'])
})

test('whether the last word of a key matters: only where a pattern names one there', () => {
  const trie = new PatternTrie<string>()
  trie.add('inbox.one.*', 'one')
  trie.add('inbox.two.last', 'two')
  assert.equal(trie.isSameForAnyLast('inbox.one.1'), true)
  assert.equal(trie.isSameForAnyLast('inbox.three.1'), true)
  assert.equal(trie.isSameForAnyLast('inbox.two.1'), false)
  assert.equal(trie.isSameForAnyLast('inbox.one'), false, 'another last word than "one" leads nowhere')
  assert.equal(trie.isSameForAnyLast('inbox'), false)
  trie.add('#.tail', 'tail')
  assert.equal(trie.isSameForAnyLast('inbox.one.1'), false)
})

test('a key that begins like no pattern is told by its first word', () => {
  const trie = new PatternTrie<string>()
  assert.equal(trie.begins('a'), false)
  trie.add('inbox.one.*', 'one')
  assert.deepEqual([trie.begins('inbox'), trie.begins('inbox.two'), trie.begins('inboxes.one.1')], [true, true, false])
  trie.add('*.x', 'any')
  assert.equal(trie.begins('inboxes.one.1'), true)
  trie.remove('*.x', 'any')
  assert.equal(trie.begins('inboxes.one.1'), false)
})
