// Rights that are asked before anything is told of a queue or an exchange, be it that there is none, as RabbitMQ asks them.
import type { Action, Space } from '../../broker/face.ts'
import { AccessRefused, type RefusedAccess } from '../../core/errors.ts'

/** Throws where the user may not bind with this key to a topic exchange. */
export function assertMayUseKey({ principal, namespace }: Space, exchange: string, key: string): void {
  if (principal.mayUseKey?.('consume', namespace, exchange, key) !== false) return
  throw new AccessRefused({ user: principal.user, action: 'consume', kind: 'exchange', name: exchange, key })
}

/** Throws where the user may not. `describe` is what anybody may who may do anything with it. */
export function assertMay(
  { principal, namespace }: Space,
  action: Action,
  name: string,
  kind: RefusedAccess['kind'] = 'topic',
): void {
  if (principal.may(action, namespace, name)) return
  // Who may create in the whole cluster may create here.
  if (action === 'create' && principal.may(action, namespace, '', 'cluster')) return
  throw new AccessRefused({ user: principal.user, action, kind, name })
}
