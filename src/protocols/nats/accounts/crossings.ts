/**
 * What goes from one account to another: of a stream what its exporter's subject is published to, of a service the importer's requests, and their answers
 * back. A crossing listens in the one account and publishes in the other as a client would, so that streams store and answer there, too.
 */
import { randomBytes } from 'node:crypto'
import type { Broker, Listener, LiveBatch, Space } from '../../../broker/face.ts'
import { formats } from '../../../core/record.ts'
import { type Renaming, renamed } from '../../../lib/renaming.ts'
import type { Client, Identity } from '../client.ts'
import { statusBlock, withHeaders, withoutHeaders } from '../jetstream/headers.ts'
import { jetStreamOf } from '../jetstream/of.ts'
import { defaults } from '../login.ts'
import { deliveryFormatId, locate, locateDelivery, messageFormat, messageFormatId, payloadFormatId } from '../mapping.ts'
import { everything } from '../owner.ts'
import { Publisher } from '../publisher.ts'
import { patternOf } from '../subjects.ts'
import type { Account } from './account.ts'
import { accountsOf } from './accounts.ts'
import { type Import, localPattern, mappingOf } from './exports.ts'

/** Requests of a service whose answers are waited for. */
const waitingMax = 65_536
/** By it a service knows who asks. */
const infoHeader = 'Nats-Request-Info'

/** Throws where the broker has no namespace for an account yet. */
export function openCrossings(broker: Broker, accounts: readonly Account[]): void {
  for (const account of accounts)
    for (const each of account.imports) {
      if (each.kind === 'stream') new StreamCrossing(broker, account, each)
      else new ServiceCrossing(broker, account, each)
    }
}

const spaceOf = (broker: Broker, { namespace }: Account): Space => broker.space(everything, namespace, { protocol: 'nats' })

/** What a message is, whoever published it. */
interface Message {
  readonly reply: string
  readonly headerBytes: number
  /** Headers and payload. */
  readonly payload: Buffer
}

function messageOf(format: number, bytes: Buffer): Message {
  if (format === payloadFormatId) return { reply: '', headerBytes: 0, payload: bytes }
  const places = { replyAt: 0, headersAt: 0, payloadAt: 0 }
  const isOwn = format === messageFormatId || format === deliveryFormatId
  const envelope = isOwn ? bytes : messageFormat.fromAttributes(formats.get(format).toAttributes(bytes))
  if (format === deliveryFormatId) locateDelivery(envelope, places)
  else locate(envelope, places)
  const { replyAt, headersAt, payloadAt } = places
  return {
    reply: envelope.toString('utf8', replyAt, headersAt),
    headerBytes: payloadAt - headersAt,
    payload: envelope.subarray(headersAt),
  }
}

/** Publishes in an account as a client of it does. */
class Insider implements Client {
  readonly broker: Broker
  readonly connection = { id: 0 }
  readonly identity: Identity
  readonly options = { ...defaults, noResponders: true }
  readonly publisher: Publisher
  readonly subscriptions: Client['subscriptions']
  readonly onReply = null
  readonly #isSystem: boolean

  /** `tellNobody` is called for a request that nobody hears. */
  constructor(broker: Broker, account: Account, tellNobody: (reply: string) => void) {
    const space = spaceOf(broker, account)
    const jetStream = account.streamLimits !== null ? jetStreamOf(broker, account.namespace) : null
    this.#isSystem = accountsOf(broker)?.system === account.claims.subject
    this.broker = broker
    this.identity = { space, asking: space, user: null, jetStream }
    this.subscriptions = {
      tellNobody: (_, reply) => tellNobody(reply),
      nobodyLine: (_, reply) => {
        tellNobody(reply)
        return null
      },
    }
    this.publisher = new Publisher(this)
  }

