/** Whose streams are, as the broker sees it. */
import type { Principal } from '../../broker/face.ts'

/** Topics that are streams. */
export const declaredBy = 'nats'

/** JetStream itself: it acts for whoever asked, and was allowed to ask. */
export const everything: Principal = { user: 'jetstream', may: () => true }
