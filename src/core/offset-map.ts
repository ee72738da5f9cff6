/**
 * The newest offset of each key, in a fixed amount of memory: 24 bytes a slot. Keys are held as the first 128 bits of their SHA-256, so that
 * nobody can choose two keys that are taken for one.
 */
import { hash } from 'node:crypto'

const slotBytes = 24
const words = 4
/** Above this share of used slots probing gets long. */
const loadMax = 0.75

export class OffsetMap {
  readonly #digests: Uint32Array
  /** Offset + 1; 0 is an empty slot. */
  readonly #offsets: Float64Array
  readonly #mask: number
  readonly #sizeMax: number
  size = 0

  /** Takes at most `bytes`, and at least what 8 keys need. */
  constructor(bytes: number) {
    let slots = 16
    while (slots * 2 * slotBytes <= bytes) slots *= 2
    this.#digests = new Uint32Array(slots * words)
    this.#offsets = new Float64Array(slots)
    this.#mask = slots - 1
    this.#sizeMax = Math.floor(slots * loadMax)
  }

  /** Offsets of one key come in growing order. False when the map is full and the key is not in it. */
  put(key: Buffer, offset: number): boolean {
    const digest = digestOf(key)
    const slot = this.#find(digest)
    if (this.#offsets[slot] === 0) {
      if (this.size >= this.#sizeMax) return false
      this.size++
      for (let word = 0; word < words; word++) this.#digests[slot * words + word] = digest.readUInt32LE(word * 4)
    }
    this.#offsets[slot] = offset + 1
    return true
  }

  /** -1 when the key is not in it. */
  newest(key: Buffer): number {
    if (this.size === 0) return -1
    return (this.#offsets[this.#find(digestOf(key))] as number) - 1 // a slot of the table
  }

  /** The slot that holds the digest, or the empty one where it would go. Some slot is always empty. */
  #find(digest: Buffer): number {
    let slot = digest.readUInt32LE(0) & this.#mask
    while (this.#offsets[slot] !== 0 && !this.#holds(slot, digest)) slot = (slot + 1) & this.#mask
    return slot
  }

  #holds(slot: number, digest: Buffer): boolean {
    for (let word = 0; word < words; word++) {
      if (this.#digests[slot * words + word] !== digest.readUInt32LE(word * 4)) return false
    }
    return true
  }
}

const digestOf = (key: Buffer): Buffer => hash('sha256', key, 'buffer')
