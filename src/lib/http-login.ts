/** What an Authorization header says: Basic (RFC 7617) or Bearer (RFC 6750). */

export type HttpLogin =
  | { readonly kind: 'password'; readonly user: string; readonly password: string }
  | { readonly kind: 'token'; readonly token: string }

/** null: there is none, or none of these. */
export function httpLogin(header: string | string[] | undefined): HttpLogin | null {
  const text = Array.isArray(header) ? header[0] : header
  const token = /^Bearer +(\S+) *$/i.exec(text ?? '')?.[1]
  if (token !== undefined) return { kind: 'token', token }
  const encoded = /^Basic +([A-Za-z0-9+/=]+) *$/i.exec(text ?? '')?.[1]
  if (encoded === undefined) return null
  const decoded = Buffer.from(encoded, 'base64').toString()
  const colon = decoded.indexOf(':')
  return colon < 0 ? null : { kind: 'password', user: decoded.slice(0, colon), password: decoded.slice(colon + 1) }
}

/** A certificate's login, beside what a header says. */
export type Login = HttpLogin | { readonly kind: 'certificate'; readonly user: string }

/** Where logins are judged. */
export interface Gate<Principal> {
  readonly authenticationRequired: boolean
  readonly anonymous: Principal
  authenticate(login: Login, from: string): Promise<Principal>
}

/** Who sends a request: by its header, else by its certificate, else nobody in particular; null where somebody in particular is wanted. Rejects as the gate does. */
export async function httpCaller<Principal>(
  gate: Gate<Principal>,
  header: string | string[] | undefined,
  { peerName, remoteAddress }: { readonly peerName: string | undefined; readonly remoteAddress: string },
): Promise<Principal | null> {
  const login = httpLogin(header)
  if (login !== null) return await gate.authenticate(login, remoteAddress)
  if (peerName !== undefined) return await gate.authenticate({ kind: 'certificate', user: peerName }, remoteAddress)
  return gate.authenticationRequired ? null : gate.anonymous
}
