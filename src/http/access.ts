/** Who calls the API: HTTP Basic or a client's certificate once users exist, anybody before. */
import { type Broker, CoreError, type HttpRequest, type Principal } from '../broker/face.ts'

export async function authenticateRequest(broker: Broker, request: HttpRequest): Promise<Principal> {
  const header = request.headers['authorization']
  const { peerName, remoteAddress } = request.connection
  if (typeof header !== 'string') {
    if (peerName !== undefined) return broker.authenticate({ kind: 'certificate', user: peerName }, remoteAddress)
    if (!broker.authenticationRequired) return broker.anonymous
    throw new CoreError('Unauthenticated', 'log in with HTTP Basic')
  }
  const token = /^Bearer (\S+)$/i.exec(header)?.[1]
  if (token !== undefined) return broker.authenticate({ kind: 'token', token }, remoteAddress)
  const encoded = /^Basic ([A-Za-z0-9+/=]+)$/i.exec(header)?.[1]
  if (encoded === undefined) throw new CoreError('Unauthenticated', 'only Basic and Bearer are understood')
  const decoded = Buffer.from(encoded, 'base64').toString('utf8')
  const colon = decoded.indexOf(':')
  if (colon === -1) throw new CoreError('Unauthenticated', 'the login has no password')
  const login = { user: decoded.slice(0, colon), password: decoded.slice(colon + 1) }
  return broker.authenticate({ kind: 'password', ...login }, remoteAddress)
}

export function requireAdmin(broker: Broker, principal: Principal): void {
  if (!broker.authenticationRequired) return
  if (!principal.may('operate', '', '', 'cluster')) throw new CoreError('AccessDenied', 'only an administrator may do this')
}
