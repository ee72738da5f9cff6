/** Who has a data directory: a file with the holder's process id. One that is no longer running, or that started after the lock was made, holds nothing. */
import fs from 'node:fs'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'

/** How long one start waits for another to find out whether the directory is free. */
const turnMs = 5_000

/** Takes the lock and returns how to give it back; throws, naming the holder, when somebody has it. */
export function takeLock(file: string): () => void {
  // One at a time: of two that find a lock which nobody holds any more, the second would remove what the first made.
  const turn = new DatabaseSync(`${file}.db`, { timeout: turnMs })
  try {
    turn.exec('BEGIN EXCLUSIVE')
    const holder = lockHolder(file)
    if (holder !== null) {
      throw new Error(
        `the data directory ${path.dirname(file)} is in use by process ${holder}; stop it, or choose another with --data`,
      )
    }
    fs.writeFileSync(file, `${process.pid} ${startTime(process.pid)}\n`)
  } finally {
    turn.close()
  }
  return () => fs.rmSync(file, { force: true })
}

/** The process that has the lock; null when nobody has. */
export function lockHolder(file: string): number | null {
  if (!fs.existsSync(file)) return null
  const [holder = '', started = ''] = fs.readFileSync(file, 'utf8').trim().split(' ')
  return isRunning(Number(holder), started) ? Number(holder) : null
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
