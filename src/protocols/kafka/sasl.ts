// SASL as Kafka carries it: PLAIN (RFC 4616) and SCRAM (RFC 5802, 7677). One exchange is one login; `step` takes the client's token and
// gives ours, a failure, or the principal at the end.
import type { Broker, Principal } from '../../broker/face.ts'
import { ScramError, type ScramMechanism, ScramServer } from '../../lib/scram.ts'
import { textOf } from './errors.ts'

export type SaslDone = (answer: Buffer, failure: string | null, principal: Principal | undefined) => void

export interface SaslExchange {
  step(token: Buffer, done: SaslDone): void
}

const passwordMechanisms: readonly string[] = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512']

export const saslMechanisms = (broker: Broker): readonly string[] =>
  broker.tokensAccepted ? [...passwordMechanisms, 'OAUTHBEARER'] : passwordMechanisms

const nothing = Buffer.alloc(0)

/** `from`: the client's address. */
export function beginSasl(mechanism: string, broker: Broker, from: string): SaslExchange | undefined {
  switch (mechanism) {
    case 'PLAIN':
      return new PlainExchange(broker, from)
    case 'SCRAM-SHA-256':
    case 'SCRAM-SHA-512':
      return new ScramExchange(broker, from, mechanism)
    case 'OAUTHBEARER':
      return broker.tokensAccepted ? new BearerExchange(broker, from) : undefined
    default:
      return undefined
  }
}

class PlainExchange implements SaslExchange {
  readonly #broker: Broker
  readonly #from: string
  constructor(broker: Broker, from: string) {
    this.#broker = broker
    this.#from = from
  }

  step(token: Buffer, done: SaslDone): void {
    const [authzid, user, password, ...more] = token.toString('utf8').split('\0')
    if (user === undefined || password === undefined || more.length > 0)
      return done(nothing, 'the PLAIN token is malformed', undefined)
    if (authzid !== '' && authzid !== user) return done(nothing, 'acting for another user is not supported', undefined)
    this.#broker.authenticate({ kind: 'password', user, password }, this.#from).then(
      (principal) => done(nothing, null, principal),
      (cause: unknown) => done(nothing, `Authentication failed: ${textOf(cause)}`, undefined),
    )
  }
}

/** RFC 7628: one message with a token. What is wrong is told as JSON first; the client answers it with nothing but 0x01, and is refused then. */
class BearerExchange implements SaslExchange {
  readonly #broker: Broker
  readonly #from: string
  #refusal: string | null = null
  constructor(broker: Broker, from: string) {
    this.#broker = broker
    this.#from = from
  }

  step(message: Buffer, done: SaslDone): void {
    if (this.#refusal !== null) return done(nothing, this.#refusal, undefined)
    // n,[a=user],{0x01 name=value}0x01 0x01, of which one is auth=Bearer token.
    const [header = '', ...pairs] = message.toString('utf8').split('\u0001')
    const authzid = /^n,(?:a=([^,]*))?,$/.exec(header)?.[1] ?? ''
    const token = pairs.map((pair) => /^auth=Bearer (.+)$/i.exec(pair)?.[1]).find((found) => found !== undefined)
    if (token === undefined || !header.startsWith('n,')) return done(nothing, 'the OAUTHBEARER message is malformed', undefined)
    this.#broker.authenticate({ kind: 'token', token }, this.#from).then(
      (principal) => {
        if (authzid === '' || authzid === principal.user) return done(nothing, null, principal)
        done(nothing, 'acting for another user is not supported', undefined)
      },
      (cause: unknown) => {
        this.#refusal = textOf(cause)
        done(Buffer.from(JSON.stringify({ status: 'invalid_token' })), null, undefined)
      },
    )
  }
}

class ScramExchange implements SaslExchange {
  readonly #broker: Broker
  readonly #from: string
  readonly #server: ScramServer
  #messages = 0

  constructor(broker: Broker, from: string, mechanism: ScramMechanism) {
    this.#broker = broker
    this.#from = from
    this.#server = new ScramServer(mechanism, {
      verifierOf: (user) => broker.scramVerifier(user, mechanism),
      secret: broker.clusterId,
    })
  }

  step(token: Buffer, done: SaslDone): void {
    const message = token.toString('utf8')
    this.#messages++
    try {
      if (this.#messages === 1) return done(Buffer.from(this.#server.first(message)), null, undefined)
      if (this.#messages > 2) return done(nothing, 'the exchange is over', undefined)
      const { user, answer } = this.#server.final(message)
      this.#broker.authenticate({ kind: 'proven', user }, this.#from).then(
        (principal) => done(Buffer.from(answer), null, principal),
        (cause: unknown) => done(nothing, `Authentication failed: ${textOf(cause)}`, undefined),
      )
    } catch (cause) {
      if (!(cause instanceof ScramError)) throw cause
      done(nothing, `Authentication failed: ${cause.message}`, undefined)
    }
  }
}
