/** The taking side of a pull consumer: who waits for messages gets them in turns, and statuses when there are none. */
import type { Clock, Timer } from '../../../lib/timers.ts'
import type { ConsumerConfig } from './consumer-config.ts'
import { ApiError } from './errors.ts'
import { statusBlock, withHeaders } from './headers.ts'
import type { Outbox, Outgoing } from './outbox.ts'
import { parseRequest, type Request, WaitingRequests } from './requests.ts'
import type { Taker, TakerHost } from './taker.ts'
import { msOf } from './times.ts'

const pinIdLetters = 22

export class PullTaker implements Taker {
  readonly #host: TakerHost
  readonly #outbox: Outbox
  readonly #clock: Clock
  readonly #requests: WaitingRequests
  #timer: Timer | null = null
  #timerAt = Infinity
  /** With pinned clients: whose requests alone are served, and until when without a sign of life. */
  #pinId = ''
  #pinnedUntil = 0
  lastActiveAt: number

  constructor(host: TakerHost, outbox: Outbox, clock: Clock) {
    this.#host = host
    this.#outbox = outbox
    this.#clock = clock
    this.#requests = new WaitingRequests(host.config.priority_policy === 'prioritized')
    this.lastActiveAt = clock.now()
  }

  get waiting(): number {
    return this.#requests.length
  }

  get active(): boolean {
    return this.#requests.length > 0
  }

