import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { SortedKeys } from '../lib/sorted-keys.ts'
import { matcherOf } from '../lib/trie.ts'
import { AddressIndex } from './address-index.ts'

// Words that sort around the dot, and that begin one another.
const word = fc.constantFrom('', 'a', 'b', 'aa', 'a-', 'a!', 'a/', 'b0', '#', '*')
const address = fc.array(word, { minLength: 1, maxLength: 5 }).map((words) => words.join('.'))
const pattern = fc
  .array(fc.oneof(word, fc.constantFrom('*', '#')), { minLength: 1, maxLength: 5 })
  .map((words) => words.join('.'))

/** Enough of no interest that they are not looked at one by one. */
const others = Array.from({ length: 4500 }, (_, n) => `other.${n % 90}.${n}`)

test('it finds what a look at each address finds, whatever comes and goes meanwhile', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ change: fc.constantFrom('add', 'delete', 'look'), address, pattern }), { maxLength: 60, size: 'max' }),
      fc.integer({ min: 1, max: 5 }),
      (steps, looks) => {
        const addresses = new Map(others.map((each) => [each, true]))
        const index = new AddressIndex(addresses)
        for (const step of steps) {
          if (step.change === 'add' && !addresses.has(step.address)) {
            addresses.set(step.address, true)
            index.added(step.address)
          }
          if (step.change === 'delete' && addresses.delete(step.address)) index.removed(step.address)
          for (const wanted of ['other.3.*', step.pattern].slice(0, step.change === 'look' ? looks : 0))
            assert.deepEqual(index.matching(wanted).sort(), [...addresses.keys()].filter(matcherOf(wanted)).sort(), wanted)
        }
      },
    ),
    { numRuns: 40 },
  )
})

test('patterns of every form', () => {
  const addresses = new Map(
    [...others, 'a', 'a.b', 'a.b.c', 'a.b-c.d', 'a.c', 'a.c.x', 'b.b', 'a..b', 'x.1.temp', 'x.2.temp', 'x.2.hum'].map((each) => [
      each,
      1,
    ]),
  )
  const index = new AddressIndex(addresses)
  while (index.matching('other.#').length < others.length) assert.fail('all are found from the first look on')
  for (let look = 0; look < 5; look++) index.matching('a.*')
  const cases: [string, string[]][] = [
    ['a.#', ['a', 'a..b', 'a.b', 'a.b-c.d', 'a.b.c', 'a.c', 'a.c.x']],
    ['a.*', ['a.b', 'a.c']],
    ['a.*.#', ['a..b', 'a.b', 'a.b-c.d', 'a.b.c', 'a.c', 'a.c.x']],
    ['*', ['a']],
    ['*.b', ['a.b', 'b.b']],
    ['x.*.temp', ['x.1.temp', 'x.2.temp']],
    ['#.temp', ['x.1.temp', 'x.2.temp']],
    ['a.#.#', ['a', 'a..b', 'a.b', 'a.b-c.d', 'a.b.c', 'a.c', 'a.c.x']],
    ['a.#.b', ['a..b', 'a.b']],
    ['*.*.d', ['a.b-c.d']],
    ['a.b', ['a.b']],
    ['nothing.#', []],
  ]
  for (const [wanted, found] of cases) assert.deepEqual(index.matching(wanted), found, wanted)
})

test('sorted keys are a sorted set, and a cursor finds the first at or after a key', () => {
  const sorted = new SortedKeys()
  const model = new Set<string>()
  const key = (n: number): string => String((n * 7919) % 4001).padStart(4, '0')
  for (let n = 0; n < 9000; n++) {
    if (n % 3 === 2) {
      sorted.delete(key(n - 2))
      model.delete(key(n - 2))
    } else {
      sorted.add(key(n))
      model.add(key(n))
    }
  }
  const expected = [...model].sort()
  assert.equal(sorted.size, expected.length)
  const all: string[] = []
  for (const cursor = sorted.cursor(); cursor.key !== undefined; cursor.next()) all.push(cursor.key)
  assert.deepEqual(all, expected)
  for (const step of [1, 3, 100, 1700]) {
    const cursor = sorted.cursor()
    for (let n = 0; n < 4100; n += step) {
      const wanted = String(n).padStart(4, '0')
      cursor.seek(wanted)
      assert.equal(
        cursor.key,
        expected.find((each) => each >= wanted),
      )
    }
  }
  for (const each of expected) sorted.delete(each)
  assert.deepEqual([sorted.size, sorted.cursor().key], [0, undefined])
})
