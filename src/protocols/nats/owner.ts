/** Whose streams are, as the broker sees it, and where what its parts share is kept. */
import type { Principal } from '../../broker/face.ts'

/** Topics that are streams. */
export const declaredBy = 'nats'

/** JetStream itself: it acts for whoever asked, and was allowed to ask. */
export const everything: Principal = { user: 'jetstream', may: () => true, mayAll: () => true }

/** What the broker shares of the server around it. */
export const factsKey = 'nats.facts'
