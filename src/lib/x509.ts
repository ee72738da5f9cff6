/** X.509 certificates (RFC 5280, in the DER of X.690), signed with SHA-256 by keys of RSA or on an elliptic curve. */
import { type KeyObject, randomBytes, sign } from 'node:crypto'

export interface CertificateContent {
  /** The common names of whom it is for, and of who signs it. */
  readonly name: string
  readonly issuer: string
  readonly publicKey: KeyObject
  /** See {@link extension}. */
  readonly extensions: readonly Buffer[]
  /** ms since the epoch. */
  readonly notBefore: number
  readonly notAfter: number
}

const ecdsaWithSha256 = '1.2.840.10045.4.3.2'
const rsaWithSha256 = '1.2.840.113549.1.1.11'

/** PEM. */
export function certificateOf(content: CertificateContent, issuerKey: KeyObject): string {
  const { name, issuer, publicKey, extensions, notBefore, notAfter } = content
  const isRsa = issuerKey.asymmetricKeyType === 'rsa'
  const algorithm = isRsa ? sequence(objectId(rsaWithSha256), der(0x05)) : sequence(objectId(ecdsaWithSha256))
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))), // version 3
    der(0x02, Buffer.concat([Buffer.from([1]), randomBytes(8)])), // serial number, positive
    algorithm,
    distinguishedName(issuer),
    sequence(time(notBefore), time(notAfter)),
    distinguishedName(name),
    publicKey.export({ type: 'spki', format: 'der' }),
    ...(extensions.length > 0 ? [der(0xa3, sequence(...extensions))] : []),
  )
  const signature = sign('sha256', body, issuerKey)
  const whole = sequence(body, algorithm, der(0x03, Buffer.concat([Buffer.from([0]), signature])))
  const lines = whole.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}

export function der(tag: number, ...contents: readonly Buffer[]): Buffer {
  const body = Buffer.concat(contents)
  const short = body.length < 0x100 ? [0x81, body.length] : [0x82, body.length >> 8, body.length & 0xff]
  const length = body.length < 0x80 ? [body.length] : short
  return Buffer.concat([Buffer.from([tag, ...length]), body])
}

export const sequence = (...contents: readonly Buffer[]): Buffer => der(0x30, ...contents)
export const boolean = (value: boolean): Buffer => der(0x01, Buffer.from([value ? 0xff : 0]))
const distinguishedName = (name: string): Buffer =>
  sequence(der(0x31, sequence(objectId('2.5.4.3'), der(0x0c, Buffer.from(name))))) // commonName, UTF8String

export function extension(id: string, critical: boolean, value: Buffer): Buffer {
  return sequence(objectId(id), ...(critical ? [boolean(true)] : []), der(0x04, value))
}

/** UTCTime until 2049, then GeneralizedTime (RFC 5280, 4.1.2.5). */
function time(ms: number): Buffer {
  const text = `${new Date(ms).toISOString().slice(0, 19).replaceAll(/[-T:]/g, '')}Z` // 20261121…
  return ms < Date.UTC(2050) ? der(0x17, Buffer.from(text.slice(2))) : der(0x18, Buffer.from(text))
}

function objectId(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split('.').map(Number)
  const bytes = [first * 40 + second]
  for (const arc of rest) {
    const groups = [arc & 0x7f]
    for (let left = arc >> 7; left > 0; left >>= 7) groups.unshift((left & 0x7f) | 0x80)
    bytes.push(...groups)
  }
  return der(0x06, Buffer.from(bytes))
}
