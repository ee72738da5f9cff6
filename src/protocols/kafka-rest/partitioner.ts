/** Which partition a key belongs to: the one that Kafka's own producers choose, by murmur2 (org.apache.kafka.common.utils.Utils). */

export function partitionOf(key: Buffer, partitions: number): number {
  return (murmur2(key) & 0x7fffffff) % partitions
}

const seed = 0x9747b28c
const multiplier = 0x5bd1e995

export function murmur2(bytes: Buffer): number {
  let hash = seed ^ bytes.length
  let at = 0
  for (; at + 4 <= bytes.length; at += 4) {
    let word = Math.imul(bytes.readInt32LE(at), multiplier)
    word = Math.imul(word ^ (word >>> 24), multiplier)
    hash = Math.imul(hash, multiplier) ^ word
  }
  if (at < bytes.length) {
    for (let left = bytes.length - at; left > 0; left--) hash ^= (bytes[at + left - 1] as number) << (8 * (left - 1)) // within
    hash = Math.imul(hash, multiplier)
  }
  hash = Math.imul(hash ^ (hash >>> 13), multiplier)
  return hash ^ (hash >>> 15)
}
