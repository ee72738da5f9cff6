import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compileSelector } from './selector.ts'
import { opaque, type SelectorValue, type Value } from './selector-values.ts'

type Source = Readonly<Record<string, Value>>

const compiled = (text: string): ((source: Source) => boolean) =>
  compileSelector<Source>(text, (name) => (name.startsWith('no.') ? `no such name "${name}"` : (source) => source[name] ?? null))

const matches = (text: string, source: Source): boolean => compiled(text)(source)

const record: Source = {
  s: 'text',
  empty: '',
  i: 5n,
  big: 9007199254740993n,
  f: 2.5,
  t: true,
  no: false,
  odd: opaque,
  'x-name': 'q',
  age: 30n,
  country: 'UK',
  phone: '12993',
}

test('conditions that are true', () => {
  for (const text of [
    `s = 'text'`,
    `s <> 'Text'`,
    `s != 'x' AND NOT s = 'x'`,
    `'it''s' = 'it''s'`,
    `i = 5 AND i = 5.0 AND i = 5L AND i = 0x5`,
    `big = 9007199254740993 AND big <> 9007199254740992`,
    `f > 2 AND f < 3 AND f >= 2.5 AND f <= 25e-1 AND f = .25E1`,
    `i BETWEEN 5 AND 5 AND NOT i BETWEEN 6 AND 7 AND i NOT BETWEEN 6 AND 7`,
    `s BETWEEN 'a' AND 'z'`,
    `country IN ('UK', 'US') AND country NOT IN ('FR')`,
    `i IN (1, 5) AND i NOT IN (-5)`,
    `phone LIKE '12%3' AND phone NOT LIKE '12_3' AND s LIKE 't__t' AND s LIKE '%' AND empty LIKE '' AND empty LIKE '%'`,
    `'a_b' LIKE 'a\\_b' ESCAPE '\\' AND 'axb' NOT LIKE 'a\\_b' ESCAPE '\\'`,
    `'😀' LIKE '_'`,
    `none IS NULL AND s IS NOT NULL AND odd IS NOT NULL`,
    `t`,
    `NOT no`,
    `t = TRUE AND no = false AND t <> no`,
    `no OR t AND t`,
    `NOT no AND t`,
    `NOT (no AND t)`,
    `none = 1 OR t`,
    `NOT (none = 1 AND no)`,
    `i + 1 * 2 = 7 AND (i + 1) * 2 = 12 AND -i = -5 AND - - i = 5 AND +i = 5`,
    `i / 2 = 2 AND i / 2.0 = 2.5 AND -7 / 2 = -3`,
    `10 - 4 - 3 = 3 AND 100 / 10 / 5 = 2`,
    `9223372036854775807 + 1 < 0`,
    `1 / 0.0 > 1E300`,
    `"x-name" = 'q'`,
    `age>=18 and(country='UK')`,
    `$a_b.c IS NULL`,
  ])
    assert.equal(matches(text, record), true, text)
})

test('conditions that are false or unknown', () => {
  for (const text of [
    `s = 5`,
    `s < 5`,
    `i = '5'`,
    `t = 'true'`,
    `t > no`,
    `none = 1`,
    `none <> 1`,
    `NOT none = 1`,
    `none`,
    `NOT none`,
    `s`,
    `NOT s`,
    `none BETWEEN 1 AND 2`,
    `NOT none BETWEEN 1 AND 2`,
    `none IN ('a')`,
    `none NOT IN ('a')`,
    `none LIKE '%'`,
    `none NOT LIKE '%'`,
    `i LIKE '5'`,
    `odd = 'x'`,
    `odd <> 'x'`,
    `odd IS NULL`,
    `s + 1 = 1`,
    `1 / 0 = 1`,
    `NOT 1 / 0 = 1`,
    `0.0 / 0.0 = 0.0 / 0.0`,
    `none = none`,
    `none OR no`,
    `t AND none`,
  ])
    assert.equal(matches(text, record), false, text)
})

