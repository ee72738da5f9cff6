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
