import assert from 'node:assert/strict'
import { test } from 'node:test'
import { renamed } from './renaming.ts'

test('words change their places, the rest follows, and other addresses stay', () => {
  const renaming = { pattern: 'a.*.*.#', words: ['b', 2, 1], restFrom: 3 }
  assert.equal(renamed(renaming, 'a.x.y'), 'b.y.x')
  assert.equal(renamed(renaming, 'a.x.y.z.w'), 'b.y.x.z.w')
  assert.equal(renamed(renaming, 'a.x'), 'a.x')
  assert.equal(renamed({ pattern: 'a', words: ['b'], restFrom: -1 }, 'a'), 'b')
})
