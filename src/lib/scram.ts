/** The server's side of SCRAM (RFC 5802, RFC 7677), without channel binding: two messages of the client, two answers. */
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

export const scramHashes = { 'SCRAM-SHA-256': 'sha256', 'SCRAM-SHA-512': 'sha512' } as const
export type ScramMechanism = keyof typeof scramHashes

/** What a password is checked against. */
export interface Verifier {
  readonly salt: Buffer
  readonly iterations: number
  readonly storedKey: Buffer
  readonly serverKey: Buffer
}

export interface ScramSource {
  /** undefined for an unknown user, who then fails like one with a wrong password. */
  verifierOf(user: string): Verifier | undefined
  /** The same for each exchange: gives unknown users a salt, so that names can not be probed. */
  readonly secret: string
}

/** The client is wrong; the message says how. */
export class ScramError extends Error {}

const unknownIterations = 4096

export class ScramServer {
  readonly #hash: 'sha256' | 'sha512'
  readonly #source: ScramSource
  #user = ''
  #verifier: Verifier | undefined
  /** Our half of the nonce. */
  #serverNonce = ''
  #clientFirstBare = ''
  #gs2 = ''
  #serverFirst = ''

  constructor(mechanism: ScramMechanism, source: ScramSource) {
    this.#hash = scramHashes[mechanism]
    this.#source = source
  }

  /** Answers the first message. Throws {@link ScramError}. */
  first(message: string): string {
    const parts = /^([ny],[^,]*,)(n=([^,]*),r=([^,]+)(?:,.*)?)$/.exec(message)
    if (parts === null) throw new ScramError('the first SCRAM message is malformed')
    const [, gs2 = '', bare = '', name = '', nonce = ''] = parts
    this.#gs2 = gs2
    this.#clientFirstBare = bare
    this.#user = name.replaceAll('=2C', ',').replaceAll('=3D', '=')
    this.#serverNonce = randomBytes(18).toString('base64')
    this.#verifier = this.#source.verifierOf(this.#user)
    const salt =
      this.#verifier?.salt ?? createHash('sha256').update(`${this.#source.secret}/${this.#user}`).digest().subarray(0, 16)
    const iterations = this.#verifier?.iterations ?? unknownIterations
    this.#serverFirst = `r=${nonce}${this.#serverNonce},s=${salt.toString('base64')},i=${iterations}`
    return this.#serverFirst
  }

  /** Answers the second message, and says who the client has proven to be. Throws {@link ScramError}. */
  final(message: string): { readonly user: string; readonly answer: string } {
    const parts = /^(c=([^,]+),r=([^,]+)),p=([^,]+)$/.exec(message)
    if (parts === null) throw new ScramError('the final SCRAM message is malformed')
    const [, withoutProof = '', channel = '', nonce = '', proofText = ''] = parts
    const authMessage = `${this.#clientFirstBare},${this.#serverFirst},${withoutProof}`
    const verifier = this.#verifier
    // RFC 5802 wants the whole nonce again; librdkafka of some years sends its own half twice, and Kafka looks at the end only.
    const holds =
      verifier !== undefined &&
      this.#serverNonce !== '' &&
      nonce.endsWith(this.#serverNonce) &&
      Buffer.from(channel, 'base64').toString() === this.#gs2 &&
      this.#proves(verifier, authMessage, Buffer.from(proofText, 'base64'))
    if (!holds) throw new ScramError('wrong user or password')
    const signature = createHmac(this.#hash, verifier.serverKey).update(authMessage).digest('base64')
    return { user: this.#user, answer: `v=${signature}` }
  }

  #proves(verifier: Verifier, authMessage: string, proof: Buffer): boolean {
    const signature = createHmac(this.#hash, verifier.storedKey).update(authMessage).digest()
    if (proof.length !== signature.length) return false
    const clientKey = Buffer.from(proof.map((byte, index) => byte ^ (signature[index] ?? 0)))
    return timingSafeEqual(createHash(this.#hash).update(clientKey).digest(), verifier.storedKey)
  }
}