  publish(subject: string, { reply, headerBytes, payload }: Message): void {
    // Nobody is let in to what administers the server by an account that does not.
    if (subject.startsWith('$SYS.') && !this.#isSystem) return this.subscriptions.tellNobody(subject, reply)
    this.publisher.publish({ subject, reply, headerBytes, payload }, this.identity)
  }

  /** What is refused to it is refused for all: there is nobody to tell. */
  write(): void {}
}

/** Ends with the activation that it was let in by. */
function hears(broker: Broker, { exported, until, local }: Import, listener: Listener): boolean {
  if (broker.clock.now() < until) return true
  broker.log.warn({ subject: exported.subject, local }, 'an import has ended with its activation token')
  listener.close()
  return false
}

function mapping({ kind, subject, local }: Import): Renaming {
  const found = mappingOf(kind, subject, local)
  if (found === null) throw new RangeError(`"${subject}" and "${local}" were checked`)
  return found
}

class StreamCrossing {
  constructor(broker: Broker, importer: Account, each: Import) {
    const to = mapping(each)
    const insider = new Insider(broker, importer, () => undefined)
    spaceOf(broker, each.from).listen(
      { pattern: patternOf(each.subject) },
      {
        onRecords: (listener, batch) => {
          if (!hears(broker, each, listener)) return
          for (const [subject, message] of messagesOf(batch)) insider.publish(renamed(to, subject), message)
          insider.publisher.flush()
        },
      },
    )
  }
}

function* messagesOf(batch: LiveBatch): Generator<[string, Message]> {
  for (let at = 0; at < batch.length; at++)
    yield [batch.subject[at] as string, messageOf(batch.format[at] as number, batch.bytes[at] as Buffer)] // at < length
}

interface Waiting {
  readonly reply: string
  /** What its importer asked. */
  readonly subject: string
  until: number
}

class ServiceCrossing {
  readonly #broker: Broker
  readonly #exported: Import['exported']
  /** Answers to requests come in on it and a number. */
  readonly #inbox = `_R_.${randomBytes(9).toString('base64url')}`
  /** By number, who waits longest first. */
  readonly #waiting = new Map<string, Waiting>()
  #requests = 0
  readonly #asking: Insider
  readonly #answering: Insider

  constructor(broker: Broker, importer: Account, each: Import) {
    this.#broker = broker
    this.#exported = each.exported
    const to = mapping(each)
    const info = JSON.stringify({ acc: importer.claims.subject })
    this.#asking = new Insider(broker, each.from, (reply) => this.#nobody(reply))
    this.#answering = new Insider(broker, importer, () => undefined)
    spaceOf(broker, importer).listen(
      { pattern: patternOf(localPattern(each.local)) },
      {
        onRecords: (listener, batch) => {
          if (!hears(broker, each, listener)) return
          for (const [subject, message] of messagesOf(batch)) {
            const asked = renamed(to, subject)
            // As what the exporter's own users ask.
            const { mapping: further } = each.from
            this.#ask(subject, further === null ? asked : further(asked), withInfo(message, info))
          }
          this.#asking.publisher.flush()
        },
      },
    )
    spaceOf(broker, each.from).listen(
      { pattern: `${this.#inbox}.*` },
      {
        onRecords: (_, batch) => {
          for (const [subject, message] of messagesOf(batch)) this.#answer(subject, message)
          this.#answering.publisher.flush()
        },
      },
    )
  }

  /** `to`: null, nobody hears it. */
  #ask(subject: string, to: string | null, message: Message): void {
    if (to === null) {
      if (message.reply !== '') this.#tellNobody({ reply: message.reply, subject })
      return
    }
    if (message.reply === '') return this.#asking.publish(to, message)
    const now = this.#broker.clock.now()
    for (const [number, { until }] of this.#waiting) {
      if (until > now && this.#waiting.size < waitingMax) break
      this.#waiting.delete(number)
    }
    const number = String(++this.#requests)
    this.#waiting.set(number, { reply: message.reply, subject, until: now + this.#exported.responseMs })
    this.#asking.publish(to, { ...message, reply: `${this.#inbox}.${number}` })
  }

  #answer(to: string, message: Message): void {
    const number = to.slice(this.#inbox.length + 1)
    const found = this.#waiting.get(number)
    if (found === undefined) return
    this.#waiting.delete(number)
    this.#answering.publish(found.reply, message)
    const { responses, responseMs } = this.#exported
    // Of an answer in pieces the last is empty.
    if (responses === 'Singleton' || (responses === 'Chunked' && message.payload.length === message.headerBytes)) return
    found.until = this.#broker.clock.now() + responseMs
    this.#waiting.set(number, found)
  }

  /** As whoever asked would hear it in its own account. */
  #nobody(to: string): void {
    const number = to.slice(this.#inbox.length + 1)
    const found = this.#waiting.get(number)
    if (found === undefined) return
    this.#waiting.delete(number)
    this.#tellNobody(found)
  }

  #tellNobody({ reply, subject }: Pick<Waiting, 'reply' | 'subject'>): void {
    const block = statusBlock('503', [['Nats-Subject', subject]])
    this.#answering.publish(reply, { reply: '', headerBytes: block.length, payload: block })
    this.#answering.publisher.flush()
  }
}

function withInfo({ reply, headerBytes, payload }: Message, info: string): Message {
  const said = payload.toString('latin1', 0, headerBytes)
  // Nobody says it in place of the broker.
  const own = said.includes(infoHeader)
    ? Buffer.from(withoutHeaders(said, [`${infoHeader}:`]), 'latin1')
    : payload.subarray(0, headerBytes)
  const block = withHeaders(own, [[infoHeader, info]])
  return { reply, headerBytes: block.length, payload: Buffer.concat([block, payload.subarray(headerBytes)]) }
}
