/**
 * What a client publishes. All of one chunk goes to the broker in one batch, and every answer (+OK, PONG, -ERR) waits until what came before it has been
 * handed on, so that a PONG says so much. Publishes go on to broker/publisher.ts, those that streams decide about through jetstream/publishing.ts.
 */
import { PublishItem, PublishStatus, type Space } from '../../broker/face.ts'
import type { Mapping } from './accounts/mappings.ts'
import { type Client, errorLine, type Identity } from './client.ts'
import { NatsError, publishRefusal, words } from './errors.ts'
import type { ApiError } from './jetstream/errors.ts'
import { isPart } from './jetstream/fast-batches.ts'
import { headerOf } from './jetstream/headers.ts'
import type { JetStream } from './jetstream/jetstream.ts'
import { acknowledgement, prepare } from './jetstream/publishing.ts'
import type { Stream } from './jetstream/stream.ts'
import { encodeEnvelope, messageFormatId, payloadFormatId } from './mapping.ts'
import { onRequest } from './requests.ts'
import { isLiteral } from './subjects.ts'

const ok = Buffer.from('+OK\r\n')

/** A PUB or HPUB, as the decoder has it: good for this turn. */
export interface Publish {
  readonly subject: string
  /** '' when there is none. */
  readonly reply: string
  /** Of the payload, how many bytes are headers. */
  readonly headerBytes: number
  readonly payload: Buffer
}

/** What is to be done with the outcome of a publish. */
interface Outcome {
  readonly reply: string
  /** The stream that decides, and what it refused from the beginning. */
  readonly stream: Stream | undefined
  readonly refused: ApiError | null
  readonly messageId: string
}

export class Publisher {
  readonly #client: Client
  /** Published in this chunk and not yet given to the broker. */
  #items: PublishItem[] = []
  #outcomes: Outcome[] = []
  /** Batches that the broker has not answered yet, and what is to be said when it has. */
  #publishing = 0
  #answers: Buffer[] = []
  #handing = false

  constructor(client: Client) {
    this.#client = client
  }