test('what is wrong is named with its position', () => {
  for (const [text, message] of [
    ['', /a value is wanted, at the end/],
    ['s =', /a value is wanted, at the end/],
    ['s = = 1', /a value is wanted, not "=", at position 5/],
    ["s = 'abc", /the quote at position 5 is not closed/],
    ['s ~ 1', /"~" means nothing here, at position 3/],
    ['i = 1 2', /the end or an operator is wanted, not "2", at position 7/],
    ['i = 1 = 2', /the end or an operator is wanted, not "=", at position 7/],
    ['(i = 1', /\) is wanted, at the end/],
    ['i BETWEEN 1', /AND is wanted, at the end/],
    ['i IN ()', /a string or a number is wanted, not "\)", at position 7/],
    ['s LIKE i', /a pattern in quotes is wanted, not "i", at position 8/],
    ["s LIKE 'a' ESCAPE 'xy'", /one character in quotes is wanted, not "xy", at position 19/],
    ["s LIKE 'a!' ESCAPE '!'", /the pattern ends with its escape character, at position 8/],
    ['i IS 5', /NULL is wanted, not "5", at position 6/],
    ['i NOT = 5', /BETWEEN, IN or LIKE is wanted, not "=", at position 7/],
    ["'a'", /a condition is wanted, this is a value, at position 1/],
    ["t AND 'a'", /a condition is wanted, this is a value, at position 7/],
    ['5 OR t', /a condition is wanted, this is a value, at position 1/],
    ['i + (i = 1) = 2', /a value is wanted, this is a condition, at position 5/],
    ['NOT i + 1', /a condition is wanted, this is a value, at position 5/],
    ['AND = 1', /a value is wanted, not "AND", at position 1/],
    ['no.such = 1', /no such name "no.such", at position 1/],
    ['i = 9223372036854775808', /does not fit into 64 bits, at position 5/],
    ['i = 1.5L', /1.5L is no integer, at position 5/],
    [`${'('.repeat(100)}t${')'.repeat(100)}`, /nested deeper than 64/],
    [`t${' OR t'.repeat(2000)}`, /at most 8192 characters/],
  ] as const) {
    assert.throws(() => compiled(text), { code: 'Invalid', message }, text)
  }
})

// With every way tried, this would outlast the test's time limit by far.
test('a pattern made to be slow is not', () => {
  const text = 'a'.repeat(20_000)
  assert.equal(matches(`s LIKE '${'%a'.repeat(100)}%b'`, { s: text }), false)
})

// ------------------------------------------------------------------------------------------------- against a plain evaluator

type Tree =
  | { readonly op: 'and' | 'or'; readonly of: readonly [Tree, Tree] }
  | { readonly op: 'not'; readonly of: readonly [Tree] }
  | { readonly op: '=' | '<>' | '<' | '<=' | '>' | '>='; readonly name: string; readonly value: SelectorValue }
  | { readonly op: 'null' | 'notNull'; readonly name: string }
  | { readonly op: 'between'; readonly name: string; readonly low: bigint; readonly high: bigint }

const names = ['a', 'b', 'c']
const name = fc.constantFrom(...names)
const literal: fc.Arbitrary<SelectorValue> = fc.oneof(
  fc.bigInt({ min: -3n, max: 3n }),
  fc.constantFrom(0.5, -1.5, 2.5),
  fc.constantFrom('', 'x', "it's", 'y'),
  fc.boolean(),
)
const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.record({ op: fc.constantFrom('=', '<>', '<', '<=', '>', '>='), name, value: literal }) as fc.Arbitrary<Tree>,
    fc.record({ op: fc.constantFrom('null', 'notNull'), name }) as fc.Arbitrary<Tree>,
    fc.record({
      op: fc.constant('between' as const),
      name,
      low: fc.bigInt({ min: -3n, max: 3n }),
      high: fc.bigInt({ min: -3n, max: 3n }),
    }) as fc.Arbitrary<Tree>,
    fc.record({ op: fc.constantFrom('and', 'or'), of: fc.tuple(tie('tree'), tie('tree')) }) as fc.Arbitrary<Tree>,
    fc.record({ op: fc.constant('not' as const), of: fc.tuple(tie('tree')) }) as fc.Arbitrary<Tree>,
  ),
}))

