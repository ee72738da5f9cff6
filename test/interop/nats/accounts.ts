/** nats.go with tokens of decentralised accounts, made by nats-io/jwt: a broker of its own is started with them, and the Go program's cases are told on. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startAnyMQ } from '../anymq.ts'
import { goProgram } from '../install.ts'
import { Running, runOk } from '../processes.ts'

const folder = mkdtempSync(join(tmpdir(), 'anymq-accounts-'))
await runOk(goProgram('natsgoaccounts'), ['make', folder])
const broker = await startAnyMQ({ extra: ['--config', join(folder, 'anymq.yaml')] })
try {
  const program = new Running(goProgram('natsgoaccounts'), [], {
    env: { NATS: broker.nats, ACCOUNTS: join(folder, 'keys.json') },
  })
  await program.exited
  process.stdout.write(program.output)
} finally {
  await broker.stop()
  rmSync(folder, { recursive: true })
}
