const slabBytes = 64 * 1024

/** Room for byte arrays that are made one after the other and live about as long: small ones share a slab, large ones stand alone. */
export class Slab {
  #slab = Buffer.allocUnsafeSlow(0)
  #at = 0

  /** Nobody else has these bytes, and what they hold is arbitrary. */
  take(bytes: number): Buffer {
    if (bytes > slabBytes / 4) return Buffer.allocUnsafeSlow(bytes)
    if (this.#slab.length - this.#at < bytes) {
      this.#slab = Buffer.allocUnsafeSlow(slabBytes)
      this.#at = 0
    }
    const at = this.#at
    this.#at = at + bytes
    return this.#slab.subarray(at, at + bytes)
  }
}
