/**
 * Damages what a power cut may damage: the bytes after the last confirmed write. The log's files are preallocated with zeros, so the newest
 * written part ends where the zeros begin. A confirmed record may itself end in zeros, so the garbage begins at the next sector, as a write of several
 * sectors that was on its way may leave it. Nothing in front of it is touched, for that was on disk before it was confirmed.
 */
import { open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Random } from './random.ts'

const BLOCK = 1 << 16
const SECTOR = 512

export async function tearTail(data: string, random: Random): Promise<string> {
  const folder = join(data, 'wal')
  const files = await Promise.all(
    (await readdir(folder, { recursive: true })).map(async (name) => {
      const path = join(folder, name)
      return { path, name, info: await stat(path) }
    }),
  )
  const newest = files
    .filter((file) => file.info.isFile() && 0 < file.info.size)
    .sort((a, b) => b.info.mtimeMs - a.info.mtimeMs)[0]
  if (newest === undefined) return 'no log file to tear'
  const file = await open(newest.path, 'r+')
  try {
    const end = Math.ceil((await writtenEnd(file, newest.info.size)) / SECTOR + 1) * SECTOR
    const length = 1 + random(600)
    const garbage = Buffer.from(Array.from({ length }, () => random(256)))
    await file.write(garbage, 0, length, end)
    await file.sync()
    return `${length} bytes of garbage at byte ${end} of wal/${newest.name}`
  } finally {
    await file.close()
  }
}

/** The offset behind the last byte that is not zero. */
async function writtenEnd(file: Awaited<ReturnType<typeof open>>, size: number): Promise<number> {
  const block = Buffer.alloc(BLOCK)
  for (let at = Math.floor((size - 1) / BLOCK) * BLOCK; 0 <= at; at -= BLOCK) {
    const { bytesRead } = await file.read(block, 0, BLOCK, at)
    for (let i = bytesRead - 1; 0 <= i; i--) if (block[i] !== 0) return at + i + 1
  }
  return 0
}
