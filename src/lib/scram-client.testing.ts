/** The client's side of SCRAM (RFC 5802), for tests of what asks for it. */
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto'
import { type ScramMechanism, scramHashes, type Verifier } from './scram.ts'

const keysOf = (mechanism: ScramMechanism, password: string, salt: Buffer, iterations: number) => {
  const hash = scramHashes[mechanism]
  const salted = pbkdf2Sync(password, salt, iterations, hash === 'sha256' ? 32 : 64, hash)
  const clientKey = createHmac(hash, salted).update('Client Key').digest()
  const storedKey = createHash(hash).update(clientKey).digest()
  return { hash, clientKey, storedKey, serverKey: createHmac(hash, salted).update('Server Key').digest() }
}

export function testVerifier(mechanism: ScramMechanism, password: string): Verifier {
  const salt = randomBytes(16)
  const { storedKey, serverKey } = keysOf(mechanism, password, salt, 4096)
  return { salt, iterations: 4096, storedKey, serverKey }
}

export class ScramClient {
  readonly #mechanism: ScramMechanism
  readonly #password: string
  readonly #bare: string
  #expected = ''

  constructor(mechanism: ScramMechanism, user: string, password: string) {
    this.#mechanism = mechanism
    this.#password = password
    this.#bare = `n=${user.replaceAll('=', '=3D').replaceAll(',', '=2C')},r=${randomBytes(12).toString('base64')}`
  }

  first(): string {
    return `n,,${this.#bare}`
  }

  final(serverFirst: string): string {
    const fields = new Map(serverFirst.split(',').map((field) => [field[0], field.slice(2)]))
    const salt = Buffer.from(fields.get('s') ?? '', 'base64')
    const keys = keysOf(this.#mechanism, this.#password, salt, Number(fields.get('i')))
    const withoutProof = `c=biws,r=${fields.get('r')}`
    const authMessage = `${this.#bare},${serverFirst},${withoutProof}`
    const signature = createHmac(keys.hash, keys.storedKey).update(authMessage).digest()
    const proof = Buffer.from(keys.clientKey.map((byte, at) => byte ^ (signature[at] ?? 0)))
    this.#expected = `v=${createHmac(keys.hash, keys.serverKey).update(authMessage).digest('base64')}`
    return `${withoutProof},p=${proof.toString('base64')}`
  }

  /** Whether the server has proven that it knows the user, too. */
  trusts(serverFinal: string): boolean {
    return serverFinal === this.#expected
  }
}
