/** Requests for next messages that wait at a pull consumer, in turns, and what ends them. */
import { refusal } from './errors.ts'
import { type Fields, flag, int, parseObject, read, text } from './fields.ts'
import { msOf } from './times.ts'

export interface Request {
  readonly reply: string
  /** How many messages it is still good for. */
  left: number
  /** Bytes it is still good for; Infinity: any. */
  bytesLeft: number
  delivered: number
  readonly noWait: boolean
  /** ms since the epoch; Infinity: never. */
  readonly expiresAt: number
  /** How often it hears that there is nothing, ms; 0: never. */
  readonly heartbeatMs: number
  heartbeatAt: number
  readonly group: string
  readonly pinId: string
  readonly minPending: number
  readonly minAckPending: number
  readonly priority: number
}

interface Asked {
  readonly batch: number
  readonly expires: number
  readonly no_wait: boolean
  readonly max_bytes: number
  readonly idle_heartbeat: number
  readonly group: string
  readonly id: string
  readonly min_pending: number
  readonly min_ack_pending: number
  readonly priority: number
}

const fields = {
  batch: int,
  expires: int,
  no_wait: flag,
  max_bytes: int,
  idle_heartbeat: int,
  group: text,
  id: text,
  min_pending: int,
  min_ack_pending: int,
  priority: int,
} as const satisfies Fields

/** From the body of a request: nothing, a number of messages, or JSON. Throws {@link ApiError} with what is wrong. */
export function parseRequest(reply: string, body: string, now: number): Request {
  const trimmed = body.trim()
  const given = trimmed.startsWith('{') ? parseObject(trimmed) : /^\d{1,9}$/.test(trimmed) ? { batch: Number(trimmed) } : {}
  // Newer clients may say more than is known here.
  const known = Object.fromEntries(Object.entries(given).filter(([name]) => Object.hasOwn(fields, name)))
  const asked = read<Asked>(fields, known)
  if (asked.idle_heartbeat * 2 > asked.expires) throw refusal('invalidJson', 'heartbeat value too large')
  const heartbeatMs = msOf(asked.idle_heartbeat)
  return {
    reply,
    left: Math.max(1, asked.batch),
    bytesLeft: asked.max_bytes > 0 ? asked.max_bytes : Infinity,
    delivered: 0,
    noWait: asked.no_wait,
    expiresAt: asked.expires > 0 ? now + msOf(asked.expires) : Infinity,
    heartbeatMs,
    heartbeatAt: heartbeatMs > 0 ? now + heartbeatMs : Infinity,
    group: asked.group,
    pinId: asked.id,
    minPending: asked.min_pending,
    minAckPending: asked.min_ack_pending,
    priority: asked.priority,
  }
}

/** Waiting requests in the order in which they are served. */
export class WaitingRequests {
  readonly #queue: Request[] = []
  readonly #byPriority: boolean

  constructor(byPriority: boolean) {
    this.#byPriority = byPriority
  }

  get length(): number {
    return this.#queue.length
  }

  /** Messages that all of them together are good for. */
  get wanted(): number {
    let wanted = 0
    for (const request of this.#queue) wanted += request.left
    return wanted
  }

  /** In the order of serving. */
  at(index: number): Request | undefined {
    return this.#queue[index]
  }

  [Symbol.iterator](): IterableIterator<Request> {
    return [...this.#queue][Symbol.iterator]()
  }

  add(request: Request): void {
    if (!this.#byPriority) {
      this.#queue.push(request)
      return
    }
    const at = this.#queue.findIndex(({ priority }) => priority > request.priority)
    if (at < 0) this.#queue.push(request)
    else this.#queue.splice(at, 0, request)
  }

  /** It got a message: the next one is another's turn, unless their priorities decide. */
  served(request: Request): void {
    const at = this.#queue.indexOf(request)
    if (at < 0 || (request.left > 0 && this.#queue.length === 1)) return
    if (request.left <= 0) this.#queue.splice(at, 1)
    else if (!this.#byPriority) {
      this.#queue.splice(at, 1)
      this.#queue.push(request)
    }
  }

  remove(request: Request): void {
    const at = this.#queue.indexOf(request)
    if (at >= 0) this.#queue.splice(at, 1)
  }
}
