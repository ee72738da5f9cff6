/** Requests on `$SYS.REQ.USER.>`, which every user may ask; what is for operators of nats-server alone is nobody's here. */
import type { Broker, Space } from '../../../broker/face.ts'
import { type AccountUser, describeRights } from '../accounts/account-user.ts'
import { serverId, serverName, serverVersion } from '../info.ts'
import { timeText } from './times.ts'

export const userInfoSubject = '$SYS.REQ.USER.INFO'

/** Who asks, as nats-server tells it: users are of accounts, which are namespaces here. */
export function userInfo(broker: Broker, { principal, namespace }: Space, user: AccountUser | null): object {
  return {
    server: {
      name: serverName,
      host: '',
      id: serverId(broker),
      ver: serverVersion,
      jetstream: true,
      time: timeText(broker.clock.now()),
    },
    data: {
      user: principal.user,
      account: user?.account.claims.subject ?? namespace,
      ...(user === null ? {} : { permissions: describeRights(user.said) }),
      ...(principal.expiresAt === undefined ? {} : { expires: (principal.expiresAt - broker.clock.now()) * 1_000_000 }),
    },
  }
}
