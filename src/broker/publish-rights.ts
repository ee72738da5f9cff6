/** Who may publish where. */
import { AccessRefused, CoreError } from '../core/errors.ts'
import type { Principal, PublishItem } from './face.ts'
import type { Namespace } from './namespace.ts'

/** By this name permissions may allow all of the default exchange, whose own name is empty. */
const defaultExchangeAlias = 'amq.default'

/** Whether a principal may publish to an exchange, or with the default one to a topic. */
export function mayPublish(principal: Principal, namespace: string, exchange: string, address: string): boolean {
  if (exchange !== '') return principal.may('publish', namespace, exchange)
  // The default exchange may be allowed as a whole, but not past a rule about the topic.
  if (principal.denies?.('publish', namespace, address) === true) return false
  return principal.may('publish', namespace, address) || principal.may('publish', namespace, defaultExchangeAlias)
}

/** Throws AccessRefused, naming what is missing. */
export function checkPublish(namespace: Namespace, principal: Principal, item: PublishItem): void {
  const { exchange, address, extraAddresses, into } = item
  checkRepetition(item)
  if (into !== null) {
    if (item.deliverAt > 0 || item.repetition !== null)
      throw new CoreError('Invalid', 'what goes into one topic alone cannot be scheduled')
    if (!principal.may('publish', namespace.name, into)) refuse(principal, null, into)
    return
  }
  const allowed =
    exchange === null
      ? principal.may('publish', namespace.name, address)
      : mayPublish(principal, namespace.name, exchange, address)
  if (!allowed) refuse(principal, exchange, address)
  if (exchange !== null && exchange !== '') {
    checkKey(namespace, principal, exchange, address)
    for (const key of extraAddresses ?? []) checkKey(namespace, principal, exchange, key)
  } else {
    for (const name of extraAddresses ?? []) {
      if (!mayPublish(principal, namespace.name, '', name)) refuse(principal, exchange, name)
    }
  }
}

function checkRepetition({ repetition, dedupId }: PublishItem): void {
  if (repetition === null) return
  const { everyMs, times, pattern } = repetition
  const ends = pattern === undefined || (times >= 0 && pattern.times >= 0)
  if (!(everyMs >= 1) || !ends || dedupId !== null)
    throw new CoreError(
      'Invalid',
      'a record that is published again needs a time between, has no id to be stored once by, and follows a time pattern so many times',
    )
}

function refuse({ user }: Principal, exchange: string | null, address: string): never {
  if (exchange === null) throw new AccessRefused({ user, action: 'publish', kind: 'topic', name: address })
  throw new AccessRefused({ user, action: 'publish', kind: 'exchange', name: exchange || defaultExchangeAlias })
}

function checkKey(namespace: Namespace, principal: Principal, exchange: string, key: string): void {
  if (principal.mayUseKey === undefined || principal.mayUseKey('publish', namespace.name, exchange, key)) return
  if (namespace.router.exchange(exchange)?.kind === 'topic')
    throw new AccessRefused({ user: principal.user, action: 'publish', kind: 'exchange', name: exchange, key })
}
