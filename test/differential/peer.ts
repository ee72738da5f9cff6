/** The real broker that AnyMQ is compared with: fetched and started by its script in bench/peers, or one that runs already (PEER). */
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePortOffset, Running, runOk, tail } from '../interop/processes.ts'

export interface Peer {
  readonly port: number
  readonly stop: () => Promise<void>
}

/** `ports` are those it takes; the first is where it is spoken to. `environment` is for its script. */
export async function startPeer(
  name: string,
  ports: readonly number[],
  environment: Readonly<Record<string, string>> = {},
): Promise<Peer> {
  const running = process.env['PEER']
  if (running !== undefined) return { port: Number(running.split(':').at(-1)), stop: async () => undefined }
  const script = join(import.meta.dirname, `../../bench/peers/${name}.sh`)
  await runOk('bash', [script, 'install'], { timeoutMs: 600_000, onLine: (line) => console.log(`# ${line}`) }).catch(
    (cause: Error) => {
      console.error(`The real ${name} cannot be had, so nothing was compared: ${cause.message}`)
      process.exit(3)
    },
  )
  const port = (ports[0] as number) + (await freePortOffset(ports)) // each names at least one
  const folder = mkdtempSync(join(tmpdir(), 'anymq-peer-'))
  const env = { PORT: String(port), DATA_DIR: join(folder, 'data'), HEAP: '512m', ...environment }
  const program = new Running('bash', [script, 'start'], { env })
  for (const deadline = performance.now() + 90_000; !(await accepts(port)); ) {
    if (!program.running || performance.now() > deadline)
      throw new Error(`${name} did not start\n${tail(program.output)}\n${tail(program.errors)}`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  return {
    port,
    stop: async () => {
      await program.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}
