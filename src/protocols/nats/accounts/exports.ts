/** What an account lets others have of its subjects, and what one takes of another's, as their tokens say. What cannot be held is refused. */
import { CoreError } from '../../../broker/face.ts'
import { renamingOf } from '../jetstream/transforms.ts'
import { isSubset, isValidSubject } from '../subjects.ts'
import type { Account } from './account.ts'
import { commonClaims, decodeClaims, mustBeCurrent, number, record, unknownClaim } from './claims.ts'

export type ResponseType = 'Singleton' | 'Stream' | 'Chunked'

export interface Export {
  readonly kind: 'stream' | 'service'
  readonly subject: string
  /** Only for accounts that bring an activation token. */
  readonly isPrivate: boolean
  readonly responses: ResponseType
  /** How long a response may take, ms. */
  readonly responseMs: number
  /** Activations that are good no more: by account, or `*`, those issued up to then (seconds). */
  readonly revoked: Readonly<Record<string, unknown>>
}

export interface Import {
  readonly kind: 'stream' | 'service'
  /** Of its exporter. */
  readonly from: Account
  readonly subject: string
  /** What it is called by its importer. */
  readonly local: string
  readonly exported: Export
  /** When its activation ends, ms since the epoch; Infinity: it does not. */
  readonly until: number
}

/** What is in no other place of this file describes it. */
const exportClaims = new Set([
  ...['type', 'subject', 'token_req', 'revocations', 'response_type', 'response_threshold'],
  ...['account_token_position', 'service_latency', 'allow_trace'],
  ...['name', 'description', 'info_url', 'advertise'],
])
const importClaims = new Set(['type', 'subject', 'account', 'token', 'to', 'local_subject', 'share', 'allow_trace', 'name'])
const activationClaims = new Set([...commonClaims, 'subject', 'kind', 'issuer_account'])

const responseMsDefault = 2 * 60_000
const nanos = 1_000_000

export function exportsOf(own: Readonly<Record<string, unknown>>, account: string): Export[] {
  return listOf(own['exports']).map((each) => {
    const refuse = (what: string): never => {
      throw new CoreError('Invalid', `NATS account ${account}: export of "${String(each['subject'])}": ${what}`)
    }
    const unknown = unknownClaim(each, exportClaims)
    if (unknown !== undefined) refuse(`"${unknown}" cannot be held here`)
    const { type, subject, response_type: responses = 'Singleton' } = each
    if (type !== 'stream' && type !== 'service') return refuse('its type is none')
    if (typeof subject !== 'string' || !isValidSubject(subject)) return refuse('its subject is none')
    if (responses !== 'Singleton' && responses !== 'Stream' && responses !== 'Chunked') return refuse('its response type is none')
    if (number(each['account_token_position']) > 0) refuse('"account_token_position" cannot be held here')
    for (const name of ['service_latency', 'allow_trace']) if (each[name]) refuse(`"${name}" cannot be held here`)
    const responseMs = number(each['response_threshold']) / nanos || responseMsDefault
    const revoked = record(each['revocations'])
    return { kind: type, subject, isPrivate: each['token_req'] === true, responses, responseMs, revoked }
  })
}

/** `account`: by its key. Throws Invalid for what is not exported to it. */
export function importsOf(importer: Account, account: (key: string) => Account | undefined, now: number): Import[] {
  return listOf(importer.claims.own['imports']).map((each) => {
    const refuse = (what: string): never => {
      throw new CoreError('Invalid', `NATS account ${importer.claims.subject}: import of "${String(each['subject'])}": ${what}`)
    }
    const { type, account: key, share, allow_trace: trace, local_subject: renamed = '', to = '' } = each
    const unknown = unknownClaim(each, importClaims)
    if (unknown !== undefined) refuse(`"${unknown}" cannot be held here`)
    const from = account(String(key))
    if (from === undefined) return refuse(`there is no account ${String(key)}`)
    if (type !== 'stream' && type !== 'service') return refuse('its type is none')
    if (share === true || trace === true) refuse('"share" and "allow_trace" cannot be held here')
    // The older form says of a service its local subject first.
    const older = type === 'service' && to !== ''
    const subject = String(older ? to : each['subject'])
    const local = older
      ? String(each['subject'])
      : type === 'stream' && to !== ''
        ? `${String(to)}.${subject}`
        : String(renamed || subject)
    if (!isValidSubject(subject) || !isValidSubject(local) || mappingOf(type, subject, local) === null)
      return refuse(`"${subject}" and "${local}" do not go together`)
    const exported = from.exports.find((candidate) => candidate.kind === type && isSubset(subject, candidate.subject))
    if (exported === undefined) return refuse(`account ${from.claims.subject} does not export it`)
    const until = exported.isPrivate
      ? activated(each['token'], importer, from, { type, subject, exported }, now, refuse)
      : Infinity
    return { kind: type, from, subject, local, exported, until }
  })
}

/** From the publisher's subject to the one that is heard: of a stream the exporter's is published to, of a service the importer's. */
export function mappingOf(kind: Import['kind'], subject: string, local: string): ReturnType<typeof renamingOf> {
  if (kind === 'stream') return renamingOf({ src: subject, dest: withNumbers(local, subject) })
  // Each `$n` of the local subject stands for the nth `*` of the exporter's.
  const words = local.split('.')
  const places = words.flatMap((word) => (word === '*' || /^\$\d+$/.test(word) ? [word] : []))
  let star = 0
  const dest = subject.split('.').map((word) => {
    if (word !== '*') return word
    star++
    const named = places.indexOf(`$${star}`)
    return `$${(named >= 0 ? named : star - 1) + 1}`
  })
  return renamingOf({ src: localPattern(local), dest: dest.join('.') })
}

export const localPattern = (local: string): string => local.replace(/\$\d+/g, '*')

/** Wildcards that are called the same are the same, in their order. */
function withNumbers(local: string, subject: string): string {
  if (local === subject) return ''
  let star = 0
  return local
    .split('.')
    .map((word) => (word === '*' ? `$${++star}` : word))
    .join('.')
}

interface Asked {
  readonly type: 'stream' | 'service'
  readonly subject: string
  readonly exported: Export
}

/** Until when the token holds that an import of what is private brings. */
function activated(
  token: unknown,
  importer: Account,
  from: Account,
  asked: Asked,
  now: number,
  refuse: (why: string) => never,
): number {
  if (typeof token !== 'string' || token === '') return refuse('it needs an activation token')
  const claims = decodeClaims(token, 'activation')
  mustBeCurrent(claims, now)
  const unknown = unknownClaim(claims.own, activationClaims)
  if (unknown !== undefined) refuse(`"${unknown}" of its activation token cannot be held here`)
  const { kind, subject, issuer_account: named = '' } = claims.own
  const isOfExporter = from.scopeOf(claims.issuer) !== undefined && (named === '' || named === from.claims.subject)
  if (!isOfExporter) refuse('its activation token is not signed by the exporter')
  if (claims.subject !== importer.claims.subject) refuse('its activation token is for another account')
  if (kind !== asked.type || typeof subject !== 'string' || !isSubset(asked.subject, subject))
    refuse('its activation token is for something else')
  const revokedAt = Math.max(...[claims.subject, '*'].map((key) => number(asked.exported.revoked[key])))
  if (revokedAt >= claims.issuedAt) refuse('its activation token is revoked')
  return claims.expiresAt > 0 ? claims.expiresAt * 1000 : Infinity
}

function listOf(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.map(record) : []
}
