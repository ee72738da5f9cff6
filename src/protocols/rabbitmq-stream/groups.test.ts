// Who of a group of single active consumers is told what, and when.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Groups } from './groups.ts'

function group(index: number) {
  const groups = new Groups()
  const said: string[] = []
  const member = (name: string) => ({ notify: (active: boolean) => void said.push(`${name} ${active ? 'begins' : 'stops'}`) })
  const take = (): string[] => said.splice(0)
  return { groups, member, take, join: (each: { notify(active: boolean): void }) => groups.join('key', index, each) }
}

test('on a stream of its own the first is active and stays it; the next follows when it leaves', () => {
  const { groups, member, take, join } = group(-1)
  const [a, b, c] = [member('a'), member('b'), member('c')]
  for (const each of [a, b, c]) assert.equal(join(each), true)
  assert.deepEqual(take(), ['a begins'])
  groups.leave('key', b)
  assert.deepEqual(take(), [])
  groups.leave('key', a)
  assert.deepEqual(take(), ['c begins'])
  assert.ok(groups.isActive('key', c))
  groups.leave('key', c)
  join(a)
  assert.deepEqual(take(), ['a begins'])
})

test('streams of a super stream move: the active one stops first, and the next begins when it said so', () => {
  const { groups, member, take, join } = group(1)
  const [a, b, c] = [member('a'), member('b'), member('c')]
  join(a)
  assert.deepEqual(take(), ['a begins'])
  join(b)
  assert.deepEqual(take(), ['a stops'])
  assert.equal(groups.isActive('key', a), false)
  join(c)
  assert.deepEqual(take(), [])
  groups.steppedDown('key', a)
  assert.deepEqual(take(), ['b begins'])
  // Of a and c, the second has the stream at index 1.
  groups.leave('key', b)
  assert.deepEqual(take(), ['c begins'])
})

test('who leaves while it is asked to stop has stopped', () => {
  const { groups, member, take, join } = group(1)
  const [a, b] = [member('a'), member('b')]
  join(a)
  join(b)
  assert.deepEqual(take(), ['a begins', 'a stops'])
  groups.leave('key', a)
  assert.deepEqual(take(), ['b begins'])
  // An answer that comes too late changes nothing.
  groups.steppedDown('key', a)
  assert.deepEqual(take(), [])
})

test('members who see their stream in different places are no group', () => {
  const { groups, member, join } = group(0)
  join(member('a'))
  assert.equal(groups.join('key', 1, member('b')), false)
  assert.equal(groups.join('other', 1, member('b')), true)
})
