// What a request's handler gives back, and how it takes its request.
import type { RequestFields, RequestKey } from '../commands.ts'
import type { Session } from '../session.ts'
import type { Writer } from '../wire.ts'

export interface Answer {
  /** Writes what follows the code. */
  readonly tail?: (writer: Writer) => void
  /** Runs once the answer is written. */
  readonly after?: () => void
  /** An answer that has no code. */
  readonly bare?: boolean
}

/** Throws, or rejects with, a Refusal or a CoreError, which is answered by its code. */
export type Handlers<K extends RequestKey> = {
  readonly [Key in K]: (session: Session, fields: RequestFields<Key>) => Answer | Promise<Answer>
}

export const ok: Answer = {}
