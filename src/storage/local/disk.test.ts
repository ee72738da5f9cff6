/** The real disk: what is written is there when it says so, and what fails says so. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { type DiskFile, NodeDisk } from './disk.ts'

const write = (file: DiskFile, bytes: Buffer, at: number): Promise<Error | null> =>
  new Promise((resolve) => file.write(bytes, bytes.length, at, resolve))
const read = (file: DiskFile, length: number, at: number): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const into = Buffer.alloc(length)
    file.read(into, length, at, (error, bytesRead) => (error === null ? resolve(into.subarray(0, bytesRead)) : reject(error)))
  })

for (const [synced, eager] of [
  [false, false],
  [false, true],
  [true, false],
] as const)
  test(`small and large writes, ${synced ? 'synced' : eager ? 'eager' : 'plain'}`, async (t) => {
    const folder = mkdtempSync(path.join(tmpdir(), 'anymq-disk-'))
    t.after(() => rmSync(folder, { recursive: true }))
    const file = await new NodeDisk().open(path.join(folder, 'file'), synced, eager)
    const small = Buffer.alloc(1000, 1)
    const large = Buffer.alloc(1_000_000, 2)
    let inside = true
    const done = new Promise<Error | null>((resolve) => {
      file.write(small, small.length, 0, (error) => resolve(inside ? new Error('called back within the call') : error))
    })
    inside = false
    assert.equal(await done, null)
    assert.equal(await write(file, large, small.length), null)
    assert.deepEqual(await read(file, 2_000_000, 0), Buffer.concat([small, large]))
    await file.close()
  })

test('a write that fails says so, whichever way it goes', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'anymq-disk-'))
  t.after(() => rmSync(folder, { recursive: true }))
  for (const eager of [false, true]) {
    const file = await new NodeDisk().open(path.join(folder, 'file'), false, eager)
    await file.close()
    for (const bytes of [100, 1_000_000]) assert.match(String(await write(file, Buffer.alloc(bytes), 0)), /EBADF/)
  }
})
