/** A data directory: `lock`, `wal/`, `segments/`, `metadata.db`. One process owns it. */
import fs from 'node:fs'
import path from 'node:path'
import type { Storage } from '../interfaces.ts'
import { type Disk, NodeDisk } from './disk.ts'
import { SqliteMetadata } from './metadata.ts'
import { LocalSegments } from './segments.ts'
import { LocalWal } from './wal.ts'

/** Opens, creating it, the data directory; throws when another process holds it. `synced`: confirmed means on the disk. */
export function openLocalStorage(directory: string, synced: boolean, disk: Disk = new NodeDisk()): Storage {
  fs.mkdirSync(directory, { recursive: true })
  const unlock = lock(path.join(directory, 'lock'))
  const wal = new LocalWal(disk, path.join(directory, 'wal'), synced)
  const segments = new LocalSegments(disk, path.join(directory, 'segments'))
  const metadata = new SqliteMetadata(path.join(directory, 'metadata.db'), synced)
  return {
    wal,
    segments,
    metadata,
    freeBytes: () => disk.freeBytes(directory),
    close: async () => {
      await wal.close()
      await segments.close()
      await metadata.close()
      unlock()
    },
  }
}

/** The lock names its holder's process id; one that is no longer running (or that started later than the lock was made) holds nothing. */
function lock(file: string): () => void {
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      fs.writeFileSync(file, `${process.pid} ${startTime(process.pid)}\n`, { flag: 'wx' })
      return () => fs.rmSync(file, { force: true })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error // fs errors carry a code
      const [holder = '', started = ''] = fs.readFileSync(file, 'utf8').trim().split(' ')
      if (isRunning(Number(holder), started)) {
        throw new Error(
          `the data directory ${path.dirname(file)} is in use by process ${holder}; stop it, or choose another with --data`,
        )
      }
      fs.rmSync(file, { force: true })
    }
  }
  throw new Error(`the lock ${file} could not be taken`)
}

function isRunning(pid: number, started: string): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 0) return false
  try {
    process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM' // it runs, as another user
  }
  const now = startTime(pid)
  return now !== 'ended' && (now === '' || started === '' || now === started)
}

/** What tells a process from a later one with the same id, where the system says (Linux: fields 3, state, and 22 of /proc/PID/stat). */
function startTime(pid: number): string {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    // A killed process that nobody has waited for yet holds nothing.
    return fields[0] === 'Z' || fields[0] === 'X' ? 'ended' : (fields[19] ?? '')
  } catch {
    return '' // not Linux, or gone
  }
}
