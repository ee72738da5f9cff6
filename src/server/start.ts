/**
 * A whole running broker: storage, the broker on it, the listeners of its protocols, and HTTP. `anymq serve` and the embedding library both
 * start it here. Nothing listens before recovery is over, and it is ready only when every listener is open.
 */
import { createBroker, type OwnedBroker } from '../broker/broker.ts'
import type { Address, Broker, HttpHandler, Limits, Logger, OpenListener, Protocol, ServerFacts } from '../broker/face.ts'
import type { TokenSettings } from '../broker/tokens.ts'
import { formats } from '../core/record.ts'
import { Api } from '../http/api.ts'
import type { Clock } from '../lib/timers.ts'
import { Tls, type TlsSettings } from '../lib/tls.ts'
import { httpDefaultPort, protocolsToOpen, protocolTable } from '../protocols/table.ts'
import type { Storage } from '../storage/interfaces.ts'
import { packageVersion } from '../version.ts'
import { Connections } from './connections.ts'
import { HttpListener } from './http-listener.ts'
import { Listeners } from './listeners.ts'
import { Sessions } from './sessions.ts'
import { WebSockets } from './web-sockets.ts'

export interface StartOptions {
  readonly storage: Storage
  readonly clock: Clock
  readonly log: Logger
  readonly host: string
  /** The port of a listener by its name; 0 takes a free one. */
  port(listener: string, standard: number): number
  /** Names of the protocols to open; null is all that are not optional. */
  readonly only: readonly string[] | null
  readonly limits: Partial<Limits>
  readonly skipTakenPorts: boolean
  /** Answers HTTP requests for any Host header (see lib/local-host.ts). */
  readonly anyHost: boolean
  /** Lets WebSocket clients compress messages (permessage-deflate), on every port. */
  readonly webSocketCompression?: boolean
  /** Where clients are told to connect to a listener, by its name, where that is not where it listens. */
  readonly advertise?: ReadonlyMap<string, Address>
  /** Whose tokens are good as logins. */
  readonly tokens?: TokenSettings | null
  /** What protocols are told, by their names. */
  readonly protocolSettings?: ReadonlyMap<string, Readonly<Record<string, unknown>>>
  /** Secures whoever begins with a TLS handshake, on every port. */
  readonly tls?: TlsSettings | null
  /** Runs after recovery, before anything listens: users from the configuration, refusal to listen. */
  beforeListening?(broker: Broker): Promise<void>
}

export interface RunningBroker {
  readonly broker: OwnedBroker
  readonly listeners: readonly OpenListener[]
  /** Reads the certificates again, for connections to come. Throws, and changes nothing, when they are not usable. */
  reloadCertificates(): void
  /** Drains and closes everything; the second call waits for the first. */
  stop(): Promise<void>
}

const drainMs = 5000
const apiConnectionsMax = 1000

