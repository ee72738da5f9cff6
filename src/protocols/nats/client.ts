/** Who speaks on a connection, and what the parts of its session share (session.ts). */
import type { Broker, Connection, Space } from '../../broker/face.ts'
import { type AccountUser, actingFor } from './accounts/account-user.ts'
import { NatsError, words } from './errors.ts'
import type { JetStream } from './jetstream/jetstream.ts'
import { jetStreamOf } from './jetstream/of.ts'
import type { Login, Options } from './login.ts'
import type { Publisher } from './publisher.ts'
import type { Subscriptions } from './subscriptions.ts'

export interface Identity {
  readonly space: Space
  /** In whose name JetStream does what the user may ask for. */
  readonly asking: Space
  /** Of an account; null for the broker's own users. */
  readonly user: AccountUser | null
  /** null: the account has none. */
  readonly jetStream: JetStream | null
}

export interface Client {
  readonly broker: Broker
  readonly connection: Pick<Connection, 'id'>
  /** null until who it is is known. */
  readonly identity: Identity | null
  readonly options: Options
  readonly publisher: Publisher
  readonly subscriptions: Pick<Subscriptions, 'tellNobody' | 'nobodyLine'>
  /** Told of reply subjects that it is sent, where it may answer only those. */
  readonly onReply: ((reply: string) => void) | null
  /** Nothing once the connection has ended. */
  write(line: Buffer): void
}

/** `connected` counts as a connection of its account until it is taken out there. Throws {@link NatsError} where the account has all it may have. */
export function identityOf(broker: Broker, { principal, user }: Login, connected: object): Identity {
  const options = { protocol: 'nats' }
  if (user === null) {
    const space = broker.space(principal, 'default', options)
    return { space, asking: space, user, jetStream: jetStreamOf(broker, 'default') }
  }
  const { namespace, limits, connected: all, streamLimits } = user.account
  if (limits.connections >= 0 && all.size >= limits.connections) throw new NatsError(words.accountConnections)
  all.add(connected)
  return {
    space: broker.space(principal, namespace, options),
    asking: broker.space(actingFor(user), namespace, options),
    user,
    jetStream: streamLimits !== null ? jetStreamOf(broker, namespace) : null,
  }
}

export const errorLine = (text: string): Buffer => Buffer.from(`-ERR '${text}'\r\n`)
