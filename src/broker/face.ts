/**
 * The public face of the broker: all that a protocol, the HTTP API or the command line may import of it. Its parts are in face/.
 * Calls are batch-shaped and asynchronous; a `done` or a sink is never called from inside the caller's own call.
 */
export type { CoreErrorCode, RefusedAccess } from '../core/errors.ts'
export { CoreError } from '../core/errors.ts'
export type * from './face/access.ts'
export type * from './face/broker.ts'
export type * from './face/connections.ts'
export * from './face/consuming.ts'
export type * from './face/http.ts'
export * from './face/publishing.ts'
export * from './face/reading.ts'
export type * from './face/space.ts'
export type * from './face/stats.ts'
export * from './face/topics.ts'
