// The transactional side of Produce: whether the records of a transaction may be stored. The rest of the request is in produce.ts.
import type { PublishItem } from '../../../broker/face.ts'
import { KafkaError } from '../errors.ts'
import { mayTopic, mayTransaction } from '../operations.ts'
import type { Request } from '../request.ts'
import type { TopicPartition } from '../transaction.ts'
import type { ProducePart } from './produce.ts'

/** From this version on (KIP-890) a partition joins its producer's transaction by being written to. */
export const joiningVersion = 12

function refuse(part: ProducePart, errorCode: number): void {
  part.errorCode = errorCode
  part.item = null
}

/** Whether the partition holds records of the open transaction of this item's producer: nothing else of that producer may come between. */
export function isInTransaction({ session }: Request, { producerId, address, partition }: PublishItem): boolean {
  const transaction = session.transactions.ofProducer(producerId)
  if (transaction === undefined || !transaction.has(address, partition)) return false
  return session.space.producers(address, partition).some((known) => known.producerId === producerId && known.openSince >= 0)
}

/** Records of transactions: the producer must be the one that has the id now, and the partition part of its open transaction, or become so. */
export function admit(request: Request, transactionalId: string | null, parts: readonly ProducePart[]): void {
  const { session } = request
  const { transactions } = session
  if (transactionalId === null || !mayTransaction(session, 'publish', transactionalId)) {
    for (const part of parts) refuse(part, KafkaError.TransactionalIdAuthorizationFailed)
    return
  }
  const joining = new Map<string, PublishItem[]>()
  for (const part of parts) {
    const { item } = part
    if (item === null || !item.undecided) continue
    // Asked before the partition joins: a marker at the end is a record, too.
    if (!mayTopic(session, 'publish', item.address)) {
      refuse(part, KafkaError.TopicAuthorizationFailed)
      continue
    }
    const by = { producerId: item.producerId, epoch: item.producerEpoch }
    if (request.version < joiningVersion) {
      const errorCode = transactions.verify(transactionalId, by, placeOf(item))
      if (errorCode !== KafkaError.None) refuse(part, refusalCode(errorCode, request.version))
      continue
    }
    // As a rule all are of one producer: its row is written once.
    const key = `${by.producerId}/${by.epoch}`
    const together = joining.get(key)
    if (together === undefined) joining.set(key, [item])
    else together.push(item)
  }
  for (const items of joining.values()) {
    const [first] = items
    if (first === undefined) continue // no list is empty
    const by = { producerId: first.producerId, epoch: first.producerEpoch }
    const errorCode = transactions.add(transactionalId, by, items.map(placeOf))
    if (errorCode === KafkaError.None) continue
    for (const part of parts) {
      if (part.item !== null && items.includes(part.item)) refuse(part, refusalCode(errorCode, request.version))
    }
  }
}

function placeOf({ address, partition }: PublishItem): TopicPartition {
  return { topic: address, partition }
}

/** In a produce answer a fenced producer has an invalid epoch (it can still abort), and old clients know of no abortable error. */
function refusalCode(errorCode: number, version: number): number {
  if (errorCode === KafkaError.ProducerFenced) return KafkaError.InvalidProducerEpoch
  if (errorCode === KafkaError.TransactionAbortable && version < 11) return KafkaError.InvalidTxnState
  return errorCode
}
