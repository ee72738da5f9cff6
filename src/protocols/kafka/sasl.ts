// SASL as Kafka carries it: PLAIN (RFC 4616) and SCRAM (RFC 5802, 7677). One exchange is one login; `step` takes the client's token and
// gives ours, a failure, or the principal at the end.
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Broker, Principal, ScramVerifier } from '../../broker/face.ts'
import { textOf } from './errors.ts'

export type SaslDone = (answer: Buffer, failure: string | null, principal: Principal | undefined) => void

export interface SaslExchange {
  step(token: Buffer, done: SaslDone): void
}

const passwordMechanisms: readonly string[] = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512']

export const saslMechanisms = (broker: Broker): readonly string[] =>
  broker.tokensAccepted ? [...passwordMechanisms, 'OAUTHBEARER'] : passwordMechanisms

const nothing = Buffer.alloc(0)

export function beginSasl(mechanism: string, broker: Broker): SaslExchange | undefined {
  switch (mechanism) {
    case 'PLAIN':
      return new PlainExchange(broker)
    case 'SCRAM-SHA-256':
    case 'SCRAM-SHA-512':
      return new ScramExchange(broker, mechanism)
    case 'OAUTHBEARER':
      return broker.tokensAccepted ? new BearerExchange(broker) : undefined
    default:
      return undefined
  }
}

class PlainExchange implements SaslExchange {
  readonly #broker: Broker
  constructor(broker: Broker) {
    this.#broker = broker
  }

  step(token: Buffer, done: SaslDone): void {
    const [authzid, user, password, ...more] = token.toString('utf8').split('\0')
    if (user === undefined || password === undefined || more.length > 0)
      return done(nothing, 'the PLAIN token is malformed', undefined)
    if (authzid !== '' && authzid !== user) return done(nothing, 'acting for another user is not supported', undefined)
    this.#broker.authenticate({ kind: 'password', user, password }).then(
      (principal) => done(nothing, null, principal),
      (cause: unknown) => done(nothing, `Authentication failed: ${textOf(cause)}`, undefined),
    )
  }
}

/** RFC 7628: one message with a token. What is wrong is told as JSON first; the client answers it with nothing but 0x01, and is refused then. */
class BearerExchange implements SaslExchange {
  readonly #broker: Broker
  #refusal: string | null = null
  constructor(broker: Broker) {
    this.#broker = broker
  }

  step(message: Buffer, done: SaslDone): void {
    if (this.#refusal !== null) return done(nothing, this.#refusal, undefined)
    // n,[a=user],{0x01 name=value}0x01 0x01, of which one is auth=Bearer token.
    const [header = '', ...pairs] = message.toString('utf8').split('\u0001')
    const authzid = /^n,(?:a=([^,]*))?,$/.exec(header)?.[1] ?? ''
    const token = pairs.map((pair) => /^auth=Bearer (.+)$/i.exec(pair)?.[1]).find((found) => found !== undefined)
    if (token === undefined || !header.startsWith('n,')) return done(nothing, 'the OAUTHBEARER message is malformed', undefined)
    this.#broker.authenticate({ kind: 'token', token }).then(
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

const ScramState = { First: 0, Final: 1, Done: 2 } as const
type ScramState = (typeof ScramState)[keyof typeof ScramState]

class ScramExchange implements SaslExchange {
  readonly #broker: Broker
  readonly #mechanism: 'SCRAM-SHA-256' | 'SCRAM-SHA-512'
  readonly #hash: 'sha256' | 'sha512'
  #state: ScramState = ScramState.First
  #user = ''
  #verifier: ScramVerifier | undefined
  /** Our half of the nonce. */
  #serverNonce = ''
  #clientFirstBare = ''
  #gs2 = ''
  #serverFirst = ''

  constructor(broker: Broker, mechanism: 'SCRAM-SHA-256' | 'SCRAM-SHA-512') {
    this.#broker = broker
    this.#mechanism = mechanism
    this.#hash = mechanism === 'SCRAM-SHA-256' ? 'sha256' : 'sha512'
  }

  step(token: Buffer, done: SaslDone): void {
    switch (this.#state) {
      case ScramState.First:
        return this.#first(token.toString('utf8'), done)
      case ScramState.Final:
        return this.#final(token.toString('utf8'), done)
      case ScramState.Done:
        return done(nothing, 'the exchange is over', undefined)
    }
  }

  #first(message: string, done: SaslDone): void {
    const parts = /^([ny],[^,]*,)(n=([^,]*),r=([^,]+)(?:,.*)?)$/.exec(message)
    if (parts === null) return done(nothing, 'the first SCRAM message is malformed', undefined)
    const [, gs2 = '', bare = '', name = '', nonce = ''] = parts
    this.#gs2 = gs2
    this.#clientFirstBare = bare
    this.#user = name.replaceAll('=2C', ',').replaceAll('=3D', '=')
    this.#serverNonce = randomBytes(18).toString('base64')
    this.#verifier = this.#broker.scramVerifier(this.#user, this.#mechanism)
    // An unknown user gets a salt too (the same each time), so that names can not be probed.
    const salt =
      this.#verifier?.salt ?? createHash('sha256').update(`${this.#broker.clusterId}/${this.#user}`).digest().subarray(0, 16)
    this.#serverFirst = `r=${nonce}${this.#serverNonce},s=${salt.toString('base64')},i=${this.#verifier?.iterations ?? 4096}`
    this.#state = ScramState.Final
    done(Buffer.from(this.#serverFirst), null, undefined)
  }

  #final(message: string, done: SaslDone): void {
    this.#state = ScramState.Done
    const parts = /^(c=([^,]+),r=([^,]+)),p=([^,]+)$/.exec(message)
    const verifier = this.#verifier
    if (parts === null) return done(nothing, 'the final SCRAM message is malformed', undefined)
    const [, withoutProof = '', channel = '', nonce = '', proofText = ''] = parts
    const authMessage = `${this.#clientFirstBare},${this.#serverFirst},${withoutProof}`
    const proof = Buffer.from(proofText, 'base64')
    // RFC 5802 wants the whole nonce again; librdkafka of some years sends its own half twice, and Kafka looks at the end only.
    if (
      verifier === undefined ||
      !nonce.endsWith(this.#serverNonce) ||
      Buffer.from(channel, 'base64').toString() !== this.#gs2 ||
      !this.#proves(verifier, authMessage, proof)
    ) {
      return done(nothing, 'Authentication failed: wrong user or password', undefined)
    }
    const signature = createHmac(this.#hash, verifier.serverKey).update(authMessage).digest('base64')
    this.#broker.authenticate({ kind: 'proven', user: this.#user }).then(
      (principal) => done(Buffer.from(`v=${signature}`), null, principal),
      (cause: unknown) => done(nothing, `Authentication failed: ${textOf(cause)}`, undefined),
    )
  }

  #proves(verifier: ScramVerifier, authMessage: string, proof: Buffer): boolean {
    const signature = createHmac(this.#hash, verifier.storedKey).update(authMessage).digest()
    if (proof.length !== signature.length) return false
    const clientKey = Buffer.from(proof.map((byte, index) => byte ^ (signature[index] ?? 0)))
    return timingSafeEqual(createHash(this.#hash).update(clientKey).digest(), verifier.storedKey)
  }
}
