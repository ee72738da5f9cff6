/** `anymq doctor`: reads a data directory from end to end while no broker has it, and says what is there and what is damaged. Changes nothing. */
import fs from 'node:fs'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { entryBase, entryCount, entryHeaderBytes, entryIsWhole, entryLength } from '../../core/entry.ts'
import { Segment } from '../../core/segment.ts'
import { lockHolder } from '../../storage/local/lock.ts'
import { segmentPath } from '../../storage/local/segments.ts'
import { LocalWal } from '../../storage/local/wal.ts'
import type { ParsedArguments } from '../arguments.ts'
import type { Command } from '../command.ts'
import { ReadOnlyDisk } from '../read-only-disk.ts'
import { resolveSettings, settingsOptions } from '../settings.ts'

const readBytes = 4 * 1024 * 1024

export const command: Command = {
  name: 'doctor',
  usage: '[--data DIR]',
  summary:
    'Check a data directory while no broker runs on it: metadata, write-ahead log and every record. Changes nothing; exits 1 when something is damaged.',
  options: settingsOptions,
  run,
}

async function run(parsed: ParsedArguments): Promise<number> {
  const { data } = resolveSettings(parsed, process.env)
  if (!fs.existsSync(data)) throw new Error(`there is no data directory ${data}`)
  const holder = lockHolder(path.join(data, 'lock'))
  if (holder !== null) throw new Error(`process ${holder} is using ${data}; stop it first`)
  const problems: string[] = []
  const { position, segments } = checkMetadata(path.join(data, 'metadata.db'), problems)
  await checkWal(path.join(data, 'wal'), position, problems)
  await checkSegments(path.join(data, 'segments'), segments, problems)
  for (const problem of problems) process.stdout.write(`PROBLEM  ${problem}\n`)
  process.stdout.write(problems.length === 0 ? 'no problems found\n' : `${problems.length} problems found\n`)
  return problems.length === 0 ? 0 : 1
}

/** What the last checkpoint says: how far it has everything, and how many bytes of which segments, by their name below segments/. */
interface Checkpoint {
  readonly position: number
  readonly segments: ReadonlyMap<string, number>
}

const noCheckpoint: Checkpoint = { position: 0, segments: new Map() }

function checkMetadata(file: string, problems: string[]): Checkpoint {
  if (!fs.existsSync(file)) {
    report('metadata', 'none yet')
    return noCheckpoint
  }
  try {
    const database = new DatabaseSync(file, { readOnly: true })
    try {
      for (const row of database.prepare('PRAGMA integrity_check').all()) {
        if (row['integrity_check'] !== 'ok') problems.push(`${file}: ${String(row['integrity_check'])}`)
      }
      const value = (key: string): unknown =>
        database.prepare("SELECT value FROM meta WHERE tbl = 'anymq' AND key = ?").get(key)?.['value']
      const rows = database.prepare('SELECT count(*) AS n FROM meta').get()?.['n']
      report(
        'metadata',
        `format ${String(value('format'))}, ${String(rows)} rows, checkpoint at position ${String(value('position') ?? 0)}`,
      )
      const logs = database.prepare("SELECT key, value FROM meta WHERE tbl = 'log'").all()
      const segments = logs.flatMap((row) => namedSegments(String(row['key']), String(row['value'])))
      return { position: Number(value('position') ?? 0), segments: new Map(segments) }
    } finally {
      database.close()
    }
  } catch (cause) {
    problems.push(`${file}: ${messageOf(cause)}`)
    return noCheckpoint
  }
}

function namedSegments(log: string, row: string): [string, number][] {
  const { segments } = JSON.parse(row) as { segments: Parameters<typeof Segment.from>[0][] } // as the checkpoint writes it
  return segments.map(Segment.from).map((segment) => [segmentPath(log, segment.object), segment.bytes])
}

async function checkWal(directory: string, from: number, problems: string[]): Promise<void> {
  const wal = new LocalWal(new ReadOnlyDisk(), directory, false)
  let frames = 0
  let bytes = 0
  try {
    await wal.recover(from, (frame) => {
      frames++
      bytes += frame.length
    })
    report('write-ahead log', `${frames} commits, ${bytes} bytes after the checkpoint; ends at position ${wal.position}`)
  } catch (cause) {
    problems.push(messageOf(cause))
  }
  await wal.close()
}

/** Only what the checkpoint names counts: anything else is from a write that a crash interrupted, and is removed by the next start. */
async function checkSegments(directory: string, named: ReadonlyMap<string, number>, problems: string[]): Promise<void> {
  let records = 0
  let bytes = 0
  let index = 0
  for (const [name, length] of named) {
    if (process.stderr.isTTY) process.stderr.write(`\r\u001b[Ksegment ${++index} of ${named.size}`)
    const file = path.join(directory, name)
    const result = fs.existsSync(file)
      ? await checkSegment(file, length)
      : { records: 0, bytes: 0, problem: 'the file is not there, but the metadata names it' }
    records += result.records
    bytes += result.bytes
    if (result.problem !== null) problems.push(`${file}: ${result.problem}`)
  }
  if (process.stderr.isTTY) process.stderr.write('\r\u001b[K')
  report('segments', `${named.size} files, ${records} records, ${bytes} bytes`)
}

/** Walks the entries in the first `size` bytes of one file, checking each checksum. */
async function checkSegment(file: string, size: number): Promise<{ records: number; bytes: number; problem: string | null }> {
  const handle = await fs.promises.open(file, 'r')
  let records = 0
  let position = 0
  let nextOffset = -1
  try {
    const held = (await handle.stat()).size
    if (held < size) return { records, bytes: position, problem: `it has ${held} bytes instead of ${size}` }
    while (position < size) {
      const header = await readAt(position, Math.min(entryHeaderBytes, size - position))
      if (header.length < entryHeaderBytes) return { records, bytes: position, problem: damage() }
      const length = entryLength(header, 0)
      if (length < entryHeaderBytes || position + length > size) return { records, bytes: position, problem: damage() }
      const window = await readAt(position, Math.min(Math.max(length, readBytes), size - position))
      let at = 0
      while (at + entryHeaderBytes <= window.length) {
        const end = at + entryLength(window, at)
        if (end - at < entryHeaderBytes || end > window.length) break
        if (!entryIsWhole(window, at, end)) return { records, bytes: position + at, problem: damage(at) }
        if (entryBase(window, at) < nextOffset)
          return { records, bytes: position + at, problem: `offset goes back at byte ${position + at}` }
        nextOffset = entryBase(window, at) + entryCount(window, at)
        records += entryCount(window, at)
        at = end
      }
      if (at === 0) return { records, bytes: position, problem: damage() }
      position += at
    }
    return { records, bytes: position, problem: null }
  } finally {
    await handle.close()
  }

  async function readAt(from: number, length: number): Promise<Buffer> {
    const buffer = Buffer.allocUnsafeSlow(length)
    const { bytesRead } = await handle.read(buffer, 0, length, from)
    return buffer.subarray(0, bytesRead)
  }

  function damage(at = 0): string {
    return `the entry at byte ${position + at} is not whole${nextOffset === -1 ? '' : ` (after offset ${nextOffset - 1})`}`
  }
}

function report(what: string, found: string): void {
  process.stdout.write(`${what.padEnd(16)} ${found}\n`)
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}
