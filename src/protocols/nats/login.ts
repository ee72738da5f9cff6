/** CONNECT: what the client asks for, and who it is. */
import { type Broker, type Connection, CoreError, type Principal } from '../../broker/face.ts'
import { type AccountUser, accountUser } from './accounts/account-user.ts'
import type { Accounts } from './accounts/accounts.ts'
import { NatsError, words } from './errors.ts'
import { verifies } from './nkeys.ts'

export interface Options {
  readonly verbose: boolean
  readonly pedantic: boolean
  readonly echo: boolean
  readonly headers: boolean
  readonly noResponders: boolean
  /** 1: understands an INFO at any time. */
  readonly protocol: number
  readonly name: string
  readonly language: string
  readonly version: string
  readonly credentials: Readonly<Record<'user' | 'pass' | 'auth_token' | 'jwt' | 'nkey' | 'sig', string>>
}

/** Of a client that does not CONNECT, such as a person with telnet. */
export const defaults: Options = {
  verbose: true,
  pedantic: true,
  echo: true,
  headers: false,
  noResponders: false,
  protocol: 0,
  name: '',
  language: '',
  version: '',
  credentials: { user: '', pass: '', auth_token: '', jwt: '', nkey: '', sig: '' },
}

/** Throws {@link NatsError} for what is no CONNECT of a client. */
export function parseConnect(json: string): Options {
  const fields = objectOf(json)
  const text = (key: string): string => typed<string>(fields[key], '')
  const flag = (key: string, absent: boolean): boolean => typed(fields[key], absent)
  const protocol = typed<number>(fields['protocol'], 0)
  if (protocol !== 0 && protocol !== 1) throw new NatsError(words.clientProtocol)
  const headers = flag('headers', false)
  return {
    verbose: flag('verbose', true),
    pedantic: flag('pedantic', true),
    echo: flag('echo', true),
    headers,
    // Said by a status header, so that it needs them.
    noResponders: headers && flag('no_responders', false),
    protocol,
    name: text('name'),
    language: text('lang'),
    version: text('version'),
    credentials: {
      user: text('user'),
      pass: text('pass'),
      auth_token: text('auth_token'),
      jwt: text('jwt'),
      nkey: text('nkey'),
      sig: text('sig'),
    },
  }
}

function objectOf(json: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch {
    throw new NatsError(words.parser)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new NatsError(words.parser)
  return value as Record<string, unknown>
}

function typed<T extends string | number | boolean>(value: unknown, absent: T): T {
  if (value === undefined || value === null) return absent
  const type: string = typeof absent
  if (typeof value !== type) throw new NatsError(words.parser)
  return value as T // of the same type as the default
}

export interface Login {
  readonly principal: Principal
  /** null: of the broker's own users, or nobody. */
  readonly user: AccountUser | null
}

/** Rejects with Unauthenticated. `accounts`: those that are configured, null where none are. */
export async function logIn(
  broker: Broker,
  accounts: Accounts | null,
  connection: Connection,
  { credentials }: Options,
  nonce: string,
): Promise<Login> {
  if (accounts !== null && credentials.jwt !== '') {
    const proof = { token: credentials.jwt, nonce, signature: credentials.sig }
    const user = accountUser(accounts, connection, proof, broker.clock)
    return { principal: user.principal, user }
  }
  if (accounts !== null && !broker.authenticationRequired)
    throw new CoreError('Unauthenticated', 'only users of accounts are let in')
  return { principal: await brokerUser(broker, connection, credentials, nonce), user: null }
}

async function brokerUser(
  broker: Broker,
  { peerName, remoteAddress: from }: Connection,
  { user, pass, auth_token: token, nkey, sig }: Options['credentials'],
  nonce: string,
): Promise<Principal> {
  if (!broker.authenticationRequired) return broker.anonymous
  if (nkey !== '') {
    if (!verifies(nkey, nonce, sig)) throw new CoreError('Unauthenticated', `the signature is not that of ${nkey}`)
    return broker.authenticate({ kind: 'proven', user: nkey }, from)
  }
  if (user !== '') return broker.authenticate({ kind: 'password', user, password: pass }, from)
  if (token !== '' && broker.tokensAccepted) return broker.authenticate({ kind: 'token', token }, from)
  if (peerName !== undefined) return broker.authenticate({ kind: 'certificate', user: peerName }, from)
  throw new CoreError('Unauthenticated', 'no login that could be checked')
}
