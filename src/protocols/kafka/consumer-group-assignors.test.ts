import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type AssignorMember, assignors } from './consumer-group-assignors.ts'
import { type Assignment, assignmentOf, countOf, difference, noPartitions } from './group-assignment.ts'

const uniform = assignors.get('uniform')
const range = assignors.get('range')
assert.ok(uniform && range)

const member = (id: string, topics: readonly string[], target: Assignment = noPartitions): AssignorMember => ({
  id,
  instanceId: null,
  topics: new Set(topics),
  target,
})

/** Each partition of a topic that somebody reads has one owner, who reads it. */
function checkComplete(
  members: readonly AssignorMember[],
  partitions: ReadonlyMap<string, number>,
  given: Map<string, Assignment>,
): void {
  const owners = new Map<string, string>()
  for (const each of members) {
    for (const [topicId, some] of given.get(each.id) ?? noPartitions) {
      assert.ok(each.topics.has(topicId), `${each.id} does not read ${topicId}`)
      for (const partition of some) {
        assert.equal(owners.get(`${topicId}/${partition}`), undefined)
        owners.set(`${topicId}/${partition}`, each.id)
      }
    }
  }
  let expected = 0
  for (const [topicId, count] of partitions) if (members.some((each) => each.topics.has(topicId))) expected += count
  assert.equal(owners.size, expected)
}

test('uniform: whoever comes, goes and whatever grows, all have the same but one, and least moves', () => {
  let seed = 7
  const random = (below: number): number => {
    seed = (seed * 1103515245 + 12345) % 0x80000000
    return seed % below
  }
  const partitions = new Map([
    ['a', 7],
    ['b', 12],
  ])
  let members = [member('m0', ['a', 'b'])]
  let given = uniform(members, partitions)
  for (let round = 1; round < 300; round++) {
    const kind = random(3)
    if (kind === 0 || members.length === 1) members.push(member(`m${round}`, ['a', 'b']))
    else if (kind === 1) members.splice(random(members.length), 1)
    else partitions.set('a', (partitions.get('a') ?? 0) + 1)
    members = members.map((each) => ({ ...each, target: given.get(each.id) ?? noPartitions }))
    const before = given
    given = uniform(members, partitions)
    checkComplete(members, partitions, given)
    const counts = members.map((each) => countOf(given.get(each.id) ?? noPartitions))
    assert.ok(Math.max(...counts) - Math.min(...counts) <= 1, counts.join())
    // Nobody gives away more than what takes him to his share.
    const share = Math.floor(counts.reduce((a, b) => a + b, 0) / members.length)
    for (const each of members) {
      const had = before.get(each.id) ?? noPartitions
      const lost = countOf(difference(had, given.get(each.id) ?? noPartitions))
      assert.ok(lost <= Math.max(0, countOf(had) - share), `round ${round}: ${each.id} lost ${lost} of ${countOf(had)}`)
    }
  }
})

test('uniform: with different subscriptions each has what it reads, levelled as far as that allows', () => {
  const partitions = new Map([
    ['a', 6],
    ['b', 2],
  ])
  const members = [member('one', ['a']), member('both', ['a', 'b']), member('two', ['b'])]
  const given = uniform(members, partitions)
  checkComplete(members, partitions, given)
  assert.deepEqual(members.map((each) => countOf(given.get(each.id) ?? noPartitions)).sort(), [2, 3, 3])
})

test('uniform: what is gone, or no longer read, is given up', () => {
  const target = assignmentOf([
    { topicId: 'gone', partitions: [0] },
    { topicId: 'a', partitions: [0, 5] },
  ])
  const given = uniform([member('m', ['a'], target)], new Map([['a', 2]]))
  assert.deepEqual(given.get('m'), new Map([['a', new Set([0, 1])]]))
})

test('range: contiguous, the first have one more, and topics of one size fall together', () => {
  const members = ['m2', 'm1', 'm3'].map((id) => member(id, ['a', 'b']))
  const given = range(
    members,
    new Map([
      ['a', 4],
      ['b', 4],
    ]),
  )
  const of = (id: string) => [...(given.get(id) ?? [])].map(([topicId, some]) => [topicId, [...some]])
  assert.deepEqual(of('m1'), [
    ['a', [0, 1]],
    ['b', [0, 1]],
  ])
  assert.deepEqual(of('m2'), [
    ['a', [2]],
    ['b', [2]],
  ])
  assert.deepEqual(of('m3'), [
    ['a', [3]],
    ['b', [3]],
  ])
})
