/** AUTH's secret: `user:password`, or a token where these are accepted. A certificate's name counts where nobody has said a secret. */
import { type Broker, type Connection, CoreError, type Credential, type Principal } from '../../broker/face.ts'
import { loginOfSecret } from '../../lib/login-secret.ts'

/** Rejects with Unauthenticated, or Full where a quota is reached. */
export async function logIn(broker: Broker, connection: Connection, secret: string): Promise<Principal> {
  return admitted(broker, connection, await broker.authenticate(credentialOf(broker, secret), connection.remoteAddress))
}

export async function logInByCertificate(broker: Broker, connection: Connection, user: string): Promise<Principal> {
  return admitted(broker, connection, await broker.authenticate({ kind: 'certificate', user }, connection.remoteAddress))
}

function credentialOf(broker: Broker, secret: string): Credential {
  const login = loginOfSecret(secret)
  if (login.kind === 'password' || broker.tokensAccepted) return login
  throw new CoreError('Unauthenticated', 'a secret is user:password')
}

/** Throws Full. */
export function admitted(broker: Broker, connection: Connection, principal: Principal): Principal {
  connection.info = { ...connection.info, user: principal.user }
  broker.admit(connection)
  return principal
}