  /** Throws {@link NatsError} for what ends the connection. */
  publish(given: Publish, identity: Identity): void {
    const { user, jetStream } = identity
    const mapping = user === null ? null : user.account.mapping
    const publish = mapping === null ? given : mapped(given, mapping)
    if (publish === null) return this.#lose(given)
    const { subject, reply, headerBytes, payload } = publish
    if (user !== null && user.payloadBytesMax >= 0 && payload.length > user.payloadBytesMax) throw new NatsError(words.payload)
    if (this.#client.options.pedantic && !isLiteral(subject)) return this.complain(words.publishSubject)
    if (subject.startsWith('$') && onRequest(this.#client, identity, publish)) return this.done()
    const stream = jetStream?.streamOf(subject)
    // Where a stream's answer goes is nothing that the stream keeps; who listens is told.
    const kept = stream === undefined || stream.config.no_ack || identity.space.isHeard(subject) ? reply : ''
    const plain = kept === '' && headerBytes === 0
    const envelope = plain ? payload : encodeEnvelope(kept, headerBytes, payload)
    const format = plain ? payloadFormatId : messageFormatId
    if (stream === undefined && this.#tell(identity, subject, reply, format, envelope)) return this.done()
    const item = new PublishItem(null, subject, format, envelope)
    item.transient = true
    item.connection = this.#client.connection.id
    // The name of a stream is no subject of it, unless it captures that, too.
    if (stream === undefined && jetStream?.hasStream(subject) === true) item.exchange = 'amq.topic'
    if (stream !== undefined && jetStream !== null && this.#takenSpecially(publish, stream, item, identity.space, jetStream))
      return this.done()
    const nothing = { reply, stream: undefined, refused: null, messageId: '' }
    const outcome = stream === undefined ? nothing : this.#prepare(publish, stream, item)
    this.#outcomes.push(outcome)
    this.#items.push(item)
    // How often a reply may be sent is counted when it was.
    if (this.#client.onReply !== null) {
      this.flush()
      user?.permissions.published(subject)
    }
    this.done()
  }

  #lose({ subject, reply }: Publish): void {
    this.flush()
    if (reply !== '') this.#client.subscriptions.tellNobody(subject, reply)
    this.done()
  }

  /** The short way of what nothing stores; false, where it is to be published. */
  #tell({ space, user }: Identity, subject: string, reply: string, format: number, envelope: Buffer): boolean {
    // In the order of the operations.
    this.flush()
    const heardBy = space.tell(subject, format, envelope, this.#client.connection.id)
    if (heardBy < 0) return false
    if (this.#client.onReply !== null) user?.permissions.published(subject)
    if (heardBy > 0) this.#handOn()
    else if (reply !== '') {
      const line = this.#client.subscriptions.nobodyLine(subject, reply)
      if (line !== null) this.answer(line)
    }
    return true
  }

  /** What was told is handed on at the end of the turn. */
  #handOn(): void {
    if (this.#handing) return
    this.#handing = true
    this.#publishing++
    queueMicrotask(this.#handedOn)
  }

  readonly #handedOn = (): void => {
    this.#handing = false
    this.#publishing--
    if (this.#publishing === 0) this.sayAnswers()
  }

  /** Parts of batches, what is counted, and schedules. */
  #takenSpecially(publish: Publish, stream: Stream, item: PublishItem, space: Space, jetStream: JetStream): boolean {
    const { reply, headerBytes, payload } = publish
    const isFast = isPart(reply)
    if (headerBytes === 0 && !stream.config.allow_msg_counter && !isFast) return false
    const headers = headersOf(publish)
    const special = isFast || headers.includes('Nats-Batch-Id:') || headers.includes('Nats-Schedule')
    if (!special && !stream.config.allow_msg_counter) return false
    // What is forbidden is refused as any other publish is.
    if (!space.principal.may('publish', space.namespace, item.address)) return false
    // In the order of the operations.
    this.flush()
    item.transient = false
    return jetStream.takes({ stream, space, item, headers, reply, bodyBytes: payload.length })
  }

  /** A publish that a stream stores, and answers. */
  #prepare(publish: Publish, stream: Stream, item: PublishItem): Outcome {
    const { reply, headerBytes, payload } = publish
    const headers = headersOf(publish)
    // Preconditions are about what was published before, too.
    if (headerBytes > 0) this.flush()
    const refused = prepare(stream, item, headers, payload.length)
    // Who does not wait for an answer does not wait for the disk either.
    item.transient = reply === '' || stream.config.no_ack || stream.config.persist_mode === 'async'
    return { reply, stream, refused, messageId: headerBytes === 0 ? '' : (headerOf(headers, 'Nats-Msg-Id') ?? '') }
  }

  /** Gives the broker what was collected. */
  flush(): void {
    const items = this.#items
    const { identity } = this.#client
    if (items.length === 0 || identity === null) return
    const outcomes = this.#outcomes
    this.#items = []
    this.#outcomes = []
    this.#publishing++
    const wanted = outcomes.every(({ refused }) => refused === null)
      ? items
      : items.filter((_, i) => outcomes[i]?.refused === null)
    identity.space.publish(wanted, () => {
      this.#publishing--
      for (let i = 0; i < items.length; i++) this.#published(identity, items[i] as PublishItem, outcomes[i] as Outcome) // i < length
      if (this.#publishing === 0) this.sayAnswers()
    })
  }

  #published({ space, jetStream }: Identity, item: PublishItem, outcome: Outcome): void {
    const { reply, stream, refused } = outcome
    if (stream !== undefined) {
      if (item.status === PublishStatus.Stored) jetStream?.published(stream, item, outcome.messageId)
      if (item.errorCode !== 'AccessDenied') {
        if (reply !== '' && !stream.config.no_ack) jetStream?.outbox.answer(reply, acknowledgement(stream, item, space, refused))
        return
      }
    }
    const nobody = item.errorCode === 'NotFound' || item.status === PublishStatus.Unrouted
    if (nobody) {
      if (reply !== '') this.#client.subscriptions.tellNobody(item.address, reply)
      return
    }
    if (item.status !== PublishStatus.Failed || item.errorCode === null) return
    this.#client.write(errorLine(publishRefusal(item.errorCode, item.address, item.errorMessage)))
  }

  // ------------------------------------------------------------------------------------------------------------------ answers

  /** What a verbose client hears of each operation. */
  done(): void {
    if (this.#client.options.verbose) this.answer(ok)
  }

  /** An error that does not end the connection. */
  complain(text: string): void {
    this.answer(errorLine(text))
  }

  /** Says it once everything published before has been handed on. */
  answer(line: Buffer): void {
    this.flush()
    if (this.#publishing > 0) this.#answers.push(line)
    else this.#client.write(line)
  }

  /** All that wait, whether their time has come or not. */
  sayAnswers(): void {
    const answers = this.#answers
    if (answers.length === 0) return
    this.#answers = []
    for (const answer of answers) this.#client.write(answer)
  }
}

/** null: it is lost. */
function mapped(publish: Publish, mapping: Mapping): Publish | null {
  const subject = mapping(publish.subject)
  return subject === null ? null : { ...publish, subject }
}

export function headersOf({ headerBytes, payload }: Publish): string {
  return headerBytes === 0 ? '' : payload.toString('latin1', 0, headerBytes)
}
