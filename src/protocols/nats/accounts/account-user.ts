/** A user of an account, as its token says who it is: checked up to the operator, with the user's signature of what this connection was told. */
import { type Connection, CoreError, type Principal } from '../../../broker/face.ts'
import { networkOf, plainAddress } from '../../../lib/ip.ts'
import type { Clock } from '../../../lib/timers.ts'
import { verifies } from '../nkeys.ts'
import { type Account, rightsClaims } from './account.ts'
import type { Accounts } from './accounts.ts'
import { type Claims, commonClaims, decodeClaims, mustBeCurrent, number, record, strings, unknownClaim } from './claims.ts'
import { stayUntil } from './login-times.ts'
import { Permissions } from './permissions.ts'

export interface AccountUser {
  readonly account: Account
  readonly permissions: Permissions
  /** Those of the tokens, for who asks. */
  readonly said: Readonly<Record<string, unknown>>
  readonly principal: Principal
  /** -1: no limit, for each. */
  readonly subscriptionsMax: number
  readonly payloadBytesMax: number
  /** Users of the system's account see the whole broker. */
  readonly isSystem: boolean
}

export interface Proof {
  readonly token: string
  readonly nonce: string
  readonly signature: string
}

/** Throws Unauthenticated. */
export function accountUser(
  accounts: Accounts,
  connection: Pick<Connection, 'remoteAddress' | 'overWebSocket'>,
  proof: Proof,
  clock: Clock,
): AccountUser {
  const claims = decodeClaims(proof.token, 'user')
  const { subject, issuer } = claims
  mustBeCurrent(claims, clock.now())
  const named = claims.own['issuer_account']
  const account = accounts.get(typeof named === 'string' && named !== '' ? named : issuer)
  const scope = account?.scopeOf(issuer)
  if (account === undefined || scope === undefined) throw refused(subject, `no account that is known is, or trusts, ${issuer}`)
  mustBeCurrent(account.claims, clock.now())
  const rights = rightsOf(claims, account, scope)
  if (rights['bearer_token'] !== true) {
    if (!verifies(subject, proof.nonce, proof.signature)) throw refused(subject, 'the signature is not that of the user')
  } else if (account.bearersRefused) throw refused(subject, 'the account lets nobody in without a signature')
  if (account.hasRevoked(claims)) throw refused(subject, 'its account has revoked it')
  checkConnection(subject, rights, connection)
  const until = stayUntil(rights['times'], rights['times_location'], clock.now())
  if (until === null) throw refused(subject, 'it may not come at this time of the day')
  const said = Permissions.areSaid(rights) ? rights : account.defaultPermissions
  const permissions = new Permissions(said, clock)
  return {
    account,
    permissions,
    said,
    principal: principalOf(claims, account, permissions, until),
    subscriptionsMax: least(number(rights['subs']), account.limits.subscriptions),
    payloadBytesMax: least(number(rights['payload']), account.limits.payloadBytes),
    isSystem: account.claims.subject === accounts.system,
  }
}

const refused = (user: string, why: string): CoreError => new CoreError('Unauthenticated', `user ${user}: ${why}`)

/** What the token says, or, where a scope does, that. Throws for what cannot be held. */
function rightsOf(
  claims: Claims,
  account: Account,
  scope: Readonly<Record<string, unknown>> | null,
): Readonly<Record<string, unknown>> {
  const { own, subject } = claims
  const unknown = unknownClaim(own, userClaims)
  if (unknown !== undefined) throw refused(subject, `"${unknown}" cannot be held here`)
  if (scope !== null && saysRights(own))
    throw refused(subject, `its account ${account.claims.subject} leaves it no permissions and limits of its own`)
  const rights = scope ?? own
  if (number(rights['data']) > 0) throw refused(subject, 'the limit "data" cannot be held here')
  if (rights['proxy_required'] === true) throw refused(subject, 'there are no proxies here')
  return rights
}

const userClaims: ReadonlySet<string> = new Set([...commonClaims, ...rightsClaims, 'issuer_account'])

/** Whether it says what the scope of a key says. */
function saysRights(own: Readonly<Record<string, unknown>>): boolean {
  if (Permissions.areSaid(own)) return true
  return [...rightsClaims].some((name) => {
    const said = own[name]
    return name !== 'pub' && name !== 'sub' && (Array.isArray(said) ? said.length > 0 : Boolean(said))
  })
}

function checkConnection(
  user: string,
  rights: Readonly<Record<string, unknown>>,
  { remoteAddress, overWebSocket }: Pick<Connection, 'remoteAddress' | 'overWebSocket'>,
): void {
  const types = strings(rights['allowed_connection_types']).map((each) => each.toUpperCase())
  if (types.length > 0 && !types.includes(overWebSocket ? 'WEBSOCKET' : 'STANDARD'))
    throw refused(user, `connections of this kind are not allowed; ${types.join(', ')} are`)
  const sources = typeof rights['src'] === 'string' ? rights['src'].split(',') : strings(rights['src'])
  if (sources.length > 0 && !isWithin(remoteAddress, sources)) throw refused(user, `${remoteAddress} is none of its addresses`)
}

/** A network has to be written as one, as for nats-server. */
const isWithin = (address: string, networks: readonly string[]): boolean =>
  networks.some((each) => each.includes('/') && networkOf(each.trim())?.(plainAddress(address)) === true)

/** -1: no limit. */
const least = (ofUser: number, ofAccount: number): number =>
  ofUser < 0 ? ofAccount : ofAccount < 0 ? ofUser : Math.min(ofUser, ofAccount)

/** May nothing outside of its account. */
function principalOf(
  { subject, expiresAt }: Claims,
  { namespace: own, claims }: Account,
  permissions: Permissions,
  until: number,
): Principal {
  const ends = [...[expiresAt, claims.expiresAt].filter((each) => each > 0).map((each) => each * 1000), until]
  return {
    user: subject,
    ...(Math.min(...ends) === Number.POSITIVE_INFINITY ? {} : { expiresAt: Math.min(...ends) }),
    mayAll: (_, namespace) => namespace === own && permissions.all,
    may: (action, namespace, name, kind = 'topic') => {
      if (namespace !== own || kind !== 'topic') return false
      if (action === 'publish') return permissions.mayPublish(name)
      // Patterns were asked for when they were subscribed to.
      return action === 'consume' && (/(^|\.)[*#](\.|$)/.test(name) || permissions.mayHear(name))
    },
  }
}

/** For what JetStream does on the user's behalf: that the user may ask for it was found from the request's subject. */
export function actingFor({ account, principal }: AccountUser): Principal {
  return { user: principal.user, may: (_, namespace) => namespace === account.namespace }
}

export const describeRights = (said: Readonly<Record<string, unknown>>): object => {
  const { pub, sub, resp } = said
  return {
    ...(Object.keys(record(pub)).length === 0 ? {} : { publish: pub }),
    ...(Object.keys(record(sub)).length === 0 ? {} : { subscribe: sub }),
    ...(resp === undefined || resp === null ? {} : { responses: resp }),
  }
}
