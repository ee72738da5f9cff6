/**
 * Streams that hold what others hold: a mirror is another stream over again, with its sequences; sources are streams from which messages are added.
 * How far one is stands beside what was copied, in the same step, so that a restart neither loses nor repeats anything.
 */
import { type Broker, PublishStatus, type Rows, type Space } from '../../../broker/face.ts'
import { matchesSubject } from '../subjects.ts'
import { withHeaders } from './headers.ts'
import { itemOf, passOver, place } from './placing.ts'
import type { StoredMessage } from './stored.ts'
import type { Stream } from './stream.ts'
import type { SourceConfig } from './stream-config.ts'
import { nanosOf } from './times.ts'
import { compileTransform, type Mapping } from './transforms.ts'

const atOnce = 256
const retryMs = 1000

export interface CopyHost {
  readonly broker: Broker
  readonly space: Space
  /** How far each copy is, by its key. */
  readonly rows: Rows
  stream(name: string): Stream | undefined
}

export class Copy {
  readonly #target: Stream
  readonly #source: SourceConfig
  readonly #mirrors: boolean
  readonly #host: CopyHost
  readonly key: string
  readonly #mappings: readonly Mapping[]
  #origin: Stream | undefined
  /** The next sequence of the origin; 0: it has not been looked for yet. */
  #next = 0
  #cancel: () => void = () => undefined
  #closed = false
  #activeAt = 0

  constructor(target: Stream, source: SourceConfig, mirrors: boolean, key: string, host: CopyHost) {
    this.#target = target
    this.#source = source
    this.#mirrors = mirrors
    this.#host = host
    this.key = key
    this.#mappings = source.subject_transforms.flatMap((transform) => compileTransform(transform) ?? [])
    this.#next = Number(host.rows.get(key) ?? 0)
    this.#go()
  }

  /** As STREAM.INFO tells it. */
  info(): object {
    const { name, filter_subject: filter, subject_transforms: transforms } = this.#source
    const lag = this.#origin === undefined ? 0 : Math.max(0, this.#origin.lastSequence + 1 - this.#next)
    return {
      name,
      lag,
      active: this.#activeAt === 0 ? -1 : nanosOf(this.#host.broker.clock.now() - this.#activeAt),
      ...(filter === '' ? {} : { filter_subject: filter }),
      ...(transforms.length === 0 ? {} : { subject_transforms: transforms }),
    }
  }

  close(): void {
    this.#closed = true
    this.#cancel()
  }

  #go(): void {
    this.#step().then(
      (waitsFrom) => this.#wait(waitsFrom),
      (cause: unknown) => {
        this.#host.broker.log.debug({ stream: this.#target.name, of: this.#source.name, error: String(cause) }, 'copying waits')
        this.#later()
      },
    )
  }

  #later(): void {
    if (this.#closed) return
    const timer = this.#host.broker.clock.after(retryMs, () => this.#go())
    this.#cancel = () => timer.cancel()
  }

  /** `from`: the offset of the origin from which on there is something to do; null: there is no origin, or no room. */
  #wait(from: number | null): void {
    if (this.#closed) return
    if (from === null) return this.#later()
    this.#cancel = this.#host.space.whenReadable(this.#source.name, 0, from, () => this.#go())
  }

  async #step(): Promise<number | null> {
    if (this.#closed || this.#host.stream(this.#target.name) !== this.#target) return null
    const origin = this.#host.stream(this.#source.name)
    // Another one of the same name begins anew.
    if (origin !== this.#origin && this.#origin !== undefined) this.#next = 0
    this.#origin = origin
    if (origin === undefined) return null
    if (this.#next === 0) this.#next = await this.#start(origin)
    const messages = await origin.messagesFrom(this.#next, atOnce)
    const stuck = !(await this.#store(origin, messages))
    if (stuck) return null
    return origin.offsetOf(this.#next)
  }

  async #start(origin: Stream): Promise<number> {
    const { opt_start_seq: sequence, opt_start_time: time } = this.#source
    if (sequence > 0) return sequence
    return time === '' ? origin.base : Math.max(origin.base, await origin.sequenceAt(Date.parse(time)))
  }

  /** In one step with how far it is then. False when there is no room for all. */
  #store(origin: Stream, messages: readonly StoredMessage[]): Promise<boolean> {
    return new Promise((resolve, reject) => {
      let all = true
      this.#host.broker.atomically(
        () => {
          for (const message of messages) {
            all = this.#copy(origin, message)
            if (!all) break
            this.#next = message.sequence + 1
          }
          this.#host.rows.put(this.key, String(this.#next))
        },
        (error) => (error === null ? resolve(all) : reject(error)),
      )
      if (messages.length > 0) this.#activeAt = this.#host.broker.clock.now()
    })
  }

  /** False when it has to wait for room. */
  #copy(origin: Stream, message: StoredMessage): boolean {
    const subject = this.#subjectOf(message.subject)
    if (subject === null) return true
    if (this.#mirrors && !passOver(this.#target, this.#host.space, message.sequence)) return false
    const { headers, payload } = message
    const from = `${origin.name} ${message.sequence} ${this.#source.filter_subject || '>'} > ${message.subject}`
    const block = this.#mirrors ? headers : withHeaders(headers, [['Nats-Stream-Source', from]])
    const item = itemOf(subject, block, payload)
    if (this.#mirrors) item.timestamp = message.time
    place(this.#target, this.#host.space, item)
    // One that is too large for here never fits; others may when there is room again.
    return item.status === PublishStatus.Stored || item.errorCode === 'TooLarge'
  }

  /** What it is called here; null when it is not for here. */
  #subjectOf(subject: string): string | null {
    const { filter_subject: filter } = this.#source
    if (filter !== '' && !matchesSubject(filter, subject)) return null
    if (this.#mappings.length === 0) return subject
    for (const mapping of this.#mappings) {
      const mapped = mapping(subject)
      if (mapped !== null) return mapped
    }
    return null
  }
}
