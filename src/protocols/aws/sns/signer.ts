/**
 * Signs what endpoints get, and queues where their topic says how, as AWS does, with a key and a certificate of the broker's own: made when they are first needed, and kept, since subscribers may
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

type Fields = Readonly<Record<string, string>>

function signable(fields: Fields): string {
  const names = fields['Type'] === 'Notification' ? notificationFields : confirmationFields
  return names.map((name) => (fields[name] === undefined ? '' : `${name}\n${fields[name]}\n`)).join('')
}

const withSignature = (fields: Fields, SignatureVersion: string, Signature: string, SigningCertURL: string): string =>
  JSON.stringify({ ...fields, SignatureVersion, Signature, SigningCertURL })

export class Signer {
  readonly #rows: Rows
  readonly #now: () => number
  #key: Promise<Key> | null = null
  /** Once it is there. */
  #loaded: Key | null = null

  constructor(rows: Rows, now: () => number) {
    this.#rows = rows
    this.#now = now
  }

  /** `text`: the JSON of notification.ts. `base`: where the subscriber reaches the broker. */
  async signed(text: string, version: string, base: string): Promise<string> {
    const { key, path } = await this.prepare()
    const fields = JSON.parse(text) as Fields // as the caller says
    const signature = await promisify(sign)(algorithms[version] ?? null, Buffer.from(signable(fields)), key)
    return withSignature(fields, version, signature.toString('base64'), base + path)
  }

  /**
   * The same at once, for the copies of one message: what is signed is the same in all of them, and it is signed once. That takes 0.3 ms, in which nothing
   * else is done. null: there is no key yet (see {@link prepare}).
   */
  forCopies(version: string): ((text: string, base: string) => string) | null {
    const found = this.#keyNow()
    if (found === null) return null
    const { key, path } = found
    const signatures = new Map<string, string>()
    return (text, base) => {
      const fields = JSON.parse(text) as Fields // as the caller says
      const signed = signable(fields)
      const signature = signatures.get(signed) ?? sign(algorithms[version] ?? null, Buffer.from(signed), key).toString('base64')
      signatures.set(signed, signature)
      return withSignature(fields, version, signature, base + path)
    }
  }

  /** Resolves to the key when it is durable. */
  async prepare(): Promise<Key> {
    this.#key ??= this.#load().catch((error: unknown) => {
      this.#key = null
      throw error
    })
    this.#loaded = await this.#key
    return this.#loaded
  }

  #keyNow(): Key | null {
    if (this.#key !== null || this.#loaded !== null) return this.#loaded
    const stored = this.#stored()
    this.#loaded = stored === undefined ? null : keyOf(stored)
    return this.#loaded
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
    return keyOf(this.#stored() ?? (await this.#make()))
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
const keyOf = (stored: StoredKey): Key => ({ key: createPrivateKey(stored.key), path: pathOf(stored) })
