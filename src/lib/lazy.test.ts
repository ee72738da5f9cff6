import assert from 'node:assert/strict'
import { test } from 'node:test'
import { answeringLazily, lazily } from './lazy.ts'

test('the module is loaded by the first call; those after it have their result at once', async () => {
  let loads = 0
  const add = lazily(
    async () => {
      loads++
      return { base: 10 }
    },
    ({ base }, more: number) => base + more,
  )
  assert.equal(loads, 0)
  const [first, second] = [add(1), add(2)]
  assert.ok(first instanceof Promise && second instanceof Promise)
  assert.deepEqual(await Promise.all([first, second]), [11, 12])
  const before = loads
  assert.equal(add(3), 13)
  assert.equal(loads, before)
})

test('a module that cannot be loaded fails the call, and is tried again', async () => {
  let broken = true
  const get = lazily(
    async () => {
      if (broken) throw new Error('gone')
      return 'there'
    },
    (module) => module,
  )
  await assert.rejects(async () => await get(), /gone/)
  broken = false
  assert.equal(await get(), 'there')
})

test('what answers is made once, by the first request, and drained when there is one', async () => {
  let makes = 0
  let drains = 0
  const make = async () => {
    makes++
    return { answer: (request: string) => `${request}!`, drain: () => void drains++ }
  }
  const unasked = answeringLazily(make)
  unasked.drain()
  assert.deepEqual([makes, drains], [0, 0])
  const asked = answeringLazily(make)
  assert.deepEqual(await Promise.all([asked.answer('a'), asked.answer('b')]), ['a!', 'b!'])
  asked.drain()
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual([makes, drains], [1, 1])
})
