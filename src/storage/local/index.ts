/** A data directory: `lock`, `wal/`, `segments/`, `metadata.db`. One process owns it. */
import fs from 'node:fs'
import path from 'node:path'
import type { Storage } from '../interfaces.ts'
import { type Disk, NodeDisk } from './disk.ts'
import { takeLock } from './lock.ts'
import { SqliteMetadata } from './metadata.ts'
import { LocalSegments } from './segments.ts'
import { LocalWal } from './wal.ts'

/** Opens, creating it, the data directory; throws when another process holds it. `synced`: confirmed means on the disk. */
export function openLocalStorage(directory: string, synced: boolean, disk: Disk = new NodeDisk()): Storage {
  fs.mkdirSync(directory, { recursive: true })
  const unlock = takeLock(path.join(directory, 'lock'))
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
