// The way into a connection: who is there, what is agreed on, which vhost.
//
//   Header → StartOk → TuneOk → Open → Done
import { Buffer } from 'node:buffer'
import type { Broker, Connection, Principal, Space } from '../../broker/face.ts'
import { asCoreError } from '../../core/errors.ts'
import { secretLogin } from '../../lib/token-login.ts'
import { frameMinBytes, protocolHeader } from './codec.ts'
import { AmqpError } from './errors.ts'
import { declareStandardExchanges } from './handlers/exchange.ts'
import { credentialOf, mechanismsFor, serverProperties } from './login.ts'
import { namespaceOf } from './mapping.ts'
import type { Method, MethodFields, MethodName } from './methods.ts'
import { flagOf, type Table, textOf } from './table.ts'

const Stage = { Header: 0, StartOk: 1, TuneOk: 2, Open: 3, Done: 4 } as const
type Stage = (typeof Stage)[keyof typeof Stage]

const frameBytesMax = 131_072
const channelMax = 2047
const heartbeatSeconds = 60

export interface Capabilities {
  readonly cancelNotify: boolean
  readonly authenticationFailureClose: boolean
  readonly blocked: boolean
}

/** The session that is being opened. */
export interface HandshakeHost {
  readonly connection: Connection
  readonly broker: Broker
  send<N extends MethodName>(channel: number, name: N, fields: MethodFields<N>): void
  /** No frame is read until it is settled; what it rejects with closes the connection. */
  waitFor(pending: Promise<void>, key: number): void
  /** Frames of the client may be so large from now on. */
  frameLimit(bytes: number): void
  opened(space: Space): void
  /** Of the same user, who may do other things from now on. */
  renewed(space: Space): void
  end(reason: string): void
}

export class Handshake {
  vhost = '/'
  userName = ''
  frameMax = frameBytesMax
  channelMax = channelMax
  heartbeatMs = 0
  mechanism = ''
  capabilities: Capabilities = { cancelNotify: false, authenticationFailureClose: false, blocked: false }
  /** What the client said of itself. */
  clientProperties: Table = new Map()
  #stage: Stage = Stage.Header
  #header: Buffer = Buffer.alloc(0)
  #principal: Principal
  readonly #host: HandshakeHost

  constructor(host: HandshakeHost) {
    this.#host = host
    this.#principal = host.broker.anonymous
  }

  get awaitsHeader(): boolean {
    return this.#stage === Stage.Header
  }

  /** Who is not logged in gets no reply code: the connection just ends. */
  get loggedIn(): boolean {
    return Stage.TuneOk <= this.#stage
  }