function written(value: SelectorValue): string {
  if (typeof value === 'string') return `'${value.replaceAll("'", "''")}'`
  return typeof value === 'boolean' ? String(value).toUpperCase() : String(value)
}

function show(of: Tree): string {
  switch (of.op) {
    case 'and':
    case 'or':
      return `(${show(of.of[0])} ${of.op.toUpperCase()} ${show(of.of[1])})`
    case 'not':
      return `NOT ${show(of.of[0])}`
    case 'null':
      return `${of.name} IS NULL`
    case 'notNull':
      return `${of.name} IS NOT NULL`
    case 'between':
      return `${of.name} BETWEEN ${of.low} AND ${of.high}`
    default:
      return `${of.name} ${of.op} ${written(of.value)}`
  }
}

/** 1 true, 0 false, 0.5 unknown: AND is the least, OR the greatest, NOT the difference to 1. */
function truthOf(of: Tree, source: Source): number {
  const value = 'name' in of ? (source[of.name] ?? null) : null
  switch (of.op) {
    case 'and':
      return Math.min(truthOf(of.of[0], source), truthOf(of.of[1], source))
    case 'or':
      return Math.max(truthOf(of.of[0], source), truthOf(of.of[1], source))
    case 'not':
      return 1 - truthOf(of.of[0], source)
    case 'null':
      return value === null ? 1 : 0
    case 'notNull':
      return value === null ? 0 : 1
    case 'between': {
      if (value === null || value === opaque) return 0.5
      return (typeof value === 'bigint' || typeof value === 'number') &&
        Number(value) >= Number(of.low) &&
        Number(value) <= Number(of.high)
        ? 1
        : 0
    }
    default: {
      if (value === null || value === opaque) return 0.5
      const kind = (each: SelectorValue): string => (typeof each === 'bigint' ? 'number' : typeof each)
      const alike = kind(value) === kind(of.value)
      const [left, right] = [value, of.value].map((each) => (typeof each === 'bigint' ? Number(each) : each)) as [string, string]
      if (of.op === '=') return alike && left === right ? 1 : 0
      if (of.op === '<>') return alike && left === right ? 0 : 1
      if (!alike || kind(value) === 'boolean') return 0
      return (of.op === '<' ? left < right : of.op === '<=' ? left <= right : of.op === '>' ? left > right : left >= right)
        ? 1
        : 0
    }
  }
}

test('whatever is written, it is what three-valued logic says', () => {
  const value: fc.Arbitrary<Value> = fc.oneof(literal, fc.constantFrom(null, opaque))
  fc.assert(
    fc.property(tree, fc.record({ a: value, b: value, c: value }), (of, source) => {
      assert.equal(matches(show(of), source), truthOf(of, source) === 1, show(of))
    }),
    { numRuns: 2000 },
  )
})

test('no text makes it do anything but compile or say what is wrong', () => {
  const word = fc.constantFrom(
    ...[
      'a',
      'AND',
      'OR',
      'NOT',
      '(',
      ')',
      '=',
      '<>',
      'BETWEEN',
      'IN',
      'LIKE',
      "'x'",
      '5',
      '.5',
      '+',
      '-',
      '*',
      '/',
      ',',
      'IS',
      'NULL',
      '"q"',
      "'",
      '!',
    ],
  )
  fc.assert(
    fc.property(
      fc.oneof(
        fc.array(word, { maxLength: 12 }).map((words) => words.join(' ')),
        fc.string({ maxLength: 30 }),
      ),
      (text) => {
        try {
          compiled(text)({ a: 1n })
        } catch (cause) {
          assert.equal((cause as { code?: unknown }).code, 'Invalid', text)
        }
      },
    ),
    { numRuns: 3000 },
  )
})
