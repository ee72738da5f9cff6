/** Who a client is: by user and password (or a signed token as the password) or its certificate in CONNECT, or by SCRAM in AUTH packets (MQTT 5.0, 4.12). */
import { Buffer } from 'node:buffer'
import type { Broker, Connection, Principal } from '../../broker/face.ts'
import { ScramError, type ScramMechanism, ScramServer, scramHashes } from '../../lib/scram.ts'
import { secretLogin } from '../../lib/token-login.ts'
import type { ConnectPacket } from './codec.ts'
import { MqttError, Reason } from './errors.ts'

export async function logIn(broker: Broker, connection: Connection, { user, password }: ConnectPacket): Promise<Principal> {
  if (user === null && connection.peerName !== undefined)
    return await broker.authenticate({ kind: 'certificate', user: connection.peerName }, connection.remoteAddress)
  if (user === null && !broker.authenticationRequired) return broker.anonymous
  const credential = secretLogin(user ?? '', password?.toString('utf8') ?? '', broker.tokensAccepted)
  return await broker.authenticate(credential, connection.remoteAddress)
}

/** What a step of an exchange leads to. */
export interface Step {
  readonly answer: Buffer
  /** At the end of it. */
  readonly principal: Principal | null
}

/** One exchange: CONNECT, or AUTH of a client that is connected, then one AUTH more. */
export class Exchange {
  readonly method: string
  readonly #broker: Broker
  readonly #from: string
  readonly #server: ScramServer
  #begun = false

  /** `from`: the client's address. Throws BadAuthenticationMethod. */
  constructor(broker: Broker, from: string, method: string) {
    if (!isMechanism(method))
      throw new MqttError(Reason.BadAuthenticationMethod, `the authentication method "${method}" is not known here`)
    this.method = method
    this.#broker = broker
    this.#from = from
    this.#server = new ScramServer(method, {
      verifierOf: (user) => broker.scramVerifier(user, method),
      secret: broker.clusterId,
    })
  }

  /** Rejects with NotAuthorized. */
  async step(data: Buffer): Promise<Step> {
    try {
      const message = data.toString('utf8')
      if (!this.#begun) {
        this.#begun = true
        return { answer: Buffer.from(this.#server.first(message)), principal: null }
      }
      const { user, answer } = this.#server.final(message)
      return { answer: Buffer.from(answer), principal: await this.#broker.authenticate({ kind: 'proven', user }, this.#from) }
    } catch (cause) {
      throw cause instanceof ScramError ? new MqttError(Reason.NotAuthorized, cause.message) : cause
    }
  }
}

const isMechanism = (method: string): method is ScramMechanism => Object.hasOwn(scramHashes, method)
