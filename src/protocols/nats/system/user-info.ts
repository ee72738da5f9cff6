/** `$SYS.REQ.USER.INFO`, which every user may ask. */
import type { Broker, Space } from '../../../broker/face.ts'
import { type AccountUser, describeRights } from '../accounts/account-user.ts'
import { serverFacts } from '../info.ts'

export const userInfoSubject = '$SYS.REQ.USER.INFO'

/** Who asks, as nats-server tells it: users are of accounts, which are namespaces here. */
export function userInfo(broker: Broker, { principal, namespace }: Space, user: AccountUser | null): object {
  return {
    server: serverFacts(broker),
    data: {
      user: principal.user,
      account: user?.account.claims.subject ?? namespace,
      ...(user === null ? {} : { permissions: describeRights(user.said) }),
      ...(principal.expiresAt === undefined ? {} : { expires: (principal.expiresAt - broker.clock.now()) * 1_000_000 }),
    },
  }
}
