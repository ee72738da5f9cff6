/** A request to the JetStream API, and what answers it. */
import { CoreError, type Space } from '../../../broker/face.ts'
import type { JetStream } from './jetstream.ts'

/** One request. */
export interface Call {
  readonly jetStream: JetStream
  /** Of whoever asks: what it does to topics, this user must be allowed to. */
  readonly space: Space
  /** The words of the subject behind those that named the handler. */
  readonly words: readonly string[]
  readonly body: string
  readonly reply: string
}

export interface Handler {
  /** What the answer calls itself: `io.nats.jetstream.api.v1.<type>_response`. */
  readonly type: string
  /** How many words follow in the subject; `more`: or more of them. */
  readonly words: number
  readonly more?: boolean
  /** Fields that stand beside an error, too. */
  readonly empty?: object
  /** Resolves to the fields of the answer. */
  run(call: Call): Promise<object>
}

/** Throws when the user may not. `name`: of a stream, or a subject. */
export function allow({ space }: Call, action: 'consume' | 'manage' | 'publish', name: string): void {
  if (space.principal.may(action, space.namespace, name)) return
  throw new CoreError('AccessDenied', `${space.principal.user} may not ${action} "${name}"`)
}
