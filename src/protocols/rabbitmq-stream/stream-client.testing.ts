// For tests only: a client that speaks frames, on a real socket.
import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { begin, FrameDecoder, Key, type OffsetSpec, responseBit } from './commands.ts'
import { Reader, type Writer } from './wire.ts'

export interface Frame {
  readonly key: number
  readonly version: number
  /** Behind the version; of an answer, behind its correlation id. */
  readonly reader: Reader
}

export interface Delivered {
  readonly version: number
  readonly subscriptionId: number
  readonly firstOffset: number
  readonly records: number
  readonly data: Buffer
}

const waitMs = 10_000

export class StreamClient {
  readonly socket: Socket
  readonly #decoder = new FrameDecoder(0)
  #frames: Frame[] = []
  #wake: () => void = () => undefined
  #correlationId = 0

  constructor(port: number) {
    this.socket = connect(port, '127.0.0.1')
    this.socket.on('error', () => this.socket.destroy())
    this.socket.on('close', () => this.#wake())
    this.socket.on('data', (chunk: Buffer) => {
      this.#decoder.push(chunk)
      for (let frame = this.#decoder.next(); frame !== undefined; frame = this.#decoder.next()) this.#frames.push(read(frame))
      this.#wake()
    })
  }

  /** The next frame that `wanted` says, kept from before or to come; the others stay. */
  async next(wanted: (frame: Frame) => boolean): Promise<Frame> {
    for (const deadline = Date.now() + waitMs; ; ) {
      const at = this.#frames.findIndex(wanted)
      if (0 <= at) return this.#frames.splice(at, 1)[0] as Frame
      if (this.socket.closed) throw new Error('the connection was closed')
      if (deadline < Date.now()) throw new Error('the frame did not come')
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, waitMs)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }

  /** Frames that came and nobody asked for. */
  get unread(): readonly number[] {
    return this.#frames.map(({ key }) => key)
  }

  send(key: number, write: (writer: Writer) => void, version = 1): void {
    const writer = begin(key, version)
    write(writer)
    this.socket.write(writer.frame())
  }

  /** Sends a request, resolves to its answer's code and what follows that. */
  async ask(key: number, write: (writer: Writer) => void = () => undefined): Promise<{ code: number; reader: Reader }> {
    const correlationId = ++this.#correlationId
    this.send(key, (writer) => {
      writer.u32(correlationId)
      write(writer)
    })
    const { reader } = await this.next((frame) => frame.key === (key | responseBit))
    if (reader.u32() !== correlationId) throw new Error('an answer to another request')
    return { code: key === Key.Metadata ? 0 : reader.u16(), reader }
  }

  async open(user = 'guest', password = 'guest'): Promise<this> {
    await this.ask(Key.PeerProperties, (writer) => writer.u32(0))
    await this.ask(Key.SaslHandshake)
    await this.authenticate(user, password)
    await this.next(({ key }) => key === Key.Tune)
    this.send(Key.Tune | responseBit, (writer) => {
      writer.u32(1024 * 1024)
      writer.u32(0)
    })
    await this.ask(Key.Open, (writer) => writer.string('/'))
    return this
  }

  authenticate(user: string, password: string, mechanism = 'PLAIN') {
    return this.ask(Key.SaslAuthenticate, (writer) => {
      const response = Buffer.from(`\0${user}\0${password}`)
      writer.string(mechanism)
      writer.u32(response.length)
      writer.raw(response)
    })
  }

  async create(stream: string, given: Record<string, string> = {}): Promise<number> {
    const { code } = await this.ask(Key.Create, (writer) => {
      writer.string(stream)
      writeMap(writer, given)
    })
    return code
  }

  async delete(stream: string): Promise<number> {
    return (await this.ask(Key.Delete, (writer) => writer.string(stream))).code
  }

  async declarePublisher(id: number, stream: string, reference = ''): Promise<number> {
    const { code } = await this.ask(Key.DeclarePublisher, (writer) => {
      writer.u8(id)
      writer.string(reference)
      writer.string(stream)
    })
    return code
  }

  publish(
    publisher: number,
    messages: readonly (readonly [id: number, body: string, filter?: string | null])[],
    version = 1,
  ): void {
    this.send(
      Key.Publish,
      (writer) => {
        writer.u8(publisher)
        writer.u32(messages.length)
        for (const [id, body, filter] of messages) {
          writer.i64(id)
          if (version === 2) {
            if (filter === undefined || filter === null) writer.u16(-1)
            else writer.string(filter)
          }
          const bytes = Buffer.from(body)
          writer.u32(bytes.length)
          writer.raw(bytes)
        }
      },
      version,
    )
  }

  /** The ids of the next confirm or error; an error's with its codes. */
  async answered(): Promise<{ confirmed: number[]; refused: [id: number, code: number][] }> {
    const { key, reader } = await this.next((frame) => frame.key === Key.PublishConfirm || frame.key === Key.PublishError)
    reader.u8()
    const count = reader.u32()
    if (key === Key.PublishConfirm) return { confirmed: Array.from({ length: count }, () => reader.u64()), refused: [] }
    return { confirmed: [], refused: Array.from({ length: count }, () => [reader.u64(), reader.u16()] as [number, number]) }
  }

  /** Publishes and waits until all is confirmed. */
  async published(publisher: number, ...messages: readonly (readonly [id: number, body: string, filter?: string | null])[]) {
    this.publish(publisher, messages, messages.some(([, , filter]) => filter !== undefined) ? 2 : 1)
    for (let count = 0; count < messages.length; ) {
      const { confirmed, refused } = await this.answered()
      if (0 < refused.length) throw new Error(`refused: ${JSON.stringify(refused)}`)
      count += confirmed.length
    }
  }

  async subscribe(
    id: number,
    stream: string,
    spec: OffsetSpec = { type: 'first' },
    credit = 10,
    properties: Record<string, string> = {},
  ): Promise<number> {
    const { code } = await this.ask(Key.Subscribe, (writer) => {
      writer.u8(id)
      writer.string(stream)
      writeSpec(writer, spec)
      writer.u16(credit)
      writeMap(writer, properties)
    })
    return code
  }

  credit(id: number, credit: number): void {
    this.send(Key.Credit, (writer) => {
      writer.u8(id)
      writer.u16(credit)
    })
  }

  storeOffset(reference: string, stream: string, offset: number): void {
    this.send(Key.StoreOffset, (writer) => {
      writer.string(reference)
      writer.string(stream)
      writer.i64(offset)
    })
  }

  queryOffset(reference: string, stream: string) {
    return this.ask(Key.QueryOffset, (writer) => {
      writer.string(reference)
      writer.string(stream)
    })
  }

  async chunk(subscriptionId?: number): Promise<Delivered> {
    const { version, reader } = await this.next(
      (frame) =>
        frame.key === Key.Deliver && (subscriptionId === undefined || frame.reader.buffer[frame.reader.at] === subscriptionId),
    )
    const id = reader.u8()
    if (version === 2) reader.u64()
    const at = reader.at
    const { buffer } = reader
    const data = buffer.subarray(at + 48)
    return {
      version,
      subscriptionId: id,
      firstOffset: Number(buffer.readBigUInt64BE(at + 24)),
      records: buffer.readUInt32BE(at + 4),
      data,
    }
  }

  /** Bodies of chunks of simple entries, until `count` came. */
  async bodies(subscriptionId: number, count: number): Promise<string[]> {
    const found: string[] = []
    while (found.length < count) {
      const { data } = await this.chunk(subscriptionId)
      for (let at = 0; at < data.length; ) {
        const end = at + 4 + data.readUInt32BE(at)
        found.push(data.toString('utf8', at + 4, end))
        at = end
      }
    }
    return found
  }

  answerConsumerUpdate(correlationId: number, spec: OffsetSpec): void {
    this.send(Key.ConsumerUpdate | responseBit, (writer) => {
      writer.u32(correlationId)
      writer.u16(1)
      writeSpec(writer, spec)
    })
  }

  async consumerUpdate(): Promise<{ correlationId: number; subscriptionId: number; active: boolean }> {
    const { reader } = await this.next(({ key }) => key === Key.ConsumerUpdate)
    return { correlationId: reader.u32(), subscriptionId: reader.u8(), active: reader.u8() === 1 }
  }

  async closed(): Promise<void> {
    if (!this.socket.closed) await once(this.socket, 'close', { signal: AbortSignal.timeout(waitMs) })
  }

  close(): void {
    this.socket.destroy()
  }
}

function read(frame: Buffer): Frame {
  const reader = new Reader(frame)
  return { key: reader.u16(), version: reader.u16(), reader }
}

function writeMap(writer: Writer, map: Record<string, string>): void {
  writer.u32(Object.keys(map).length)
  for (const [name, value] of Object.entries(map)) {
    writer.string(name)
    writer.string(value)
  }
}

function writeSpec(writer: Writer, spec: OffsetSpec): void {
  writer.u16(['none', 'first', 'last', 'next', 'offset', 'timestamp'].indexOf(spec.type))
  if (spec.type === 'offset') writer.i64(spec.offset)
  if (spec.type === 'timestamp') writer.i64(spec.timestamp)
}
