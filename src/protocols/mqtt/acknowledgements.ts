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
  readonly #slots: Slot[] = []
  /** Those before it are answered. They are cut off now and then: one by one would cost a copy of all that wait. */
  #first = 0
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
      if (this.#slots[this.#first] === slot) this.#flush()
    }
  }

  #flush(): void {
    const slots = this.#slots
    for (;;) {
      const slot = slots[this.#first]
      if (slot === undefined || slot.reason === unknown) break
      this.#connection.write(encodeAck(slot.type, slot.packetId, slot.reason, this.#version))
      if (slot.type === Packet.Puback) this.#waiting--
      this.#first++
    }
    if (this.#first < slots.length / 2) return
    slots.splice(0, this.#first)
    this.#first = 0
  }
}
