/** Redis on port 6379: session.ts is what a connection does, executor.ts runs commands, commands/ has them. */
import type { Broker, Protocol } from '../../broker/face.ts'
import { elementFormat, placedFormat } from './list-envelope.ts'
import { payloadFormat } from './mapping.ts'
import type { Session } from './session.ts'
import { entryFormat } from './stream-envelope.ts'

/** Of one broker: what its clients need is loaded and read back with the first of them, or at the start when there is something to read back. */
class Beginning {
  session: typeof Session | null = null
  readonly done: Promise<typeof Session>

  constructor(broker: Broker) {
    this.done = this.#begin(broker)
  }

  async #begin(broker: Broker): Promise<typeof Session> {
    const { begin } = await import('./begin.ts')
    this.session = await begin(broker)
    return this.session
  }
}

const beginningOf = (broker: Broker): Beginning => broker.shared('redis.beginning', () => new Beginning(broker))
const journals = ['redis.keys', 'redis.streams']

export const protocol: Protocol = {
  name: 'redis',
  listeners: [{ name: 'redis', port: 6379 }],
  formats: [elementFormat, placedFormat, entryFormat, payloadFormat],
  start: async (broker) => {
    broker.users.keepOperations('redis', async (words) => {
      const { checkOperations } = await import('./operations.ts')
      checkOperations(words)
    })
    if (journals.some((name) => broker.journal(name).next > 0)) await beginningOf(broker).done
  },
  open: (connection, broker) => {
    const { session, done } = beginningOf(broker)
    return session === null ? done.then((Loaded) => new Loaded(connection, broker)) : new session(connection, broker)
  },
}
