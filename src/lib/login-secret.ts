/** A login in one word, where a protocol has no more: `user:password`, or a token. */
import type { HttpLogin } from './http-login.ts'

export function loginOfSecret(secret: string): HttpLogin {
  const colon = secret.indexOf(':')
  if (colon < 0) return { kind: 'token', token: secret }
  return { kind: 'password', user: secret.slice(0, colon), password: secret.slice(colon + 1) }
}
