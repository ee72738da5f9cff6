/**
 * A whole running broker: storage, the broker on it, the listeners of its protocols, and HTTP. `anymq serve` and the embedding library both
 * start it here. Nothing listens before recovery is over, and it is ready only when every listener is open.
 */
import { createBroker, type OwnedBroker } from '../broker/broker.ts'
import type { Broker, Limits, Logger, Protocol } from '../broker/face.ts'
import { formats } from '../core/record.ts'
import type { OpenListener } from '../http/route.ts'
import { HttpServer } from '../http/server.ts'
import type { Clock } from '../lib/timers.ts'
import { httpDefaultPort, protocolTable } from '../protocols/table.ts'
import type { Storage } from '../storage/interfaces.ts'
import { packageVersion } from '../version.ts'
import { Connections, Listeners } from './listeners.ts'

export interface StartOptions {
  readonly storage: Storage
  readonly clock: Clock
  readonly log: Logger
  readonly host: string
  /** The port of a listener by its name; 0 takes a free one. */
  port(listener: string, standard: number): number
  /** Protocol names to open; null is all. */
  readonly only: readonly string[] | null
  readonly limits: Partial<Limits>
  readonly skipTakenPorts: boolean
  /** Answers HTTP requests for any Host header (see http/server.ts). */
  readonly anyHost: boolean
  /** Runs after recovery, before anything listens: users from the configuration, refusal to listen. */
  beforeListening?(broker: Broker): Promise<void>
}

export interface RunningBroker {
  readonly broker: OwnedBroker
  readonly listeners: readonly OpenListener[]
  /** Drains and closes everything; the second call waits for the first. */
  stop(): Promise<void>
}

const drainMs = 5000

export async function startRunningBroker(options: StartOptions): Promise<RunningBroker> {
  // All protocols, not only those that listen: their records may lie in any topic.
  const protocols = await Promise.all(protocolTable.map((entry) => entry.load()))
  for (const format of protocols.flatMap((protocol) => protocol.formats)) formats.register(format)
  const connections = new Connections()
  const broker = await createBroker({
    storage: options.storage,
    clock: options.clock,
    log: options.log,
    limits: options.limits,
    connections,
  })
  const starting = new Starting(options, broker, connections)
  try {
    await options.beforeListening?.(broker)
    await starting.openAll(protocols)
  } catch (cause) {
    await starting.stop()
    throw cause
  }
  return starting
}

class Starting implements RunningBroker {
  readonly broker: OwnedBroker
  readonly listeners: OpenListener[] = []
  readonly #options: StartOptions
  readonly #sockets: Listeners
  #http: HttpServer | null = null
  #ready = false
  #stopping: Promise<void> | null = null

  constructor(options: StartOptions, broker: OwnedBroker, connections: Connections) {
    this.#options = options
    this.broker = broker
    this.#sockets = new Listeners(broker, connections)
  }

  async openAll(protocols: readonly Protocol[]): Promise<void> {
    const { only } = this.#options
    const taken: string[] = []
    for (const [port, sharing] of byPort(
      protocols.filter((each) => only === null || only.includes(each.name)),
      this.#options,
    )) {
      const name = sharing.listener
      const names = sharing.protocols.map((each) => each.name)
      await this.#open(name, names, port, taken, () => this.#sockets.open(sharing.protocols, this.#options.host, port))
    }
    const httpPort = this.#options.port('http', httpDefaultPort)
    await this.#open('http', ['http'], httpPort, taken, () => this.#openHttp(httpPort))
    if (taken.length > 0 && !this.#options.skipTakenPorts) throw new Error(takenMessage(taken))
    for (const each of taken) this.#options.log.warn({ listener: each }, 'port is taken; going on without it')
    this.#ready = true
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #stop(): Promise<void> {
    this.#ready = false
    await Promise.all([this.#sockets.close(drainMs), this.#http?.close(drainMs)])
    await this.broker.close()
  }

  async #open(
    name: string,
    protocols: readonly string[],
    port: number,
    taken: string[],
    open: () => Promise<number>,
  ): Promise<void> {
    try {
      this.listeners.push({ name, protocols, host: this.#options.host, port: await open() })
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException // net's errors carry a code
      if (code === 'EADDRINUSE') taken.push(`${port} (${name})`)
      else if (code === 'EACCES') throw new Error(`port ${port} (${name}) needs more rights than this process has`)
      else if (code === 'EADDRNOTAVAIL') throw new Error(`${this.#options.host} is no address of this machine`)
      else throw cause
    }
  }

  async #openHttp(port: number): Promise<number> {
    const http = new HttpServer({
      broker: this.broker,
      version: packageVersion(),
      host: this.#options.host,
      port,
      anyHost: this.#options.anyHost,
      listeners: () => this.listeners,
      ready: () => this.#ready,
    })
    const opened = await http.listen()
    this.#http = http
    return opened
  }
}

/** Listeners with the same port are one listener whose protocols tell themselves apart. */
function byPort(protocols: readonly Protocol[], options: StartOptions): [number, { listener: string; protocols: Protocol[] }][] {
  const found: [number, { listener: string; protocols: Protocol[] }][] = []
  for (const protocol of protocols) {
    for (const listener of protocol.listeners) {
      const port = options.port(listener.name, listener.port)
      const sharing = found.find(([each]) => each === port && port !== 0)?.[1]
      if (sharing === undefined) found.push([port, { listener: listener.name, protocols: [protocol] }])
      else sharing.protocols.push(protocol)
    }
  }
  return found
}

function takenMessage(taken: readonly string[]): string {
  const [verb, it] = taken.length === 1 ? ['is', 'it'] : ['are', 'them']
  const ports = `${taken.length === 1 ? 'port' : 'ports'} ${taken.join(', ')}`
  return `${ports} ${verb} taken; stop what listens there, choose others with --port NAME=N or --port-offset N, or start without ${it} with --skip-taken-ports`
}
