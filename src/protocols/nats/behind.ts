/**
 * A client that is far behind with what it is sent. Its publishers wait for it, as they do with nats-server, while it takes what there is; a client that takes
 * next to nothing slows nobody down: its limit ends it.
 */
import { pendingBytesMax } from './info.ts'

/** Beyond it publishers wait (nats-server: the same part of its limit), and from the lower one on they go on. */
const behindBytesHigh = (pendingBytesMax * 3) / 4
const behindBytesLow = pendingBytesMax / 2
/**
 * What it has to take in so many looks (outflow.ts: 200 ms) to be waited for: about the pace to which nats-server holds publishers at most. A kernel takes
 * more than a MiB at once, when there is room, and then nothing for a while.
 */
const paceBytes = 1024 * 1024
const paceLooks = 40

export const isFarBehind = (waitingBytes: number): boolean => waitingBytes > behindBytesHigh

export class Behind {
  readonly #client: { readonly outboundBytes: number }
  readonly #publishers = new Set<number>()
  /** How much waited when it was last looked at. */
  #bytes = 0
  #taken = 0
  #looks = 0
  #isWaitedFor = true

  constructor(client: { readonly outboundBytes: number }) {
    this.#client = client
  }

  /** More was written to it: messages of `bytes` bytes, published by these connections. */
  wrote(bytes: number, publishers: readonly number[]): void {
    this.#measure(bytes)
    for (const publisher of publishers) this.#publishers.add(publisher)
  }

  isWaitedForBy(publisher: number): boolean {
    return this.#isWaitedFor && this.#publishers.has(publisher)
  }

  /** Finds out how fast it is; false once it is not behind any more. */
  look(): boolean {
    this.#measure(0)
    if (this.#bytes <= behindBytesLow) return false
    // Looks are counted, not time: while the broker itself stands still nobody can take anything.
    if (++this.#looks < paceLooks) return true
    this.#isWaitedFor = this.#taken >= paceBytes
    this.#looks = 0
    this.#taken = 0
    return true
  }

  #measure(written: number): void {
    const now = this.#client.outboundBytes
    this.#taken += Math.max(0, this.#bytes + written - now)
    this.#bytes = now
  }
}