  get wanted(): number {
    if (this.#host.config.priority_policy === 'none') return this.#requests.wanted
    let wanted = 0
    for (const request of this.#requests) if (this.#mayServe(request, 0)) wanted += request.left
    return wanted
  }

  get pinned(): { readonly id: string } | null {
    return this.#pinId === '' ? null : { id: this.#pinId }
  }

  // ------------------------------------------------------------------------------------------------------------------ requests

  request(reply: string, body: string): void {
    if (reply === '') return
    const now = this.#clock.now()
    let request: Request
    try {
      request = parseRequest(reply, body, now)
    } catch (cause) {
      if (!(cause instanceof ApiError)) throw cause
      this.#say(reply, `400 Bad Request - ${cause.message.replace(/^invalid JSON: /, '')}`)
      return
    }
    const refused = this.#refusal(request, now)
    if (refused !== null) {
      if (refused !== '') this.#say(reply, refused)
      return
    }
    this.lastActiveAt = now
    this.#requests.add(request)
    this.#watch()
    this.#host.refresh()
  }

  /** The status that refuses it; '' for none: it is passed over in silence. */
  #refusal(request: Request, now: number): string | null {
    const { max_batch: batch, max_expires: expires, max_bytes: bytes, max_waiting: waiting } = this.#host.config
    if (batch > 0 && request.left > batch) return `409 Exceeded MaxRequestBatch of ${batch}`
    if (expires > 0 && request.expiresAt !== Infinity && request.expiresAt - now > msOf(expires))
      return `409 Exceeded MaxRequestExpires of ${goDuration(expires)}`
    if (bytes > 0 && request.bytesLeft !== Infinity && request.bytesLeft > bytes)
      return `409 Exceeded MaxRequestMaxBytes of ${bytes}`
    const wrongGroup = this.#groupRefusal(request, this.#host.config)
    if (wrongGroup !== null) return wrongGroup
    if (request.noWait) {
      const { available } = this.#host
      if (available === 0 && request.expiresAt === Infinity) return '404 No Messages'
      if (available > 0 && available < this.#requests.wanted) return '408 Requests Pending'
    }
    if (this.#requests.length >= waiting) this.#dropUnheard()
    if (this.#requests.length < waiting) return null
    return request.heartbeatMs > 0 ? '' : '409 Exceeded MaxWaiting'
  }

  #groupRefusal(request: Request, { priority_policy: policy, priority_groups: groups }: ConsumerConfig): string | null {
    if ((request.minPending !== 0 || request.minAckPending !== 0) && policy !== 'overflow')
      return '400 Bad Request - Not a Overflow Priority consumer'
    if (request.pinId !== '' && policy !== 'pinned_client') return '400 Bad Request - Not a Pinned Client Priority consumer'
    if (request.priority < 0 || request.priority > 9) return '400 Bad Request - Priority must be between 0 and 9'
    if (policy === 'none') return null
    if (request.group === '') return '400 Bad Request - Priority Group missing'
    if (!groups.includes(request.group)) return '400 Bad Request - Invalid Priority Group'
    if (this.#pinId === '' || request.pinId === '') return null
    if (request.pinId !== this.#pinId) return '423 Nats-Pin-Id mismatch'
    this.#keepPin()
    return null
  }

  // ---------------------------------------------------------------------------------------------------------------- deliveries

  take(message: Outgoing, bytes: number): boolean {
    for (let at = 0, request = this.#requests.at(at); request !== undefined; request = this.#requests.at(at)) {
      if (!this.#mayServe(request, 1)) {
        at++
        continue
      }
      // What is not served now is gone, and the next one stands in its place.
      if (request.expiresAt <= this.#clock.now()) {
        this.#timeOut(request)
        continue
      }
      if (bytes > request.bytesLeft) {
        this.#end(request, '409 Message Size Exceeds MaxBytes')
        continue
      }
      const pinned = this.#pin(request)
      const shown = pinned ? { ...message, headers: withHeaders(message.headers, [['Nats-Pin-Id', this.#pinId]]) } : message
      // Whoever asked may be gone.
      if (!this.#outbox.deliver(request.reply, shown)) {
        this.#requests.remove(request)
        continue
      }
      this.#delivered(request, bytes)
      return true
    }
    return false
  }

  #delivered(request: Request, bytes: number): void {
    const now = this.#clock.now()
    this.lastActiveAt = now
    request.left--
    request.delivered++
    request.bytesLeft -= bytes
    // One more would not fit.
    if (request.bytesLeft === 0) request.left = 0
    if (request.heartbeatMs > 0) request.heartbeatAt = now + request.heartbeatMs
    this.#requests.served(request)
    if (request.left <= 0 && request.bytesLeft > 0 && request.bytesLeft !== Infinity) this.#tell(request, '409 Batch Completed')
  }

  /** Nothing more is there: who did not mean to wait is told. */
  exhausted(): void {
    if (this.#host.available > 0) return
    for (const request of this.#requests) {
      if (!request.noWait || (request.expiresAt !== Infinity && request.delivered === 0)) continue
      this.#requests.remove(request)
      this.#say(request.reply, '404 No Messages')
    }
  }

  // -------------------------------------------------------------------------------------------------------------------- groups

  /** `inHand`: messages on their way to it, which are not among those available any more. */
  #mayServe(request: Request, inHand: number): boolean {
    const { priority_policy: policy } = this.#host.config
    if (policy === 'overflow') {
      const { minPending, minAckPending } = request
      if (minPending === 0 && minAckPending === 0) return true
      const { available, ackPending } = this.#host
      return (minPending > 0 && available + inHand >= minPending) || (minAckPending > 0 && ackPending >= minAckPending)
    }
    if (policy !== 'pinned_client') return true
    if (this.#pinId === '') return true
    return request.pinId === this.#pinId
  }

  /** The first request served pins its client; true when the message is to say so. */
  #pin(request: Request): boolean {
    if (this.#host.config.priority_policy !== 'pinned_client') return false
    if (this.#pinId === '') {
      this.#pinId = randomId(pinIdLetters)
      // From here on this request is the pinned client's, as its next ones will be.
      Object.assign(request, { pinId: this.#pinId })
      this.#host.advisePin(request.group, this.#pinId, true)
    }
    this.#keepPin()
    return true
  }

  #keepPin(): void {
    this.#pinnedUntil = this.#clock.now() + msOf(this.#host.config.priority_timeout)
    this.#watch()
  }

  unpin(): void {
    if (this.#pinId === '') return
    const id = this.#pinId
    this.#pinId = ''
    const [group = ''] = this.#host.config.priority_groups
    this.#host.advisePin(group, id, false)
    for (const request of this.#requests) if (request.pinId === id) this.#end(request, '423 Nats-Wrong-Pin-Id')
    this.#host.refresh()
  }

  // -------------------------------------------------------------------------------------------------------------------- ending

  #say(to: string, status: string): void {
    this.#outbox.status(to, statusBlock(status))
  }

  #tell({ reply, left, bytesLeft }: Request, status: string): void {
    const lines = [
      ['Nats-Pending-Messages', left],
      ['Nats-Pending-Bytes', bytesLeft === Infinity ? 0 : bytesLeft],
    ] as const
    this.#outbox.status(reply, statusBlock(status, lines))
  }

  #end(request: Request, status: string): void {
    this.#requests.remove(request)
    this.#tell(request, status)
  }

  #timeOut(request: Request): void {
    this.lastActiveAt = this.#clock.now()
    this.#end(request, '408 Request Timeout')
  }

  #dropUnheard(): void {
    for (const request of this.#requests) if (!this.#outbox.space.isHeard(request.reply)) this.#requests.remove(request)
  }

  /** One timer for the next that runs out, is to hear a heartbeat, or loses its pin. */
  #watch(): void {
    let next = this.#pinId === '' ? Infinity : this.#pinnedUntil
    for (const { expiresAt, heartbeatAt } of this.#requests) next = Math.min(next, expiresAt, heartbeatAt)
    if (next >= this.#timerAt || next === Infinity) return
    this.#timer?.cancel()
    this.#timerAt = next
    this.#timer = this.#clock.after(Math.max(1, next - this.#clock.now()), () => {
      this.#timerAt = Infinity
      this.#onTime(this.#clock.now())
      this.#watch()
    })
  }

  #onTime(now: number): void {
    for (const request of this.#requests) {
      if (request.expiresAt <= now) this.#timeOut(request)
      else if (!this.#outbox.space.isHeard(request.reply)) this.#requests.remove(request)
      else if (request.heartbeatAt <= now) {
        request.heartbeatAt = now + request.heartbeatMs
        this.#outbox.status(request.reply, statusBlock('100 Idle Heartbeat', this.#host.progress))
      }
    }
    if (this.#pinId !== '' && this.#pinnedUntil <= now) this.unpin()
    this.#host.refresh()
  }

  close(status: string | null): void {
    this.#timer?.cancel()
    for (const request of this.#requests) {
      this.#requests.remove(request)
      if (status !== null) this.#tell(request, status)
    }
  }
}

export function randomId(letters: number): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'
  return Array.from(crypto.getRandomValues(new Uint8Array(letters)), (byte) => alphabet[byte % alphabet.length]).join('')
}

/** As Go writes it: `1m30s`, `1.5s`, `250ms`. */
function goDuration(nanos: number): string {
  const ms = nanos / 1e6
  if (ms < 1000) return `${ms}ms`
  const seconds = ms / 1000
  const hours = Math.floor(seconds / 3600)
  const minutes = Math.floor(seconds / 60) % 60
  const rest = `${Number((seconds % 60).toFixed(9))}s`
  return hours > 0 ? `${hours}h${minutes}m${rest}` : minutes > 0 ? `${minutes}m${rest}` : rest
}
