/** nsqlookupd's protocol V1: an nsqd of others says which topics and channels it has. Answers are a size (i32) and so many bytes. */
import { Buffer } from 'node:buffer'
import { hostname } from 'node:os'
import { type Broker, type Session as BrokerSession, type Connection, CoreError, type Principal } from '../../../broker/face.ts'
import { Decoder } from '../codec.ts'
import { NsqError } from '../errors.ts'
import { serverVersion } from '../limits.ts'
import { admitted, logInByCertificate } from '../login.ts'
import { isName } from '../names.ts'
import { type Peer, Registry } from './registry.ts'

const lineBytesMax = 4096
/** The reference server has no limit; an nsqd says so much in a few hundred bytes. */
const bodyBytesMax = 64 * 1024

const State = { Line: 0, Size: 1, Body: 2, Busy: 3, Closed: 4 } as const
type State = (typeof State)[keyof typeof State]

export class LookupSession implements BrokerSession {
  readonly #connection: Connection
  readonly #broker: Broker
  readonly #registry: Registry
  readonly #decoder = new Decoder()
  #state: State = State.Line
  #bytes = 0
  #peer: Peer | null = null
  #principal: Principal | null

  constructor(connection: Connection, broker: Broker) {
    this.#connection = connection
    this.#broker = broker
    this.#registry = Registry.of(broker)
    this.#principal = broker.authenticationRequired ? null : admitted(broker, connection, broker.anonymous)
  }

  onBytes(chunk: Buffer): void {
    if (this.#state === State.Closed) return
    this.#decoder.push(Buffer.from(chunk))
    this.#read()
  }

  #read(): void {
    try {
      while (this.#step());
    } catch (cause) {
      if (!(cause instanceof NsqError)) throw cause
      this.#answer(cause.text)
      this.#state = State.Closed
      this.#connection.end(cause.message)
    }
  }

  #step(): boolean {
    switch (this.#state) {
      case State.Line: {
        const line = this.#decoder.line(lineBytesMax)
        if (line === null) return false
        if (line === 'tooLong') throw new NsqError('E_INVALID', 'a line is too long')
        this.#run(line.trim().split(' '))
        return true
      }
      case State.Size: {
        const size = this.#decoder.size()
        if (size === null) return false
        if (size < 0 || size > bodyBytesMax) throw new NsqError('E_BAD_BODY', 'IDENTIFY failed to read body')
        this.#bytes = size
        this.#state = State.Body
        return true
      }
      case State.Body: {
        const body = this.#decoder.body(this.#bytes)
        if (body === null) return false
        this.#state = State.Line
        this.#onIdentify(body)
        return true
      }
      case State.Busy:
      case State.Closed:
        return false
    }
  }

  #run([command = '', topic, channel = '']: readonly string[]): void {
    switch (command) {
      case 'PING':
        if (this.#peer !== null) this.#peer.heardAt = this.#broker.clock.now()
        return this.#answer('OK')
      case 'IDENTIFY':
        if (this.#peer !== null) throw new NsqError('E_INVALID', 'cannot IDENTIFY again')
        this.#state = State.Size
        return
      case 'REGISTER':
      case 'UNREGISTER':
        return this.#register(command, topic, channel)
      default:
        throw new NsqError('E_INVALID', `invalid command ${command}`)
    }
  }

  #register(command: 'REGISTER' | 'UNREGISTER', topic: string | undefined, channel: string): void {
    const peer = this.#peer
    if (peer === null) throw new NsqError('E_INVALID', 'client must IDENTIFY')
    if (topic === undefined) throw new NsqError('E_INVALID', `${command} insufficient number of params`)
    if (!isName(topic)) throw new NsqError('E_BAD_TOPIC', `${command} topic name '${topic}' is not valid`)
    if (channel !== '' && !isName(channel))
      throw new NsqError('E_BAD_CHANNEL', `${command} channel name '${channel}' is not valid`)
    try {
      if (command === 'REGISTER') this.#registry.register(peer, topic, channel)
      else this.#registry.unregister(peer, topic, channel)
    } catch (cause) {
      if (!(cause instanceof CoreError)) throw cause
      throw new NsqError('E_INVALID', `${command} ${cause.message}`)
    }
    this.#answer('OK')
  }

