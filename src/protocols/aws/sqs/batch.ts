/** Requests of several entries: the rules for all of them, and answers that tell of each. */
import { type AwsError, errorOf, sqsError } from '../errors.ts'
import type { Input } from '../input.ts'

const entriesMax = 10

/** Throws what is wrong with the request as a whole. */
export function batchEntries(entries: readonly Input[], action: string): { readonly id: string; readonly entry: Input }[] {
  if (entries.length === 0)
    throw sqsError('EmptyBatchRequest', `There should be at least one ${action}RequestEntry in the request.`)
  if (entries.length > entriesMax)
    throw sqsError(
      'TooManyEntriesInBatchRequest',
      `Maximum number of entries per request are ${entriesMax}. You have sent ${entries.length}.`,
    )
  const seen = new Set<string>()
  return entries.map((entry) => {
    const id = entry.text('Id')
    if (!/^[A-Za-z0-9_-]{1,80}$/.test(id))
      throw sqsError(
        'InvalidBatchEntryId',
        'A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.',
      )
    if (seen.has(id)) throw sqsError('BatchEntryIdsNotDistinct', `Id ${id} repeated.`)
    seen.add(id)
    return { id, entry }
  })
}

export interface Failed {
  readonly Id: string
  readonly SenderFault: boolean
  readonly Code: string
  readonly Message: string
}

export const failed = (id: string, error: AwsError): Failed => ({
  Id: id,
  SenderFault: error.senderFault,
  Code: error.code,
  Message: error.message,
})

/** Both lists, in the order of the request. */
export async function eachEntry<Done extends object>(
  entries: readonly { readonly id: string; readonly entry: Input }[],
  act: (entry: Input) => Promise<Done> | Done,
): Promise<{ Successful: (Done & { Id: string })[]; Failed: Failed[] }> {
  const answer = { Successful: [] as (Done & { Id: string })[], Failed: [] as Failed[] }
  const outcomes = await Promise.allSettled(entries.map(async ({ entry }) => act(entry)))
  for (const [index, { id }] of entries.entries()) {
    const outcome = outcomes[index] as PromiseSettledResult<Done> // one for each
    if (outcome.status === 'fulfilled') answer.Successful.push({ Id: id, ...outcome.value })
    else {
      const error = errorOf('sqs', outcome.reason)
      if (error === null) throw outcome.reason
      answer.Failed.push(failed(id, error))
    }
  }
  return answer
}
