/** A broker under measurement: how it is started, and what its processes cost. */
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startAnyMQ } from '../test/interop/anymq.ts'
import { freePortOffset, Running, runOk, tail } from '../test/interop/processes.ts'

export type Protocol = 'kafka' | 'amqp' | 'mqtt' | 'nats' | 'redis' | 'sqs' | 'beanstalkd' | 'nsq'
export type Durability = 'fsync' | 'os'

export interface Contender {
  readonly name: string
  /** host:port, or a URL for AMQP. */
  readonly address: string
  readonly startMs: number
  readonly pid: number
  readonly meter: Meter
  stop(): Promise<void>
}

/** The broker beside which each protocol is measured, the port of its first listener, and what its script is told besides. */
export const peerOf = {
  kafka: { name: 'Kafka', script: 'kafka.sh', port: 9092, environment: {} },
  amqp: { name: 'RabbitMQ', script: 'rabbitmq.sh', port: 5672, environment: {} },
  // It would drop what it may not queue.
  mqtt: { name: 'Mosquitto', script: 'mosquitto.sh', port: 1883, environment: { MAX_QUEUED: '0', MAX_INFLIGHT: '1000' } },
  nats: { name: 'nats-server', script: 'nats.sh', port: 4222, environment: {} },
  sqs: { name: 'ElasticMQ', script: 'elasticmq.sh', port: 9324, environment: {} },
  redis: { name: 'Redis', script: 'redis.sh', port: 6379, environment: {} },
  beanstalkd: { name: 'beanstalkd', script: 'beanstalkd.sh', port: 11300, environment: {} },
  nsq: { name: 'nsqd', script: 'nsq.sh', port: 4150, environment: {} },
} as const

export const peers = join(import.meta.dirname, 'peers')
const SAMPLE_MS = 200
const IDLE_MS = 2_000
/** As the kernel counts CPU time for /proc on every common Linux. */
const TICKS_PER_SECOND = 100
const PAGE_BYTES = 4096

export async function startOurs(protocol: Protocol, durability: Durability): Promise<Contender> {
  const broker = await startAnyMQ({ durability })
  const meter = new Meter(broker.process.pid)
  await meter.settle()
  return {
    name: 'AnyMQ',
    address: protocol === 'amqp' ? broker.amqp.replace(/\/$/, '') : broker[protocol],
    startMs: broker.startMs,
    pid: broker.process.pid,
    meter,
    stop: async () => {
      meter.stop()
      await broker.stop()
    },
  }
}

export async function startPeer(protocol: Protocol, durability: Durability): Promise<Contender> {
  const { name, script: file, port: base, environment } = peerOf[protocol]
  const script = join(peers, file)
  await runOk('bash', [script, 'install'], { timeoutMs: 600_000, onLine: (line) => console.log(`# ${line}`) })
  const port = base + (await freePortOffset([base, base + 1]))
  const folder = mkdtempSync(join(tmpdir(), 'anymq-peer-'))
  const started = performance.now()
  const program = new Running('bash', [script, 'start'], {
    env: { PORT: String(port), DATA_DIR: join(folder, 'data'), DURABILITY: durability, ...environment },
  })
  await untilAccepts(port, program)
  const startMs = performance.now() - started
  const meter = new Meter(program.pid)
  await meter.settle()
  return {
    name,
    address: `${protocol === 'amqp' ? 'amqp://guest:guest@' : protocol === 'sqs' ? 'http://' : ''}127.0.0.1:${port}`,
    startMs,
    pid: program.pid,
    meter,
    stop: async () => {
      meter.stop()
      await program.stop(15_000)
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Memory and CPU of a whole process group, from /proc. */
export class Meter {
  readonly #group: number
  readonly #timer: NodeJS.Timeout
  idleBytes = 0
  peakBytes = 0

  constructor(group: number) {
    this.#group = group
    this.#timer = setInterval(() => this.#sample(), SAMPLE_MS)
  }

  /** Lets it come to rest after starting and notes what it holds then. */
  async settle(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, IDLE_MS))
    this.idleBytes = this.#sample()
  }

  cpuSeconds(): number {
    return this.#members().reduce((sum, fields) => sum + Number(fields[11]) + Number(fields[12]), 0) / TICKS_PER_SECOND
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  #sample(): number {
    const bytes = this.#members().reduce((sum, fields) => sum + Number(fields[21]), 0) * PAGE_BYTES
    this.peakBytes = Math.max(this.peakBytes, bytes)
    return bytes
  }

  /** The fields of /proc/PID/stat after the command's name (state is field 0) for each process of the group. */
  #members(): string[][] {
    const found: string[][] = []
    for (const name of readdirSync('/proc')) {
      if (!/^\d+$/.test(name)) continue
      let text: string
      try {
        text = readFileSync(`/proc/${name}/stat`, 'utf8')
      } catch {
        continue // It ended between the listing and the reading.
      }
      const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
      if (Number(fields[2]) === this.#group) found.push(fields)
    }
    return found
  }
}

async function untilAccepts(port: number, program: Running): Promise<void> {
  const deadline = performance.now() + 90_000
  while (performance.now() < deadline) {
    if (!program.running) throw new Error(`the peer ended while starting\n${tail(program.output)}\n${tail(program.errors)}`)
    const open = await new Promise<boolean>((resolve) => {
      const socket = createConnection(port, '127.0.0.1', () => resolve(true))
      socket.on('connect', () => socket.destroy())
      socket.on('error', () => resolve(false))
    })
    if (open) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error('the peer did not open its port within 90 s')
}