export async function startRunningBroker(options: StartOptions): Promise<RunningBroker> {
  // All protocols, not only those that listen: their records may lie in any topic.
  const protocols = await Promise.all(protocolTable.map((entry) => entry.load()))
  for (const format of protocols.flatMap((protocol) => protocol.formats)) formats.register(format)
  const tls = options.tls === undefined || options.tls === null ? null : new Tls(options.tls)
  const connections = new Connections()
  const broker = await createBroker({
    storage: options.storage,
    clock: options.clock,
    log: options.log,
    limits: options.limits,
    connections,
    advertise: options.advertise ?? new Map(),
    tokens: options.tokens ?? null,
    protocolSettings: options.protocolSettings ?? new Map(),
  })
  const starting = new Starting(options, broker, connections, tls)
  try {
    await options.beforeListening?.(broker)
    for (const protocol of protocols) await protocol.start?.(broker)
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
  readonly #connections: Connections
  readonly #sessions: Sessions
  readonly #sockets: Listeners
  readonly #webSockets: WebSockets
  readonly #httpListeners: HttpListener[] = []
  readonly #facts: ServerFacts
  readonly #tls: Tls | null
  #ready = false
  #stopping: Promise<void> | null = null

  constructor(options: StartOptions, broker: OwnedBroker, connections: Connections, tls: Tls | null) {
    this.#options = options
    this.broker = broker
    this.#connections = connections
    this.#tls = tls
    const sessions = new Sessions(broker, connections)
    this.#sessions = sessions
    this.#sockets = new Listeners(broker, connections, sessions, tls)
    this.#webSockets = new WebSockets({
      broker,
      connections,
      sessions,
      anyHost: options.anyHost,
      compression: options.webSocketCompression ?? false,
    })
    this.#facts = {
      version: packageVersion(),
      startedAt: broker.clock.now(),
      listeners: () => this.listeners,
      ready: () => this.#ready,
    }
  }

  async openAll(protocols: readonly Protocol[]): Promise<void> {
    const asked = this.#options.only ?? protocolsToOpen(null, [])
    const opened = protocols.filter((each) => asked.includes(each.name))
    const taken: string[] = []
    for (const shared of byPort(opened, this.#options)) {
      const names = [...shared.sharing, ...shared.webSockets].map((each) => each.name)
      const open = (): Promise<number> =>
        shared.kind === 'bytes'
          ? this.#sockets.open(shared.sharing, this.#options.host, shared.port)
          : this.#openProtocolHttp(shared)
      await this.#open(shared.name, names, shared.port, taken, open)
    }
    const httpPort = this.#options.port('http', httpDefaultPort)
    await this.#open('http', ['http'], httpPort, taken, () => this.#openApi(httpPort, opened))
    if (taken.length > 0 && !this.#options.skipTakenPorts) throw new Error(takenMessage(taken))
    for (const each of taken) this.#options.log.warn({ listener: each }, 'port is taken; going on without it')
    this.#ready = true
  }

  reloadCertificates(): void {
    this.#tls?.reload()
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #stop(): Promise<void> {
    this.#ready = false
    const closing = [...this.#httpListeners, this.#sockets]
    const closed = closing.map((each) => each.close(drainMs))
    await Promise.all([...closed, this.#sessions.close(drainMs)])
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

  async #openProtocolHttp({ port, name, sharing, webSockets }: SharedPort): Promise<number> {
    const [protocol] = sharing
    if (sharing.length > 1 || (protocol !== undefined && protocol.serve === undefined))
      throw new Error(`port ${port} (${name}): one protocol at a time can serve HTTP there`)
    const listener = new HttpListener({
      broker: this.broker,
      connections: this.#connections,
      protocol: (protocol ?? webSockets[0])?.name ?? name,
      handler: protocol?.serve?.(this.broker, this.#facts, name) ?? upgradeOnly,
      anyHost: this.#options.anyHost,
      tls: this.#tls,
      ...(webSockets.length === 0 ? {} : { upgrade: (...upgrade) => this.#webSockets.accept(webSockets, ...upgrade) }),
    })
    this.#httpListeners.push(listener)
    return await listener.listen(this.#options.host, port)
  }

  async #openApi(port: number, protocols: readonly Protocol[]): Promise<number> {
    const { broker } = this
    const { host, anyHost } = this.#options
    const listener = new HttpListener({
      broker,
      connections: this.#connections,
      protocol: 'http',
      handler: new Api({ broker, facts: this.#facts, anyHost }),
      // It says so in its own words.
      anyHost: true,
      tls: this.#tls,
      connectionsMax: apiConnectionsMax,
      upgrade: (request, ...upgrade) => {
        const path = (request.url ?? '/').replace(/\?.*$/s, '')
        const named = protocols.filter(({ name }) => path === '/ws' || path === `/ws/${name}`)
        this.#webSockets.accept(named, request, ...upgrade)
      },
    })
    this.#httpListeners.push(listener)
    return await listener.listen(host, port)
  }
}

/** On a port that has WebSockets alone. */
const upgradeOnly: HttpHandler = {
  answer: () => ({ status: 426, headers: { upgrade: 'websocket', connection: 'upgrade' }, body: 'this port speaks WebSocket\n' }),
}

interface SharedPort {
  readonly port: number
  /** Of the first listener. */
  readonly name: string
  /** HTTP and WebSockets can be had on one port. */
  readonly kind: 'bytes' | 'http'
  readonly sharing: Protocol[]
  readonly webSockets: Protocol[]
}

/** Listeners with the same port are one listener whose protocols tell themselves apart. */
function byPort(protocols: readonly Protocol[], options: StartOptions): SharedPort[] {
  const found: SharedPort[] = []
  for (const protocol of protocols) {
    for (const { name, port: standard, kind: spoken = 'bytes' } of protocol.listeners) {
      const port = options.port(name, standard)
      const kind = spoken === 'bytes' ? 'bytes' : 'http'
      let shared = found.find((each) => each.port === port && port !== 0)
      if (shared === undefined) {
        shared = { port, name, kind, sharing: [], webSockets: [] }
        found.push(shared)
      }
      if (shared.kind !== kind) throw new Error(`port ${port} is wanted for ${shared.name} and, as ${kind}, for ${name}`)
      const list = spoken === 'websocket' ? shared.webSockets : shared.sharing
      list.push(protocol)
    }
  }
  return found
}

function takenMessage(taken: readonly string[]): string {
  const [verb, it] = taken.length === 1 ? ['is', 'it'] : ['are', 'them']
  const ports = `${taken.length === 1 ? 'port' : 'ports'} ${taken.join(', ')}`
  return `${ports} ${verb} taken; stop what listens there, choose others with --port NAME=N or --port-offset N, or start without ${it} with --skip-taken-ports`
}
