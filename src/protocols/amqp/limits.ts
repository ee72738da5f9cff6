// How many channels a user may have open over all his connections: counted here, kept with the broker's quotas.
import type { Broker } from '../../broker/face.ts'
import { AmqpError } from './errors.ts'
import type { Session } from './session.ts'

/** The limit's name among what quotas leave to protocols, and in the management API. */
export const channelLimit = 'max-channels'

/** Those that are open; at most as many as there are connections. */
export const sessionsOf = (broker: Broker): Set<Session> => broker.shared('amqp sessions', () => new Set<Session>())

/** Throws when the user of this session has all the channels he may have. */
export function checkChannelLimit({ broker, userName }: Session): void {
  const max = broker.quotas.of('user', userName)?.others?.[channelLimit]
  if (max === undefined) return
  let open = 0
  for (const session of sessionsOf(broker)) if (session.userName === userName) open += session.channels.size
  if (max <= open)
    throw new AmqpError(
      'NOT_ALLOWED',
      `number of channels opened for user '${userName}' has reached the maximum allowed user limit of (${max})`,
    )
}
