/** Answers to PUBLISH, sent in the order in which these came (4.6) however late each is known. */
import type { Connection } from '../../broker/face.ts'
import { encodeAck, Packet, type Version } from './codec.ts'

interface Slot {
  readonly type: Packet
  readonly packetId: number
  reason: number
}

const unknown = -1

export class Acknowledgements {
  readonly #connection: Connection
  readonly #version: Version
  #slots: Slot[] = []
  #waiting = 0

  constructor(connection: Connection, version: Version) {
    this.#connection = connection
    this.#version = version
  }

  /** Messages with QoS 1 that wait for theirs. */
  get waiting(): number {
    return this.#waiting
  }

  /** Keeps a place; the answer is given by calling what it returns. */
  expect(type: Packet, packetId: number): (reason: number) => void {
    const slot: Slot = { type, packetId, reason: unknown }
    this.#slots.push(slot)
    if (type === Packet.Puback) this.#waiting++
    return (reason) => {
      slot.reason = reason
      if (this.#slots[0] === slot) this.#flush()
    }
  }

  #flush(): void {
    let done = 0
    for (const { type, packetId, reason } of this.#slots) {
      if (reason === unknown) break
      this.#connection.write(encodeAck(type, packetId, reason, this.#version))
      if (type === Packet.Puback) this.#waiting--
      done++
    }
    this.#slots = this.#slots.slice(done)
  }
}
