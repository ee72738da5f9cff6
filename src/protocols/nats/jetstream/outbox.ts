/** What JetStream itself says: answers, statuses, deliveries, advisories. Published like anything else, but nobody's permission is asked for it. */
import { Buffer } from 'node:buffer'
import { PublishItem, type Space } from '../../../broker/face.ts'
import { deliveryFormatId, encodeDelivery, encodeEnvelope, messageFormatId, payloadFormatId } from '../mapping.ts'
import { timeText } from './times.ts'

const nothing = Buffer.alloc(0)

export interface Outgoing {
  /** The subject that its receiver sees, whatever it listens to. */
  readonly subject: string
  readonly reply: string
  readonly headers: Buffer
  readonly payload: Buffer
}

export class Outbox {
  readonly space: Space
  #lastEvent = 0

  constructor(space: Space) {
    this.space = space
  }

  answer(reply: string, body: string | object): void {
    if (reply === '') return
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    this.#publish(reply, payloadFormatId, Buffer.from(text))
  }

  /** Headers without a payload, or with one; returns whether anybody heard. */
  status(to: string, headers: Buffer, payload: Buffer = nothing, reply = ''): boolean {
    const body = payload.length === 0 ? headers : Buffer.concat([headers, payload])
    return this.#publish(to, messageFormatId, encodeEnvelope(reply, headers.length, body))
  }

  /** A message of a stream; returns whether anybody heard. */
  deliver(to: string, { subject, reply, headers, payload }: Outgoing): boolean {
    return this.#publish(to, deliveryFormatId, encodeDelivery(subject, reply, headers, payload))
  }

  /** An event for whoever watches. */
  advise(subject: string, type: string, fields: object, now: number): void {
    const id = `${now.toString(36)}${(this.#lastEvent++).toString(36)}`.toUpperCase()
    const event = { type: `io.nats.jetstream.${type}`, id, timestamp: timeText(now), ...fields }
    this.#publish(subject, payloadFormatId, Buffer.from(JSON.stringify(event)))
  }

  /** Returns whether anybody heard. */
  #publish(subject: string, format: number, bytes: Buffer): boolean {
    const heardBy = this.space.tell(subject, format, bytes, 0)
    if (heardBy >= 0) return heardBy > 0
    const item = new PublishItem(null, subject, format, bytes)
    item.transient = true
    this.space.publish([item], null)
    return item.heardBy > 0
  }
}
