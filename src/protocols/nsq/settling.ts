/** RDY, FIN, REQ and TOUCH: what a consumer says of its messages. Each throws {@link NsqError} for what it may not. */
import { isId, type Place, parseNumber, placeOfId } from './codec.ts'
import { NsqError } from './errors.ts'
import { limits } from './limits.ts'
import type { Subscription } from './subscription.ts'

type Words = readonly string[]

export const settling: Readonly<Record<'RDY' | 'FIN' | 'REQ' | 'TOUCH', (subscription: Subscription, given: Words) => void>> = {
  RDY: (subscription, [, count = '1']) => {
    const rdy = parseNumber(count)
    if (rdy === undefined) throw new NsqError('E_INVALID', `RDY could not parse count ${count}`)
    if (rdy < 0 || rdy > limits.rdyMax) throw new NsqError('E_INVALID', `RDY count ${rdy} out of range 0-${limits.rdyMax}`)
    subscription.rdy = rdy
  },
  FIN: (subscription, given) => {
    const [id, place] = messageOf('FIN', subscription, given, 1)
    if (!subscription.finish(place)) throw notInFlight('FIN', subscription, id, place)
  },
  REQ: (subscription, given) => {
    const [id, place] = messageOf('REQ', subscription, given, 2)
    const delayMs = parseNumber(given[2] ?? '')
    if (delayMs === undefined) throw new NsqError('E_INVALID', `REQ could not parse timeout ${given[2]}`)
    const clamped = Math.max(0, Math.min(delayMs, limits.requeueDelayMaxMs))
    if (!subscription.requeue(place, clamped)) throw notInFlight('REQ', subscription, id, place)
  },
  TOUCH: (subscription, given) => {
    const [id, place] = messageOf('TOUCH', subscription, given, 1)
    if (!subscription.touch(place)) throw notInFlight('TOUCH', subscription, id, place)
  },
}

function messageOf(command: string, subscription: Subscription, given: Words, parameters: number): [id: string, place: Place] {
  if (given.length < parameters + 1) throw new NsqError('E_INVALID', `${command} insufficient number of params`)
  const id = given[1] ?? ''
  if (!isId(id)) throw new NsqError('E_INVALID', 'invalid message ID')
  return [id, placeOfId(id, subscription.tag)]
}

/** The connection goes on. */
function notInFlight(command: string, subscription: Subscription, id: string, place: Place): NsqError {
  return new NsqError(`E_${command}_FAILED`, `${command} ${id} failed ${subscription.whyNot(place)}`, false)
}