  /** What stands behind the header; null: nothing yet, or it is no header, and the connection ends. */
  readHeader(chunk: Buffer): Buffer | null {
    const { connection, broker } = this.#host
    this.#header = this.#header.length === 0 ? chunk : Buffer.concat([this.#header, chunk])
    const known = Math.min(8, this.#header.length)
    if (!this.#header.subarray(0, known).equals(protocolHeader.subarray(0, known))) {
      // AMQP 0-9-1, 4.2.2: say which version is spoken, then close.
      connection.write(protocolHeader)
      this.#host.end(`not an AMQP 0-9-1 header: ${this.#header.subarray(0, 8).toString('hex')}`)
      return null
    }
    if (known < 8) return null
    const rest = this.#header.subarray(8)
    this.#header = protocolHeader
    this.#stage = Stage.StartOk
    this.#host.send(0, 'connection.start', {
      versionMajor: 0,
      versionMinor: 9,
      serverProperties: serverProperties(broker),
      mechanisms: Buffer.from(mechanismsFor(connection)),
      locales: Buffer.from('en_US'),
    })
    return rest.length === 0 ? null : rest
  }

  /** False: the method is not what is expected now. */
  onMethod(method: Method, key: number): boolean {
    if (this.#stage === Stage.StartOk && method.name === 'connection.start-ok') this.#onStartOk(method.fields, key)
    else if (this.#stage === Stage.TuneOk && method.name === 'connection.tune-ok') this.#onTuneOk(method.fields)
    else if (this.#stage === Stage.Open && method.name === 'connection.open') this.#onOpen(method.fields, key)
    else return false
    return true
  }

  #onStartOk(fields: MethodFields<'connection.start-ok'>, key: number): void {
    const { broker, connection } = this.#host
    this.#learnClient(fields.clientProperties)
    this.mechanism = fields.mechanism
    const credential = credentialOf(fields.mechanism, fields.response, connection.peerName, broker.tokensAccepted)
    if (credential === undefined) return this.#refuse(fields.mechanism)
    this.#host.waitFor(
      broker.authenticate(credential, connection.remoteAddress).then(
        (principal) => {
          this.#principal = principal
          this.userName = credential.kind === 'token' ? principal.user : credential.user
          connection.info.user = this.userName
          this.#stage = Stage.TuneOk
          this.#host.frameLimit(frameBytesMax)
          this.#host.send(0, 'connection.tune', {
            channelMax: this.#channelsOffered(),
            frameMax: frameBytesMax,
            heartbeat: heartbeatSeconds,
          })
        },
        () => this.#refuse(fields.mechanism),
      ),
      key,
    )
  }

  #learnClient(properties: Table): void {
    this.clientProperties = properties
    const capabilities = properties.get('capabilities')
    const has = (name: string): boolean => capabilities?.type === 'F' && flagOf(capabilities.value.get(name)) === true
    this.capabilities = {
      cancelNotify: has('consumer_cancel_notify'),
      authenticationFailureClose: has('authentication_failure_close'),
      blocked: has('connection.blocked'),
    }
    const { info } = this.#host.connection
    info.clientName = textOf(properties.get('connection_name')) ?? textOf(properties.get('product')) ?? ''
    info.clientVersion = textOf(properties.get('version')) ?? ''
  }

  #refuse(mechanism: string): void {
    const text = `Login was refused using authentication mechanism ${mechanism}. For details see the broker logfile.`
    if (this.capabilities.authenticationFailureClose) {
      const replyText = `ACCESS_REFUSED - ${text}`
      this.#host.send(0, 'connection.close', { replyCode: 403, replyText, classId: 0, methodId: 0 })
    }
    this.#host.end(`login refused using ${mechanism}`)
  }

  #channelsOffered(): number {
    return Math.min(channelMax, this.#host.broker.limits.channelsMax)
  }

  #onTuneOk(fields: MethodFields<'connection.tune-ok'>): void {
    this.channelMax = negotiated('channel_max', 1, this.#channelsOffered(), fields.channelMax)
    this.frameMax = negotiated('frame_max', frameMinBytes, frameBytesMax, fields.frameMax)
    this.#host.frameLimit(this.frameMax)
    this.heartbeatMs = fields.heartbeat * 1000
    this.#stage = Stage.Open
  }

  #onOpen(fields: MethodFields<'connection.open'>, key: number): void {
    const { broker, connection } = this.#host
    this.vhost = fields.virtualHost
    const space = this.#spaceOf(fields.virtualHost)
    connection.info.namespace = space.namespace
    broker.admit(connection)
    const opened = (): void => {
      this.#stage = Stage.Done
      this.#host.opened(space)
      this.#host.send(0, 'connection.open-ok', { knownHosts: '' })
    }
    const declaring = declareStandardExchanges(space)
    if (declaring === null) opened()
    else this.#host.waitFor(declaring.then(opened), key)
  }

  #spaceOf(vhost: string): Space {
    try {
      return this.#host.broker.space(this.#principal, namespaceOf(vhost), { protocol: 'amqp' })
    } catch (cause) {
      const { code } = asCoreError(cause)
      throw new AmqpError(
        'NOT_ALLOWED',
        code === 'NotFound' ? `vhost ${vhost} not found` : `access to vhost '${vhost}' refused for user '${this.userName}'`,
      )
    }
  }

  /** When the login stops being good, ms since the epoch. undefined: it does not. */
  get expiresAt(): number | undefined {
    return this.#principal.expiresAt
  }

  /** A new password, or token, for the login there is (RabbitMQ's own extension). */
  onUpdateSecret(secret: Buffer, key: number): void {
    this.#host.waitFor(this.#updateSecret(secret.toString()), key)
  }

  async #updateSecret(secret: string): Promise<void> {
    const { broker, connection } = this.#host
    const credential = secretLogin(this.userName, secret, broker.tokensAccepted)
    const principal = await broker.authenticate(credential, connection.remoteAddress).catch(() => null)
    if (principal === null || (principal.expiresAt !== undefined && principal.user !== this.userName))
      throw new AmqpError('NOT_ALLOWED', 'New secret was refused by one of the backends')
    this.#principal = principal
    this.#host.renewed(this.#spaceOf(this.vhost))
    this.#host.send(0, 'connection.update-secret-ok', {})
  }
}

function negotiated(field: string, least: number, most: number, asked: number): number {
  if (asked !== 0 && asked < least)
    throw new AmqpError('NOT_ALLOWED', `negotiated ${field} = ${asked} is lower than the minimum allowed value (${least})`)
  if (asked === 0 || most < asked)
    throw new AmqpError('NOT_ALLOWED', `negotiated ${field} = ${asked} is higher than the maximum allowed value (${most})`)
  return asked
}
