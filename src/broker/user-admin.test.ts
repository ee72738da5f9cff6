/** Changes of users come one after the other. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Machine } from '../../test/support/machine.ts'
import { CoreError } from '../core/errors.ts'
import type { Permission, UserAdmin } from './face.ts'

const permissionIn = (namespace: string): Permission => ({ namespace, publish: '.*', consume: '', manage: '' })

function allow(users: UserAdmin, name: string, namespace: string): Promise<void> {
  return users.change(name, async (present) => {
    const before = present?.permissions ?? []
    await new Promise((resolve) => setImmediate(resolve))
    return { permissions: [...before, permissionIn(namespace)] }
  })
}

const namespacesOf = (users: UserAdmin, name: string): string[] | undefined =>
  users
    .list()
    .find((user) => user.name === name)
    ?.permissions.map(({ namespace }) => namespace)

test('changes decided by what was there all count, and what comes between them is seen by the next', async () => {
  const machine = new Machine()
  let { users } = await machine.start()
  await users.put('admin', { admin: true, password: 'secret' })
  await Promise.all([
    allow(users, 'alice', 'a'),
    allow(users, 'alice', 'b'),
    users.put('alice', { admin: true }),
    allow(users, 'alice', 'c'),
  ])
  users = (await machine.crash()).users
  assert.deepEqual(namespacesOf(users, 'alice'), ['a', 'b', 'c'])
  assert.equal(users.list().find(({ name }) => name === 'alice')?.admin, true)
  await machine.stop()
})

test('of two who delete each other the second is asked again; what is refused holds nobody up', async () => {
  const machine = new Machine()
  const { users } = await machine.start()
  for (const name of ['one', 'two']) await users.put(name, { admin: true })
  const check = (): void => {
    if (users.list().length === 1) throw new CoreError('Mismatch', 'the last one')
  }
  const outcomes = await Promise.allSettled([users.delete('one', check), users.delete('two', check), allow(users, 'three', 'a')])
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  )
  await users.change('three', () => null)
  await users.change('four', () => null)
  await assert.rejects(
    users.change('three', () => {
      throw new CoreError('Mismatch', 'no')
    }),
    { code: 'Mismatch' },
  )
  assert.deepEqual(
    users.list().map(({ name }) => name),
    ['two', 'three'],
  )
  assert.deepEqual(namespacesOf(users, 'three'), ['a'])
  await machine.stop()
})
