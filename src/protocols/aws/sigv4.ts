/**
 * Signature Version 4: who signed a request, in its Authorization header or (pre-signed) in its query. The access key id is a user's name and the
 * secret access key that user's signing secret.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { Broker, HttpRequest, Principal } from '../../broker/face.ts'
import { type AwsError, commonError } from './errors.ts'

const algorithm = 'AWS4-HMAC-SHA256'
/** How far a signer's clock may be off. */
const skewMs = 15 * 60_000
const expiresMaxSeconds = 7 * 24 * 3600

export interface Credential {
  readonly accessKey: string
  /** YYYYMMDD */
  readonly date: string
  readonly region: string
  readonly service: string
}

interface Signed extends Credential {
  readonly headers: readonly string[]
  readonly signature: string
  /** YYYYMMDDTHHMMSSZ */
  readonly time: string
  /** Of a pre-signed request. */
  readonly expiresSeconds: number | null
}

/** What a request says of who signed it, not verified; undefined when it says nothing. */
export function credentialOf(request: HttpRequest): Credential | undefined {
  return signedPart(request) ?? undefined
}

/** Throws when users exist and this request is no user's. */
export async function authenticate(broker: Broker, request: HttpRequest, body: Buffer): Promise<Principal> {
  if (!broker.authenticationRequired) return broker.anonymous
  const signed = signedPart(request)
  if (signed === null) throw commonError('MissingAuthenticationToken', 'Request is missing Authentication Token', 403)
  const secret = broker.users.signingSecret(signed.accessKey)
  if (secret === undefined)
    throw commonError('InvalidClientTokenId', 'The security token included in the request is invalid.', 403)
  checkTime(signed, broker.clock.now())
  if (!matches(signatureOf(request, body, signed, secret), signed.signature))
    throw commonError(
      'SignatureDoesNotMatch',
      'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.',
      403,
    )
  return await broker.authenticate({ kind: 'proven', user: signed.accessKey }, request.connection.remoteAddress)
}

function matches(calculated: string, given: string): boolean {
  const [a, b] = [Buffer.from(calculated), Buffer.from(given)]
  return a.length === b.length && timingSafeEqual(a, b)
}

function checkTime({ time, date, expiresSeconds }: Signed, now: number): void {
  const at = Date.parse(time.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'))
  if (Number.isNaN(at) || !time.startsWith(date)) throw incomplete('Date must be in ISO-8601 basic format.')
  const until = expiresSeconds === null ? at + skewMs : at + expiresSeconds * 1000
  if (now > until) throw expired(`Signature expired: ${time} is now earlier than the broker's time`)
  if (at > now + skewMs) throw expired(`Signature not yet current: ${time} is still later than the broker's time`)
}

const expired = (message: string): AwsError => commonError('SignatureDoesNotMatch', message, 403)
const incomplete = (message: string): AwsError => commonError('IncompleteSignature', message, 400)

function signedPart(request: HttpRequest): Signed | null {
  const header = request.headers['authorization']
  if (typeof header === 'string' && header.startsWith(algorithm)) {
    const parts = new Map(
      header
        .slice(algorithm.length)
        .split(',')
        .map((part) => {
          const sign = part.indexOf('=')
          return [part.slice(0, sign).trim(), part.slice(sign + 1).trim()] as const
        }),
    )
    return signedOf(
      parts.get('Credential'),
      parts.get('SignedHeaders'),
      parts.get('Signature'),
      textHeader(request, 'x-amz-date'),
      null,
    )
  }
  const query = new URLSearchParams(request.query)
  if (query.get('X-Amz-Algorithm') !== algorithm) return null
  const expires = Number(query.get('X-Amz-Expires') ?? '')
  if (!(expires >= 1 && expires <= expiresMaxSeconds)) return null
  const written = (name: string): string | undefined => query.get(name) ?? undefined
  return signedOf(
    written('X-Amz-Credential'),
    written('X-Amz-SignedHeaders'),
    written('X-Amz-Signature'),
    written('X-Amz-Date') ?? '',
    expires,
  )
}

function signedOf(
  credential: string | undefined,
  headers: string | undefined,
  signature: string | undefined,
  time: string,
  expiresSeconds: number | null,
): Signed | null {
  const [accessKey, date, region, service, end] = (credential ?? '').split(/\/(?=[^/]*(?:\/[^/]*){0,3}$)/)
  if (!accessKey || !date || !region || !service || end !== 'aws4_request' || !headers || !signature) return null
  return { accessKey, date, region, service, headers: headers.toLowerCase().split(';'), signature, time, expiresSeconds }
}

/** As the signer has calculated it, if it is who it says. */
export function signatureOf(request: HttpRequest, body: Buffer, signed: Signed, secret: string): string {
  const { date, region, service, time, headers } = signed
  const canonical = [
    request.method,
    canonicalPath(request.path),
    canonicalQuery(request.query),
    ...headers.map((name) => `${name}:${textHeader(request, name).trim().replace(/ +/g, ' ')}`),
    '',
    headers.join(';'),
    sha256(body),
  ].join('\n')
  const scope = `${date}/${region}/${service}/aws4_request`
  const toSign = [algorithm, time, scope, sha256(canonical)].join('\n')
  let key: Buffer = Buffer.from(`AWS4${secret}`)
  for (const part of [date, region, service, 'aws4_request']) key = hmac(key, part)
  return hmac(key, toSign).toString('hex')
}

const hmac = (key: Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest()
const sha256 = (content: string | Buffer): string => createHash('sha256').update(content).digest('hex')

function textHeader(request: HttpRequest, name: string): string {
  const value = request.headers[name]
  return Array.isArray(value) ? value.join(',') : (value ?? '')
}

const encode = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)

/** Each segment encoded once more than it was sent. */
const canonicalPath = (path: string): string => (path === '' ? '/' : path.split('/').map(encode).join('/'))

function canonicalQuery(query: string): string {
  return [...new URLSearchParams(query)]
    .filter(([name]) => name !== 'X-Amz-Signature')
    .map(([name, value]) => [encode(name), encode(value)] as const)
    .sort(([a, x], [b, y]) => (a === b ? (x < y ? -1 : 1) : a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${value}`)
    .join('&')
}
