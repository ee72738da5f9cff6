/**
 * A client that is far behind with what it is sent. Its publishers wait for it, as they do with nats-server, while it takes what there is; a client that takes
 * next to nothing slows nobody down: its limit ends it.
 */
import { pendingBytesMax } from './info.ts'

/** Beyond it publishers wait (nats-server: the same part of its limit), and from the lower one on they go on. */
const behindBytesHigh = (pendingBytesMax * 3) / 4
const behindBytesLow = pendingBytesMax / 2
/**
 * What it has to take in each look (outflow.ts: 5 ms), on the average of so many, to be waited for: about the pace to which nats-server holds publishers
 * at most. A kernel takes more than a MiB at once, when there is room, and then nothing for a while.
 */
const paceBytes = (1024 * 1024) / 40
const paceLooks = 40
/**
 * The same for one that has shown that it keeps pace: that it takes nothing now may be for want of a processor. Waiting fills no memory, it only takes time.
 * It has shown it by so many bytes before it was behind, or in so many windows since.
 */
const patientLooks = 200
const shownBytes = pendingBytesMax
const shownWindows = 5

export const isFarBehind = (waitingBytes: number): boolean => waitingBytes > behindBytesHigh

interface Reader {
  /** Bytes that it was written and has not taken, and those that it has taken since it is there. */
  readonly outboundBytes: number
  readonly takenBytes: number
}

export class Behind {
  readonly #client: Reader
  readonly #publishers = new Set<number>()
  /** How much waited when it was last looked at. */
  #bytes = 0
  #taken = 0
  #looks = 0
  /** Windows in which it kept pace, one after the other. */
  #kept: number
  #isWaitedFor = true

  constructor(client: Reader) {
    this.#client = client
    this.#kept = client.takenBytes >= shownBytes ? shownWindows : 0
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
    this.#looks++
    const looksMost = this.#kept >= shownWindows ? patientLooks : paceLooks
    if (this.#taken >= looksMost * paceBytes) this.#judge(true)
    else if (this.#looks >= looksMost) this.#judge(false)
    return true
  }

  #judge(keepsPace: boolean): void {
    this.#isWaitedFor = keepsPace
    this.#kept = keepsPace ? this.#kept + 1 : 0
    this.#looks = 0
    this.#taken = 0
  }

  #measure(written: number): void {
    const now = this.#client.outboundBytes
    this.#taken += Math.max(0, this.#bytes + written - now)
    this.#bytes = now
  }
}
