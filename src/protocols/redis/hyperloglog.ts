/**
 * A HyperLogLog as Redis keeps it in a string: `HYLL`, the encoding, three bytes of nothing, a cached count (here always marked as outdated), and 16384
 * registers, each 6 bits wide (dense) or as runs (sparse). Counting is after O. Ertl, "New cardinality estimation algorithms for HyperLogLog
 * sketches", as in Redis.
 */
import { RedisError } from './errors.ts'

const indexBits = 14
const registers = 2 ** indexBits
const headBytes = 16
const denseBytes = headBytes + (registers * 6) / 8
/** As `hll-sparse-max-bytes`. */
const sparseBytesMax = 3000
/** What a run of equal registers can say. */
const sparseValueMax = 32
const sparseRunMax = 4
const ranksMax = 64 - indexBits + 1
const dense = 0
const sparse = 1

const noHyperLogLog = 'WRONGTYPE Key is not a valid HyperLogLog string value.'
const corrupted = 'INVALIDOBJ Corrupted HLL object detected'

export class HyperLogLog {
  readonly registers = new Uint8Array(registers)
  #isDense = false

  /** Of a string's bytes; throws where they are none. */
  static from(bytes: Buffer): HyperLogLog {
    const encoding = bytes[4]
    if (bytes.length < headBytes || bytes.toString('latin1', 0, 4) !== 'HYLL' || (encoding !== dense && encoding !== sparse))
      throw new RedisError(noHyperLogLog)
    const made = new HyperLogLog()
    if (encoding === sparse) made.#readSparse(bytes)
    else if (bytes.length === denseBytes) made.#readDense(bytes)
    else throw new RedisError(noHyperLogLog)
    return made
  }

  #readDense(bytes: Buffer): void {
    this.#isDense = true
    for (let index = 0; index < registers; index++) {
      const bit = index * 6
      const at = headBytes + (bit >> 3)
      const both = (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8)
      this.registers[index] = (both >> (bit & 7)) & 63
    }
  }

  #readSparse(bytes: Buffer): void {
    let index = 0
    for (let at = headBytes; at < bytes.length; at++) {
      const byte = bytes[at] ?? 0
      let run: number
      if (byte & 0x80) {
        run = (byte & 3) + 1
        this.registers.fill(((byte >> 2) & 31) + 1, index, index + run)
      } else if (byte & 0x40) run = (((byte & 0x3f) << 8) | (bytes[++at] ?? 0)) + 1
      else run = byte + 1
      index += run
    }
    if (index !== registers) throw new RedisError(corrupted)
  }

  /** Whether it has changed anything. */
  add(element: Buffer): boolean {
    const hash = murmur64a(element)
    const index = Number(hash & BigInt(registers - 1))
    // Ends at the bit behind the hash.
    let rest = (hash >> BigInt(indexBits)) | (1n << BigInt(64 - indexBits))
    let rank = 1
    for (; (rest & 1n) === 0n; rest >>= 1n) rank++
    if (rank <= (this.registers[index] as number)) return false // index < registers
    this.registers[index] = rank
    return true
  }

  merge(other: HyperLogLog): void {
    this.#isDense ||= other.#isDense
    for (const [index, value] of other.registers.entries())
      if (value > (this.registers[index] as number)) this.registers[index] = value // index < registers
  }

  get count(): number {
    const histogram = new Array<number>(64).fill(0)
    for (const value of this.registers) histogram[value] = (histogram[value] as number) + 1 // 6 bits
    const at = (rank: number): number => histogram[rank] as number // rank < 64
    let z = registers * tau((registers - at(ranksMax)) / registers)
    for (let rank = ranksMax - 1; rank >= 1; rank--) z = (z + at(rank)) * 0.5
    z += registers * sigma(at(0) / registers)
    return Math.round((0.7213475204444817 * registers * registers) / z)
  }

  get bytes(): Buffer {
    const runs = this.#isDense ? null : this.#runs()
    this.#isDense = runs === null
    const bytes = Buffer.alloc(runs === null ? denseBytes : headBytes + runs.length)
    bytes.write('HYLL', 'latin1')
    bytes[4] = runs === null ? dense : sparse
    bytes[headBytes - 1] = 0x80
    if (runs === null) this.#writeDense(bytes)
    else bytes.set(runs, headBytes)
    return bytes
  }

  #writeDense(bytes: Buffer): void {
    for (const [index, value] of this.registers.entries()) {
      const bit = index * 6
      const at = headBytes + (bit >> 3)
      const both = value << (bit & 7)
      bytes[at] = (bytes[at] ?? 0) | (both & 0xff)
      if (both > 0xff) bytes[at + 1] = both >> 8
    }
  }

  /** The sparse form; null where it would be too long, or cannot say it. */
  #runs(): number[] | null {
    const runs: number[] = []
    for (let index = 0; index < registers && runs.length <= sparseBytesMax - headBytes; ) {
      const value = this.registers[index] as number // index < registers
      if (value > sparseValueMax) return null
      const most = value === 0 ? registers : sparseRunMax
      let run = 1
      while (run < most && index + run < registers && this.registers[index + run] === value) run++
      if (value > 0) runs.push(0x80 | ((value - 1) << 2) | (run - 1))
      else if (run <= 64) runs.push(run - 1)
      else runs.push(0x40 | ((run - 1) >> 8), (run - 1) & 0xff)
      index += run
    }
    return runs.length > sparseBytesMax - headBytes ? null : runs
  }
}

function tau(of: number): number {
  let x = of
  if (x === 0 || x === 1) return 0
  let y = 1
  let z = 1 - x
  for (let before = NaN; before !== z; ) {
    x = Math.sqrt(x)
    before = z
    y *= 0.5
    z -= (1 - x) ** 2 * y
  }
  return z / 3
}

function sigma(of: number): number {
  let x = of
  if (x === 1) return Infinity
  let y = 1
  let z = x
  for (let before = NaN; before !== z; ) {
    x *= x
    before = z
    z += x * y
    y += y
  }
  return z
}

/** MurmurHash64A, with Redis's seed. */
function murmur64a(bytes: Buffer): bigint {
  const m = 0xc6a4a7935bd1e995n
  const mix = (value: bigint): bigint => BigInt.asUintN(64, value * m)
  let hash = 0xadc83b19n ^ mix(BigInt(bytes.length))
  const whole = bytes.length & ~7
  for (let at = 0; at < whole; at += 8) {
    let part = mix(bytes.readBigUInt64LE(at))
    part = mix(part ^ (part >> 47n))
    hash = mix(hash ^ part)
  }
  if (whole < bytes.length) {
    let rest = 0n
    for (let at = bytes.length - 1; at >= whole; at--) rest = (rest << 8n) | BigInt(bytes[at] ?? 0)
    hash = mix(hash ^ rest)
  }
  hash = mix(hash ^ (hash >> 47n))
  return hash ^ (hash >> 47n)
}
