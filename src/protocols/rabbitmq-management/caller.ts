/**
 * Who calls. Tags decide what of the API a user sees (administrator, monitoring, policymaker, management), permissions what happens in a vhost.
 * While no users exist everybody is an administrator, by whatever name he logs in, or as guest.
 */
import type { Broker, Principal, Space } from '../../broker/face.ts'
import { CoreError } from '../../broker/face.ts'
import { httpLogin } from '../../lib/http-login.ts'
import { secretLogin } from '../../lib/token-login.ts'
import { ApiError, notAuthorised, notFound } from './errors.ts'
import { namespaceOf } from './names.ts'

const onlooker: Principal = { user: '', may: () => false }

export class Caller {
  readonly name: string
  readonly tags: readonly string[]
  readonly principal: Principal
  /** As he logged in, to act over AMQP in his name. */
  readonly login: { readonly user: string; readonly password: string }
  readonly #broker: Broker

  constructor(broker: Broker, principal: Principal, login: Caller['login'], tags: readonly string[]) {
    this.#broker = broker
    this.principal = principal
    this.name = login.user
    this.login = login
    this.tags = tags
  }

  get administrator(): boolean {
    return this.tags.includes('administrator')
  }
  get monitor(): boolean {
    return this.administrator || this.tags.includes('monitoring')
  }
  get policymaker(): boolean {
    return this.administrator || this.tags.includes('policymaker')
  }

  requireAdministrator(): void {
    if (!this.administrator) throw notAuthorised('Not administrator user')
  }
  requireMonitor(): void {
    if (!this.monitor) throw notAuthorised('Not monitor user')
  }
  requirePolicymaker(): void {
    if (!this.policymaker) throw notAuthorised('Not policy maker')
  }

  /** The vhost as he may use it; refuses one that is not there, or not his. */
  space(vhost: string): Space {
    if (!this.#broker.namespaces().includes(namespaceOf(vhost)) || vhost === 'default') throw notFound()
    const space = this.#tryOpen(vhost)
    if (space === undefined) throw notAuthorised('User not authorised to access virtual host')
    return space
  }

  /** All vhosts he may see. */
  spaces(): Space[] {
    return this.#broker.namespaces().flatMap((namespace) => this.#tryOpen(namespace) ?? [])
  }

  #tryOpen(vhost: string): Space | undefined {
    try {
      return this.#broker.space(this.principal, namespaceOf(vhost))
    } catch (cause) {
      if (!(cause instanceof CoreError) || cause.code !== 'AccessDenied') throw cause
      // Monitoring sees every vhost, and may do nothing there: what acts goes through AMQP, in the caller's own name.
      return this.monitor ? this.#broker.space(onlooker, namespaceOf(vhost)) : undefined
    }
  }
}

const known = ['administrator', 'monitoring', 'policymaker', 'management']

/** By HTTP's Basic, where the password may be a signed token, or Bearer. `from`: the address of who calls. */
export async function authenticate(broker: Broker, header: string | undefined, from: string): Promise<Caller> {
  const login = httpLogin(header)
  if (!broker.authenticationRequired) {
    const named = login?.kind === 'password' ? login : { user: 'guest', password: 'guest' }
    return new Caller(broker, broker.anonymous, named, ['administrator'])
  }
  if (login === null) throw new ApiError(401, 'not_authorized', 'Login failed')
  let principal: Principal
  try {
    const credential = login.kind === 'token' ? login : secretLogin(login.user, login.password, broker.tokensAccepted)
    principal = await broker.authenticate(credential, from)
  } catch (cause) {
    if (cause instanceof CoreError && cause.code === 'Unauthenticated') throw new ApiError(401, 'not_authorized', 'Login failed')
    throw cause
  }
  const { user: name } = principal
  const user = broker.users.list().find((each) => each.name === name)
  const tags = principal.tags ?? (user === undefined ? [] : [...(user.admin ? ['administrator'] : []), ...user.tags])
  if (!tags.some((tag) => known.includes(tag))) throw new ApiError(401, 'not_authorized', 'Not management user')
  // Over AMQP a token is the password.
  return new Caller(broker, principal, { user: name, password: login.kind === 'token' ? login.token : login.password }, tags)
}
