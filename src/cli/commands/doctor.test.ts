/** `anymq doctor` on data directories that are whole, torn and damaged: it names the place, and changes nothing. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { startBroker } from '../../index.ts'

const main = fileURLToPath(new URL('../main.ts', import.meta.url))
const root = fs.mkdtempSync(path.join(os.tmpdir(), 'anymq-doctor-'))
/** Some records in segments, some in the write-ahead log behind the checkpoint, as a crash leaves them. */
const crashed = path.join(root, 'crashed')

before(async () => {
  const folder = path.join(root, 'running')
  const first = await startBroker({ storage: { folder }, protocols: [] })
  for (let count = 0; count < 30; count++) await first.publish('orders', `first ${count} ${'x'.repeat(200)}`)
  await first.close()
  const second = await startBroker({ storage: { folder }, protocols: [] })
  for (let count = 0; count < 5; count++) await second.publish('orders', `second ${count}`)
  fs.cpSync(folder, crashed, { recursive: true })
  fs.rmSync(path.join(crashed, 'lock'))
  await assertDoctor(folder, 1, /is using|in use/)
  await second.close()
  await assertDoctor(folder, 0, /no problems found/)
})
after(() => fs.rmSync(root, { recursive: true, force: true }))

function doctor(data: string): Promise<{ code: number; said: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [main, 'doctor', '--data', data], (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, said: stdout + stderr })
    })
  })
}

async function assertDoctor(data: string, code: number, says: RegExp): Promise<void> {
  const before = fingerprint(data)
  const found = await doctor(data)
  assert.match(found.said, says)
  assert.equal(found.code, code, found.said)
  assert.equal(fingerprint(data), before, 'it changes nothing')
}

/** Of names and contents; SQLite's own scratch files come and go with every reader. */
function fingerprint(data: string): string {
  const hash = createHash('sha256')
  const names = fs.readdirSync(data, { recursive: true, encoding: 'utf8' }).sort()
  for (const name of names.filter((each) => !/-(shm|wal)$/.test(each))) {
    const file = path.join(data, name)
    hash.update(name)
    if (fs.statSync(file).isFile()) hash.update(fs.readFileSync(file))
  }
  return hash.digest('hex')
}

/** A copy of the crashed directory to be damaged. */
function copyOf(name: string): string {
  const data = path.join(root, name)
  fs.cpSync(crashed, data, { recursive: true })
  return data
}

function find(data: string, end: string): string {
  const name = fs.readdirSync(data, { recursive: true, encoding: 'utf8' }).find((each) => each.endsWith(end))
  assert.ok(name !== undefined, `a file that ends in ${end}`)
  return path.join(data, name)
}

function change(file: string, at: number, bytes: Buffer): void {
  const handle = fs.openSync(file, 'r+')
  fs.writeSync(handle, bytes, 0, bytes.length, at)
  fs.closeSync(handle)
}

test('what a crash leaves is in order, also with a torn end of the log and of a segment', { timeout: 60_000 }, async () => {
  await assertDoctor(
    crashed,
    0,
    /metadata +format 1[\s\S]*write-ahead log +\d+ commits[\s\S]*segments +1 files, 30 records[\s\S]*no problems found/,
  )
  const torn = copyOf('torn')
  const log = find(torn, '.wal')
  const last = fs.readFileSync(log).lastIndexOf('AMQW')
  change(log, last + 30, Buffer.from('torn'))
  fs.appendFileSync(find(torn, '.seg'), Buffer.alloc(100, 7))
  await assertDoctor(torn, 0, /no problems found/)
})

test('a damaged frame in the middle of the log is named with its place', { timeout: 60_000 }, async () => {
  const data = copyOf('log')
  const log = find(data, '.wal')
  const bytes = fs.readFileSync(log)
  change(log, bytes.indexOf('second 1') + 2, Buffer.from('?'))
  await assertDoctor(data, 1, /PROBLEM .*\.wal at byte \d+[\s\S]*1 problems found/)
})

test('damage in a segment is named with its place: a changed byte, a missing end, a missing file', {
  timeout: 60_000,
}, async () => {
  const changed = copyOf('changed')
  const segment = find(changed, '.seg')
  change(segment, fs.readFileSync(segment).indexOf('first 7') + 3, Buffer.from('!'))
  await assertDoctor(changed, 1, /PROBLEM .*\.seg: the entry at byte \d+ is not whole \(after offset 6\)/)
  fs.truncateSync(segment, 1000)
  await assertDoctor(changed, 1, /PROBLEM .*\.seg: it has 1000 bytes instead of \d+/)
  fs.rmSync(segment)
  await assertDoctor(changed, 1, /PROBLEM .*\.seg: the file is not there/)
})

test('a damaged database is named', { timeout: 60_000 }, async () => {
  const data = copyOf('database')
  const database = path.join(data, 'metadata.db')
  fs.writeFileSync(database, Buffer.concat([fs.readFileSync(database).subarray(0, 100), Buffer.alloc(4096, 0xff)]))
  await assertDoctor(data, 1, /PROBLEM .*metadata\.db: /)
})
