/**
 * Records what real clients and the real broker say to each other, for the golden tests of a codec (src/protocols/NAME/golden/).
 *
 *   node scripts/capture.ts kafka|amqp [WORD]     runs the interoperability suites whose name contains WORD through a recording proxy
 *
 * Needs what `npm run test:interop` and `npm run bench` install. Of each kind of message the first two are kept, as long as they are short.
 */
import { mkdtempSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { createConnection, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FrameDecoder as AmqpDecoder, FrameResult, FrameType } from '../src/protocols/amqp/codec.ts'
import { decodeMethod } from '../src/protocols/amqp/methods.ts'
import { cache, goProgram, javaClasspath, python } from '../test/interop/install.ts'
import { freePortOffset, Running, runOk } from '../test/interop/processes.ts'

type Side = 'client' | 'broker'
interface Frame {
  readonly from: Side
  readonly what: string
  readonly hex: string
}

const keptOfAKind = 2
const frameBytesMax = 3000
const interop = join(import.meta.dirname, '../test/interop')
const peers = join(import.meta.dirname, '../bench/peers')
const suites: Readonly<Record<string, Readonly<Record<string, readonly [string, ...string[]]>>>> = {
  kafka: {
    kcat: [process.execPath, join(interop, 'kafka/kcat.ts')],
    kafkajs: [process.execPath, join(interop, 'kafka/kafkajs.ts')],
    'confluent-kafka': [python, join(interop, 'kafka/confluent_kafka_suite.py')],
    'franz-go': [goProgram('franz')],
    java: ['java', '-Xmx256m', '-cp', javaClasspath, 'KafkaClients'],
  },
  amqp: {
    amqplib: [process.execPath, join(interop, 'amqp/amqplib.ts')],
    pika: [python, join(interop, 'amqp/pika_suite.py')],
    amqp091: [goProgram('amqp091')],
    java: ['java', '-Xmx256m', '-cp', javaClasspath, 'AmqpClient'],
  },
}

const [protocol = '', word = ''] = process.argv.slice(2)
const chosen = suites[protocol]
if (chosen === undefined) {
  console.error('usage: node scripts/capture.ts kafka|amqp [WORD]')
  process.exit(2)
}
async function capture(name: string, clients: (typeof suites)[string]): Promise<void> {
  const base = name === 'kafka' ? 9092 : 5672
  const port = base + (await freePortOffset([base, base + 1, base + 2]))
  const folder = mkdtempSync(join(tmpdir(), 'anymq-capture-'))
  await runOk('bash', [join(peers, name === 'kafka' ? 'kafka.sh' : 'rabbitmq.sh'), 'install'], { timeoutMs: 600_000 })
  const broker = new Running('bash', [join(peers, name === 'kafka' ? 'kafka.sh' : 'rabbitmq.sh'), 'start'], {
    env: { PORT: String(port), ADVERTISED_PORT: String(port + 2), DATA_DIR: join(folder, 'data'), DURABILITY: 'os' },
  })
  try {
    await untilAccepts(port, broker)
    for (const [client, [command, ...args]] of Object.entries(clients)) {
      if (!client.includes(word)) continue
      const frames: Frame[] = []
      const server = createServer((socket) => relay(socket, port, name, frames))
      await new Promise<void>((resolve) => server.listen(port + 2, '127.0.0.1', resolve))
      const env = { KAFKA: `127.0.0.1:${port + 2}`, AMQP: `amqp://guest:guest@127.0.0.1:${port + 2}`, PYTHONPATH: join(interop, 'cases') }
      const program = new Running(command, args, { cwd: interop, env })
      await Promise.race([program.exited, new Promise((resolve) => setTimeout(resolve, 240_000).unref())])
      await program.stop(1000)
      await new Promise<void>((resolve) => {
        server.close(() => resolve())
        setTimeout(resolve, 1000).unref()
      })
      const target = join(import.meta.dirname, `../src/protocols/${name}/golden`)
      await mkdir(target, { recursive: true })
      const lines = frames.map((frame) => `  ${JSON.stringify(frame)}`).join(',\n')
      await writeFile(join(target, `${client}.json`), `[\n${lines}\n]\n`)
      console.log(`${client}: ${frames.length} frames`)
    }
  } finally {
    await broker.stop(15_000)
    await rm(folder, { recursive: true, force: true })
  }
}

function relay(client: Socket, port: number, name: string, frames: Frame[]): void {
  const broker = createConnection(port, '127.0.0.1')
  const recorder = name === 'kafka' ? new KafkaRecorder(frames) : new AmqpRecorder(frames)
  for (const [from, to, side] of [
    [client, broker, 'client'],
    [broker, client, 'broker'],
  ] as const) {
    from.on('data', (chunk: Buffer) => {
      recorder.take(side, Buffer.from(chunk))
      to.write(chunk)
    })
    from.on('error', () => to.destroy())
    from.on('close', () => to.end())
  }
}

function keep(frames: Frame[], from: Side, what: string, bytes: Buffer): void {
  if (bytes.length > frameBytesMax) return
  // Go's client puts its own path into consumer tags; another of the same length stands for this machine's.
  const hex = bytes.toString('hex').replaceAll(Buffer.from(cache).toString('hex'), Buffer.from('/opt'.padEnd(cache.length, 'x')).toString('hex'))
  const alike = frames.filter((frame) => frame.from === from && frame.what === what)
  if (alike.length < keptOfAKind && !alike.some((frame) => frame.hex === hex)) frames.push({ from, what, hex })
}

/** Frames of size and body; an answer is known by the request with its correlation id. */
class KafkaRecorder {
  readonly #frames: Frame[]
  readonly #rest: Record<Side, Buffer> = { client: Buffer.alloc(0), broker: Buffer.alloc(0) }
  readonly #asked = new Map<number, string>()

  constructor(frames: Frame[]) {
    this.#frames = frames
  }

  take(from: Side, chunk: Buffer): void {
    let rest = Buffer.concat([this.#rest[from], chunk])
    while (rest.length >= 4 && rest.length >= 4 + rest.readInt32BE(0)) {
      const end = 4 + rest.readInt32BE(0)
      const frame = rest.subarray(4, end)
      rest = rest.subarray(end)
      if (from === 'client') {
        const what = `${frame.readInt16BE(0)} v${frame.readInt16BE(2)}`
        this.#asked.set(frame.readInt32BE(4), what)
        keep(this.#frames, from, what, frame)
      } else keep(this.#frames, from, this.#asked.get(frame.readInt32BE(0)) ?? 'unasked', frame)
    }
    this.#rest[from] = rest
  }
}

class AmqpRecorder {
  readonly #frames: Frame[]
  readonly #decoders: Record<Side, AmqpDecoder> = { client: new AmqpDecoder(), broker: new AmqpDecoder() }
  #begun = false

  constructor(frames: Frame[]) {
    this.#frames = frames
    for (const decoder of Object.values(this.#decoders)) decoder.frameMax = 1 << 20
  }

  take(from: Side, chunk: Buffer): void {
    let bytes = chunk
    if (from === 'client' && !this.#begun) {
      this.#begun = true
      keep(this.#frames, from, 'header', bytes.subarray(0, 8))
      bytes = bytes.subarray(8)
    }
    const decoder = this.#decoders[from]
    if (bytes.length > 0) decoder.push(bytes)
    while (decoder.next() === FrameResult.Frame) {
      const { type, channel, buffer, start, end } = decoder
      const head = Buffer.alloc(7)
      head[0] = type
      head.writeUInt16BE(channel, 1)
      head.writeUInt32BE(end - start, 3)
      const frame = Buffer.concat([head, buffer.subarray(start, end), Buffer.from([0xce])])
      const method = type === FrameType.Method ? decodeMethod(buffer, start, end)?.name : undefined
      keep(this.#frames, from, method ?? { 2: 'content header', 3: 'body', 8: 'heartbeat' }[type] ?? `frame ${type}`, frame)
    }
  }
}

async function untilAccepts(port: number, program: Running): Promise<void> {
  for (let tries = 0; tries < 900 && program.running; tries++) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = createConnection(port, '127.0.0.1', () => {
        socket.destroy()
        resolve(true)
      })
      socket.on('error', () => resolve(false))
    })
    if (open) return
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error('the broker did not open its port')
}

await capture(protocol, chosen)
