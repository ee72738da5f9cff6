/** X.509 certificates for tests, made on the spot: a root and what it signs, with keys on P-256. */
import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { boolean, certificateOf, der, extension, sequence } from './x509.ts'

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

const dayMs = 24 * 3600 * 1000

function certificate(
  name: string,
  publicKey: KeyObject,
  issuer: { readonly name: string; readonly key: KeyObject },
  privateKey: KeyObject,
  extensions: readonly Buffer[],
): TestCertificate {
  const now = Date.now()
  const validity = { notBefore: now - dayMs, notAfter: now + 365 * dayMs }
  return {
    name,
    certificate: certificateOf({ name, issuer: issuer.name, publicKey, extensions, ...validity }, issuer.key),
    key: String(privateKey.export({ type: 'pkcs8', format: 'pem' })),
  }
}
