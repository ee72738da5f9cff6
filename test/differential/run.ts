/**
 * The same requests to AnyMQ and to the broker whose protocol it speaks, answers compared field by field.
 *
 *   npm run test:differential -- kafka            starts both (the real one is fetched first; see bench/peers)
 *   PEER=host:port npm run test:differential -- kafka     compares with one that runs, and is fresh
 *
 * Every difference is either expected, with a reason (kafka/expected.ts), or a failure. A request that AnyMQ advertises and no case asks is one too.
 */
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { requireNode24, startAnyMQ } from '../interop/anymq.ts'
import { freePortOffset, Running, runOk, tail } from '../interop/processes.ts'
import { compareKafka } from './kafka/compare-kafka.ts'

requireNode24()
const [protocol, ...words] = process.argv.slice(2).filter((word) => !word.startsWith('--'))
if (protocol !== 'kafka') {
  console.error('usage: npm run test:differential -- kafka [WORDS OF THE CASES]')
  process.exit(2)
}

const peer = await startKafka()
const broker = await startAnyMQ()
try {
  const failures = await compareKafka(Number(peer.port), Number(broker.kafka.split(':')[1]), words)
  process.exitCode = failures === 0 ? 0 : 1
} finally {
  await broker.stop()
  await peer.stop()
}
process.exit()

async function startKafka(): Promise<{ port: number; stop: () => Promise<void> }> {
  const running = process.env['PEER']
  if (running !== undefined) return { port: Number(running.split(':').at(-1)), stop: async () => undefined }
  const script = join(import.meta.dirname, '../../bench/peers/kafka.sh')
  await runOk('bash', [script, 'install'], { timeoutMs: 600_000, onLine: (line) => console.log(`# ${line}`) }).catch(
    (cause: Error) => {
      console.error(`The real Kafka cannot be had, so nothing was compared: ${cause.message}`)
      process.exit(3)
    },
  )
  const port = 9092 + (await freePortOffset([9092, 9093]))
  const folder = mkdtempSync(join(tmpdir(), 'anymq-peer-'))
  const program = new Running('bash', [script, 'start'], {
    env: { PORT: String(port), DATA_DIR: join(folder, 'data'), HEAP: '512m' },
  })
  for (const deadline = performance.now() + 60_000; !(await accepts(port)); ) {
    if (!program.running || performance.now() > deadline) throw new Error(`Kafka did not start\n${tail(program.errors)}`)
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
