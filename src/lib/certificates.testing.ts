/** X.509 certificates for tests, made on the spot: a root and what it signs (RFC 5280, in the DER of X.690), with keys on P-256. */
import { createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

export interface TestCertificate {
  readonly name: string
  /** PEM. */
  readonly certificate: string
  readonly key: string
}

/** A root certificate of that name. */
export function testRoot(name: string): TestCertificate {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return certificate(name, publicKey, { name, key: privateKey }, privateKey, [
    extension('2.5.29.19', true, sequence(boolean(true))), // basicConstraints: a CA
  ])
}

/** A certificate that `root` signed, good for localhost and for clients. */
export function testCertificate(name: string, root: TestCertificate): TestCertificate {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const names = sequence(der(0x82, Buffer.from('localhost')), der(0x87, Buffer.from([127, 0, 0, 1])))
  return certificate(name, publicKey, { name: root.name, key: createPrivateKey(root.key) }, privateKey, [
    extension('2.5.29.17', false, names), // subjectAltName
  ])
}

/** Writes `NAME.crt` and `NAME.key` for each into a new folder, and returns it. */
export function writeCertificates(...certificates: readonly TestCertificate[]): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'anymq-tls-'))
  for (const each of certificates) {
    writeFileSync(path.join(folder, `${each.name}.crt`), each.certificate)
    writeFileSync(path.join(folder, `${each.name}.key`), each.key)
  }
  return folder
}

const ecdsaWithSha256 = '1.2.840.10045.4.3.2'
const dayMs = 24 * 3600 * 1000

function certificate(
  name: string,
  publicKey: KeyObject,
  issuer: { readonly name: string; readonly key: KeyObject },
  privateKey: KeyObject,
  extensions: readonly Buffer[],
): TestCertificate {
  const algorithm = sequence(objectId(ecdsaWithSha256))
  const now = Date.now()
  const content = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))), // version 3
    der(0x02, Buffer.concat([Buffer.from([1]), randomBytes(8)])), // serial number, positive
    algorithm,
    distinguishedName(issuer.name),
    sequence(utcTime(now - dayMs), utcTime(now + 365 * dayMs)),
    distinguishedName(name),
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(...extensions)),
  )
  const signature = sign('sha256', content, issuer.key)
  const whole = sequence(content, algorithm, der(0x03, Buffer.concat([Buffer.from([0]), signature])))
  const lines = whole.toString('base64').replace(/.{64}/g, '$&\n')
  return {
    name,
    certificate: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
    key: String(privateKey.export({ type: 'pkcs8', format: 'pem' })),
  }
}

function der(tag: number, ...contents: readonly Buffer[]): Buffer {
  const body = Buffer.concat(contents)
  const short = body.length < 0x100 ? [0x81, body.length] : [0x82, body.length >> 8, body.length & 0xff]
  const length = body.length < 0x80 ? [body.length] : short
  return Buffer.concat([Buffer.from([tag, ...length]), body])
}

const sequence = (...contents: readonly Buffer[]): Buffer => der(0x30, ...contents)
const boolean = (value: boolean): Buffer => der(0x01, Buffer.from([value ? 0xff : 0]))
const distinguishedName = (name: string): Buffer =>
  sequence(der(0x31, sequence(objectId('2.5.4.3'), der(0x0c, Buffer.from(name))))) // commonName, UTF8String

function extension(id: string, critical: boolean, value: Buffer): Buffer {
  return sequence(objectId(id), ...(critical ? [boolean(true)] : []), der(0x04, value))
}

function utcTime(ms: number): Buffer {
  const text = new Date(ms).toISOString() // 2026-11-21T…
  return der(0x17, Buffer.from(`${text.slice(2, 19).replaceAll(/[-T:]/g, '')}Z`))
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