  #onIdentify(body: Buffer): void {
    if (this.#principal !== null) return this.#identified(body)
    // What an nsqd registers is where clients will go: with users, it has to be somebody.
    const { peerName } = this.#connection
    if (peerName === undefined) throw new NsqError('E_INVALID', 'IDENTIFY a certificate is needed')
    this.#state = State.Busy
    this.#connection.pause()
    logInByCertificate(this.#broker, this.#connection, peerName).then(
      (principal) => {
        if (this.#state === State.Closed) return
        this.#connection.resume()
        this.#principal = principal
        if (!principal.may('operate', '', '', 'cluster')) {
          this.#state = State.Closed
          return this.#connection.end(`${principal.user} may not register nsqds`)
        }
        this.#state = State.Line
        this.#identified(body)
        this.#read()
      },
      (error: Error) => this.#connection.end(error.message),
    )
  }

  #identified(body: Buffer): void {
    const { remoteAddress, remotePort } = this.#connection
    this.#peer = parsePeer(body, `${remoteAddress}:${remotePort}`, this.#broker.clock.now())
    this.#connection.info = { ...this.#connection.info, clientName: this.#peer.hostname, clientVersion: this.#peer.version }
    this.#registry.add(this.#peer)
    const { localAddress, localPort } = this.#connection
    // Nobody uses the ports: they are those of the server that was just reached.
    this.#answer(
      JSON.stringify({
        broadcast_address: localAddress.replace(/^::ffff:/, ''),
        hostname: hostname(),
        http_port: localPort + 1,
        tcp_port: localPort,
        version: serverVersion,
      }),
    )
  }

  /** `text` holds a byte a character. */
  #answer(text: string): void {
    const bytes = Buffer.from(text, 'latin1')
    const head = Buffer.alloc(4)
    head.writeInt32BE(bytes.length)
    this.#connection.write(head)
    this.#connection.write(bytes)
  }

  onWritable(): void {
    // Answers are small.
  }

  onTick(): void {
    // One that is not heard of is left out of answers; its connection stays, as with the reference server.
  }

  drain(): void {
    this.#connection.end('the broker shuts down')
  }

  onClose(): void {
    this.#state = State.Closed
    if (this.#peer !== null) this.#registry.remove(this.#peer)
  }
}

/** Throws {@link NsqError}. */
function parsePeer(body: Buffer, remoteAddress: string, heardAt: number): Peer {
  let value: unknown
  try {
    value = JSON.parse(body.toString())
  } catch {
    throw new NsqError('E_BAD_BODY', 'IDENTIFY failed to decode JSON body')
  }
  const fields = new Map(typeof value === 'object' && value !== null ? Object.entries(value) : [])
  const text = (name: string): string => of(fields.get(name) ?? '', 'string')
  const port = (name: string): number => of(fields.get(name) ?? 0, 'number')
  const peer = {
    remoteAddress,
    hostname: text('hostname'),
    broadcastAddress: text('broadcast_address'),
    tcpPort: port('tcp_port'),
    httpPort: port('http_port'),
    version: text('version'),
    heardAt,
  }
  if (peer.broadcastAddress === '' || peer.tcpPort === 0 || peer.httpPort === 0 || peer.version === '')
    throw new NsqError('E_BAD_BODY', 'IDENTIFY missing fields')
  return peer
}

function of<T extends string | number>(value: unknown, type: 'string' | 'number'): T {
  if (typeof value !== type) throw new NsqError('E_BAD_BODY', 'IDENTIFY failed to decode JSON body')
  return value as T // of that type
}
