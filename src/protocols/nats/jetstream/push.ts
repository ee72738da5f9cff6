/** The taking side of a push consumer: its deliver subject, while somebody listens; idle heartbeats; flow control. */
import type { Clock, Timer } from '../../../lib/timers.ts'
import { type Line, statusBlock } from './headers.ts'
import type { Outbox, Outgoing } from './outbox.ts'
import { randomId } from './pull.ts'
import type { Taker, TakerHost } from './taker.ts'
import { msOf } from './times.ts'

/** At once, before what was sent has had its turn at the connections. */
const burst = 256
/** Bytes in flight under flow control: the first window, and the largest. */
const windowFirst = 2 * 1024 * 1024
const windowMax = 32 * 1024 * 1024

export class PushTaker implements Taker {
  readonly #host: TakerHost
  readonly #outbox: Outbox
  readonly #clock: Clock
  readonly #isBehind: (subject: string) => boolean
  #heard = false
  #cancel: () => void = () => undefined
  #heartbeat: Timer | null = null
  #sentAt = 0
  /** The subject on which the outstanding request for flow control is answered; '' for none. */
  #flowId = ''
  #flowBytes = 0
  #window = windowFirst
  #inFlight = 0
  #closed = false
  lastActiveAt: number

  /** `isBehind`: whether who listens to the subject has more before it than it takes. */
  constructor(host: TakerHost, outbox: Outbox, clock: Clock, isBehind: (subject: string) => boolean) {
    this.#host = host
    this.#outbox = outbox
    this.#clock = clock
    this.#isBehind = isBehind
    this.lastActiveAt = clock.now()
    this.#look()
    this.#beat()
  }

  get #subject(): string {
    return this.#host.config.deliver_subject
  }

  get waiting(): number {
    return 0
  }

  get active(): boolean {
    if (this.#heard) this.#look()
    return this.#heard
  }

  get wanted(): number {
    if (!this.#heard || this.#isBehind(this.#subject)) return 0
    if (this.#host.config.flow_control && this.#inFlight > this.#window) return 0
    return burst
  }

  /** Whether somebody listens; if not, it is noticed when somebody begins to. */
  #look(): void {
    const heard = this.#outbox.space.isHeard(this.#subject)
    if (this.#heard && !heard) this.lastActiveAt = this.#clock.now()
    this.#heard = heard
    if (heard || this.#closed) return
    this.#cancel()
    this.#cancel = this.#outbox.space.whenHeard(this.#subject, () => {
      this.#look()
      this.#host.refresh()
    })
  }

  take(message: Outgoing, bytes: number): boolean {
    if (!this.#outbox.deliver(this.#subject, message)) {
      this.#look()
      return false
    }
    this.#sentAt = this.lastActiveAt = this.#clock.now()
    if (!this.#host.config.flow_control) return true
    this.#inFlight += bytes
    if (this.#flowId === '' && this.#inFlight > this.#window / 2) this.#askForFlow()
    return true
  }

  #askForFlow(): void {
    this.#flowId = `$JS.FC.${this.#host.stream}.${this.#host.name}.${randomId(4)}`
    this.#flowBytes = this.#inFlight
    this.#outbox.status(this.#subject, statusBlock('100 FlowControl Request'), undefined, this.#flowId)
  }

  /** The client has come as far as the request for flow control. */
  flowed(subject: string): void {
    if (subject !== this.#flowId) return
    this.#window = Math.min(windowMax, this.#window * 2)
    this.#inFlight = Math.max(0, this.#inFlight - this.#flowBytes)
    this.#flowId = ''
    // More went out behind the request than may be in flight.
    if (this.#inFlight > this.#window / 2) this.#askForFlow()
    this.#host.refresh()
  }

  exhausted(): void {
    // Heartbeats say so.
  }

  #beat(): void {
    const everyMs = msOf(this.#host.config.idle_heartbeat)
    if (everyMs === 0 || this.#closed) return
    this.#heartbeat = this.#clock.after(Math.max(1, this.#sentAt + everyMs - this.#clock.now()), () => {
      const now = this.#clock.now()
      if (now - this.#sentAt >= everyMs) {
        this.#sentAt = now
        const stalled: Line[] = this.#flowId === '' ? [] : [['Nats-Consumer-Stalled', this.#flowId]]
        if (this.active)
          this.#outbox.status(this.#subject, statusBlock('100 Idle Heartbeat', [...this.#host.progress, ...stalled]))
      }
      this.#beat()
    })
  }

  close(): void {
    this.#closed = true
    this.#cancel()
    this.#heartbeat?.cancel()
  }
}
