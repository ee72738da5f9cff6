/** What the system's account hears of: users of accounts that come and go. */
import { type Broker, type Connection, PublishItem, type Space } from '../../../broker/face.ts'
import type { AccountUser } from '../accounts/account-user.ts'
import { accountsOf } from '../accounts/accounts.ts'
import { serverFacts } from '../info.ts'
import { payloadFormatId } from '../mapping.ts'
import { everything } from '../owner.ts'

/** null: nobody could hear. */
function systemSpace(broker: Broker): Space | null {
  const accounts = accountsOf(broker)
  const system = accounts?.get(accounts.system)
  return system === undefined ? null : broker.space(everything, system.namespace)
}

export interface Traffic {
  readonly in_msgs: number
  readonly in_bytes: number
  readonly out_msgs: number
  readonly out_bytes: number
}

/** `traffic`: of one that goes; null: it has come. */
export function tellSystem(
  broker: Broker,
  connection: Connection,
  { account, principal }: AccountUser,
  traffic: Traffic | null,
): void {
  const space = systemSpace(broker)
  const id = account.claims.subject
  const subject = `$SYS.ACCOUNT.${id}.${traffic === null ? 'CONNECT' : 'DISCONNECT'}`
  if (space === null || !space.isHeard(subject)) return
  const now = new Date(broker.clock.now()).toISOString()
  const event = {
    type: `io.nats.server.advisory.v1.client_${traffic === null ? 'connect' : 'disconnect'}`,
    id: `${connection.id}.${now}`,
    timestamp: now,
    server: serverFacts(broker),
    client: {
      host: connection.remoteAddress,
      id: connection.id,
      acc: id,
      user: principal.user,
      name: connection.info.clientName,
      name_tag: account.claims.name,
      kind: 'Client',
      client_type: connection.overWebSocket ? 'websocket' : 'nats',
    },
    ...(traffic === null
      ? {}
      : {
          sent: { msgs: traffic.out_msgs, bytes: traffic.out_bytes },
          received: { msgs: traffic.in_msgs, bytes: traffic.in_bytes },
          reason: 'Client Closed',
        }),
  }
  const item = new PublishItem(null, subject, payloadFormatId, Buffer.from(JSON.stringify(event)))
  item.transient = true
  space.publish([item], () => undefined)
}
