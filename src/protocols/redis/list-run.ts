/** Runs what a command does with a list. Nearly always at once; where records must be read from the disk first, the reply comes later and other commands on the list wait. */

import type { Reply } from '../../lib/resp/reply.ts'
import type { Call, Deferred } from './command.ts'
import { errorText } from './errors.ts'
import type { Missing, Steps } from './list.ts'

/** What commands use one after the other. */
export interface Busy {
  /** Commands that wait for one that reads from the disk; null: none does. */
  busy: (() => void)[] | null
}

/** `reply` is given the outcome; it may change more, at once. */
export function perform<Result>(
  call: Pick<Call, 'reply' | 'defer'>,
  held: Busy,
  begin: () => Steps<Result>,
  reply: (reply: Reply, result: Result) => void,
): void {
  if (held.busy !== null) {
    const deferred = call.defer()
    held.busy.push(() => goOn(deferred, held, begin(), reply))
    return
  }
  const steps = begin()
  const step = steps.next()
  if (step.done === true) return reply(call.reply, step.value)
  held.busy = []
  load(call.defer(), held, steps, step.value, reply)
}

function load<Result>(
  deferred: Deferred,
  held: Busy,
  steps: Steps<Result>,
  missing: Missing,
  reply: (reply: Reply, result: Result) => void,
): void {
  missing.records.load(missing.place, (error) => {
    if (error === null) goOn(deferred, held, steps, reply)
    else {
      deferred.reply.error(errorText(error))
      end(deferred, held)
    }
  })
}

function goOn<Result>(deferred: Deferred, held: Busy, steps: Steps<Result>, reply: (reply: Reply, result: Result) => void): void {
  try {
    const step = steps.next()
    if (step.done !== true) return load(deferred, held, steps, step.value, reply)
    reply(deferred.reply, step.value)
  } catch (cause) {
    deferred.reply.error(errorText(cause))
  }
  end(deferred, held)
}

function end(deferred: Deferred, held: Busy): void {
  const next = held.busy?.shift()
  if (next === undefined) held.busy = null
  deferred.done()
  next?.()
}
