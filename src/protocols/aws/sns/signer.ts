/**
 * Signs what endpoints get, as AWS does, with a key and a certificate of the broker's own: made when they are first needed, and kept, since subscribers may
 * keep the certificate. What is signed, and in which order, is in AWS's "Verifying the signatures of Amazon SNS messages".
 */
import { createHash, createPrivateKey, generateKeyPair, type KeyObject, sign } from 'node:crypto'
import { promisify } from 'node:util'
import type { Rows } from '../../../broker/face.ts'
import { certificateOf } from '../../../lib/x509.ts'

/** By the topic's SignatureVersion. */
const algorithms: Readonly<Record<string, string>> = { '1': 'RSA-SHA1', '2': 'RSA-SHA256' }
export const isSignatureVersion = (text: string): boolean => Object.hasOwn(algorithms, text)
/** As AWS says where a topic says nothing. */
export const signatureVersionDefault = '1'

const notificationFields = ['Message', 'MessageId', 'Subject', 'Timestamp', 'TopicArn', 'Type']
const confirmationFields = ['Message', 'MessageId', 'SubscribeURL', 'Timestamp', 'Token', 'TopicArn', 'Type']
const keyBits = 2048
const validMs = 20 * 365 * 24 * 3600 * 1000
const dayMs = 24 * 3600 * 1000
const row = 'key'

/** As stored; PEM. */
interface StoredKey {
  readonly key: string
  readonly certificate: string
}

interface Key {
  readonly key: KeyObject
  readonly path: string
}

export class Signer {
  readonly #rows: Rows
  readonly #now: () => number
  #key: Promise<Key> | null = null

  constructor(rows: Rows, now: () => number) {
    this.#rows = rows
    this.#now = now
  }

  /** `text`: the JSON of notification.ts. `base`: where the subscriber reaches the broker. */
  async signed(text: string, version: string, base: string): Promise<string> {
    this.#key ??= this.#load().catch((error: unknown) => {
      this.#key = null
      throw error
    })
    const { key, path } = await this.#key
    const fields = JSON.parse(text) as Record<string, string> // as the caller says
    const names = fields['Type'] === 'Notification' ? notificationFields : confirmationFields
    const signable = names.filter((name) => fields[name] !== undefined).map((name) => `${name}\n${fields[name]}\n`)
    const signature = await promisify(sign)(algorithms[version] ?? null, Buffer.from(signable.join('')), key)
    return JSON.stringify({
      ...fields,
      SignatureVersion: version,
      Signature: signature.toString('base64'),
      SigningCertURL: `${base}${path}`,
    })
  }

  /** The certificate, for a request's path; undefined: it is not there. */
  certificateAt(path: string): string | undefined {
    if (!path.startsWith(pathPrefix)) return undefined
    const stored = this.#stored()
    return stored !== undefined && path === pathOf(stored) ? stored.certificate : undefined
  }

  #stored(): StoredKey | undefined {
    const text = this.#rows.get(row)
    return text === undefined ? undefined : (JSON.parse(text) as StoredKey) // as #make() wrote it
  }

  async #load(): Promise<Key> {
    const stored = this.#stored() ?? (await this.#make())
    return { key: createPrivateKey(stored.key), path: pathOf(stored) }
  }

  async #make(): Promise<StoredKey> {
    const { privateKey, publicKey } = await promisify(generateKeyPair)('rsa', { modulusLength: keyBits })
    const [name, now] = ['AnyMQ SNS', this.#now()]
    const content = { name, issuer: name, publicKey, extensions: [], notBefore: now - dayMs, notAfter: now + validMs }
    const key = String(privateKey.export({ type: 'pkcs8', format: 'pem' }))
    const stored = { key, certificate: certificateOf(content, privateKey) }
    this.#rows.put(row, JSON.stringify(stored))
    // Nothing is signed by what a crash could take back.
    await this.#rows.durable()
    return stored
  }
}

const pathPrefix = '/SimpleNotificationService-'
const pathOf = ({ certificate }: StoredKey): string =>
  `${pathPrefix}${createHash('sha256').update(certificate).digest('hex').slice(0, 32)}.pem`
