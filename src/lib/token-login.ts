/** Logins of protocols that know a user and a password alone, where clients send a signed token as the password. */

export type SecretLogin =
  | { readonly kind: 'password'; readonly user: string; readonly password: string }
  | { readonly kind: 'token'; readonly token: string }

/** RFC 7515 in its compact form: the header is a JSON object, which begins with `{"` whatever it says. */
const signedToken = /^eyJ[\w-]*\.[\w-]+\.[\w-]+$/

/** A secret that looks like a signed token is one where tokens are accepted; who it is of, it says itself. */
export function secretLogin(user: string, secret: string, tokensAccepted: boolean): SecretLogin {
  return tokensAccepted && signedToken.test(secret)
    ? { kind: 'token', token: secret }
    : { kind: 'password', user, password: secret }
}
