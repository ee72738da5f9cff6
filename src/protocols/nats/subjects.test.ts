import assert from 'node:assert/strict'
import { test } from 'node:test'
import { matchesPattern } from '../../lib/trie.ts'
import { hasForeignWildcard, isLiteral, isValidSubject, matchesSubject, patternOf } from './subjects.ts'

test('which subjects are valid, and which may be published to', () => {
  for (const valid of ['a', 'a.b', '*', '>', 'a.*.>', '$JS.API.INFO', 'a>b', 'a*', 'ü']) assert.ok(isValidSubject(valid), valid)
  for (const invalid of ['', '.a', 'a.', 'a..b', '>.a', 'a b', 'a.\tb']) assert.ok(!isValidSubject(invalid), invalid)
  assert.deepEqual(
    ['a.b', 'a>b', 'a.*', '>', 'a..b'].map((subject) => isLiteral(subject)),
    [true, true, false, false, false],
  )
  assert.deepEqual([hasForeignWildcard('a.#'), hasForeignWildcard('a#.b')], [true, false])
})

test("a pattern of NATS and the broker's pattern for it match the same", () => {
  const patterns = ['a', '*', '>', 'a.>', 'a.*', '*.b.>', 'a.b.c', '*.*']
  const subjects = ['a', 'b', 'a.b', 'a.b.c', 'x.b.c', 'x.b', 'a.b.c.d']
  for (const pattern of patterns)
    for (const subject of subjects)
      assert.equal(matchesSubject(pattern, subject), matchesPattern(patternOf(pattern), subject), `${pattern} ${subject}`)
  assert.deepEqual(
    subjects.map((subject) => matchesSubject('a.>', subject)),
    [false, false, true, true, false, false, true],
  )
})
