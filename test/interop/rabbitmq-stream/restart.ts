/** Starts its own AnyMQ, kills it under the Java stream client's feet, starts it again on the same data, twice. */
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type AnyMQ, startAnyMQ } from '../anymq.ts'
import { javaClasspath } from '../install.ts'
import { Running } from '../processes.ts'

const data = mkdtempSync(join(tmpdir(), 'anymq-restart-'))
let broker: AnyMQ = await startAnyMQ({ data })
const { portOffset } = broker
let kills: Promise<void> = Promise.resolve()

async function killAndRestart(): Promise<void> {
  broker.process.kill('SIGKILL')
  await broker.process.exited
  broker = await startAnyMQ({ data, portOffset })
}

const program = new Running('java', ['-Xmx256m', '-cp', javaClasspath, 'StreamRestart'], {
  env: { STREAM: broker.stream, CASE_MS: '150000' },
  onLine: (line, stream) => {
    if (stream !== 'out' || !line.startsWith('{')) return
    if (line === '{"say":"kill"}') kills = kills.then(killAndRestart)
    else process.stdout.write(`${line}\n`)
  },
})
const { code } = await program.exited
await kills
await broker.stop()
await rm(data, { recursive: true, force: true })
process.exit(code ?? 1)
