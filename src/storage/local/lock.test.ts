/** One process owns a data directory; a second one is told which, and a lock that nobody holds any more keeps nobody out. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { Readable } from 'node:stream'
import { test } from 'node:test'
import { openLocalStorage } from './index.ts'
import { lockHolder, takeLock } from './lock.ts'

function inDirectory(run: (directory: string) => Promise<void>): () => Promise<void> {
  return async () => {
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'anymq-lock-'))
    try {
      await run(directory)
    } finally {
      fs.rmSync(directory, { recursive: true, force: true })
    }
  }
}

test(
  'a second start says who holds the directory, and can have it afterwards',
  inDirectory(async (directory) => {
    const first = openLocalStorage(directory, false)
    assert.throws(() => openLocalStorage(directory, false), new RegExp(`${directory} is in use by process ${process.pid};`))
    await first.close()
    assert.equal(lockHolder(path.join(directory, 'lock')), null)
    await openLocalStorage(directory, false).close()
  }),
)

/** Starts a process that takes the lock and says whether it got it. */
function starter(file: string): ChildProcess & { stdout: Readable } {
  const lock = new URL('lock.ts', import.meta.url).href
  const code = `
    const { takeLock } = await import(${JSON.stringify(lock)})
    try { takeLock(${JSON.stringify(file)}); console.log('taken') } catch (error) { console.log(error.message) }
    setInterval(() => {}, 1000)`
  return spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] })
}

test(
  'the lock of a process that was killed holds nothing, nor does one of a process that has its number now',
  inDirectory(async (directory) => {
    const file = path.join(directory, 'lock')
    const child = starter(file)
    await once(child.stdout, 'data')
    assert.equal(lockHolder(file), child.pid)
    assert.throws(() => takeLock(file), new RegExp(`process ${child.pid};`))
    child.kill('SIGKILL')
    await once(child, 'exit')
    assert.ok(fs.existsSync(file))
    assert.equal(lockHolder(file), null)
    takeLock(file)()

    // Our own number, but of a process that started at another time; only Linux tells.
    if (!fs.existsSync('/proc/self/stat')) return
    fs.writeFileSync(file, `${process.pid} 1\n`)
    assert.equal(lockHolder(file), null)
  }),
)

test(
  'of several that start at once behind one that was killed, one gets it',
  inDirectory(async (directory) => {
    const file = path.join(directory, 'lock')
    const killed = starter(file)
    await once(killed.stdout, 'data')
    killed.kill('SIGKILL')
    await once(killed, 'exit')
    const children = [1, 2, 3, 4].map(() => starter(file))
    try {
      const said = await Promise.all(children.map(async (child) => String((await once(child.stdout, 'data'))[0])))
      assert.equal(said.filter((text) => text === 'taken\n').length, 1)
      assert.equal(said.filter((text) => text.includes('is in use by process')).length, 3)
    } finally {
      for (const child of children) child.kill('SIGKILL')
    }
  }),
)

test(
  'a lock file that says nothing is nobody`s',
  inDirectory(async (directory) => {
    const file = path.join(directory, 'lock')
    for (const text of ['', 'garbage', '-1 5', '0', '99999999999999999999']) {
      fs.writeFileSync(file, text)
      assert.equal(lockHolder(file), null, text)
      takeLock(file)()
    }
  }),
)
