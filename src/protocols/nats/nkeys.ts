/** Public keys of NATS: base32 of a prefix byte, an Ed25519 key and a CRC-16 (nats-io/nkeys). */
import { createPublicKey, verify } from 'node:crypto'

/** What a key is of, by its first byte: shown as the letters O, A and U. */
const prefixes = { operator: 14 << 3, account: 0, user: 20 << 3 } as const
export type KeyOf = keyof typeof prefixes

const keyBytes = 32
const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
/** SubjectPublicKeyInfo of an Ed25519 key (RFC 8410) up to the key itself. */
const ed25519Header = Buffer.from('302a300506032b6570032100', 'hex')

/** Whether `signature` (base64 or base64url) is that of the text by whose public key this is; false for what is no key of this kind. */
export function verifies(publicKey: string, text: string, signature: string, of: KeyOf = 'user'): boolean {
  const key = decodeKey(publicKey, of)
  if (key === null) return false
  const object = createPublicKey({ key: Buffer.concat([ed25519Header, key]), format: 'der', type: 'spki' })
  return verify(null, Buffer.from(text), object, Buffer.from(signature, 'base64'))
}

export function isKey(text: unknown, of: KeyOf): text is string {
  return typeof text === 'string' && decodeKey(text, of) !== null
}

function decodeKey(text: string, of: KeyOf): Buffer | null {
  const bytes = decodeBase32(text)
  if (bytes === null || bytes.length !== 1 + keyBytes + 2 || bytes[0] !== prefixes[of]) return null
  return crc16(bytes.subarray(0, 1 + keyBytes)) === bytes.readUInt16LE(1 + keyBytes) ? bytes.subarray(1, 1 + keyBytes) : null
}

function decodeBase32(text: string): Buffer | null {
  const bytes: number[] = []
  let bits = 0
  let value = 0
  for (const letter of text) {
    const index = alphabet.indexOf(letter)
    if (index < 0) return null
    value = (value << 5) | index
    bits += 5
    if (bits >= 8) {
      bits -= 8
      bytes.push((value >> bits) & 0xff)
      value &= (1 << bits) - 1
    }
  }
  return Buffer.from(bytes)
}

/** For tests and tools: the text form of a raw Ed25519 public key. */
export function encodeKey(key: Buffer, of: KeyOf = 'user'): string {
  const bytes = Buffer.concat([Buffer.from([prefixes[of]]), key, Buffer.alloc(2)])
  bytes.writeUInt16LE(crc16(bytes.subarray(0, -2)), bytes.length - 2)
  let text = ''
  let bits = 0
  let value = 0
  for (const byte of bytes) {
    value = (value << 8) | byte
    bits += 8
    while (bits >= 5) {
      bits -= 5
      text += alphabet[(value >> bits) & 31]
      value &= (1 << bits) - 1
    }
  }
  return bits === 0 ? text : text + alphabet[(value << (5 - bits)) & 31]
}

/** CRC-16/XMODEM. */
function crc16(bytes: Buffer): number {
  let crc = 0
  for (const byte of bytes) {
    crc ^= byte << 8
    for (let bit = 0; bit < 8; bit++) crc = ((crc & 0x8000) === 0 ? crc << 1 : (crc << 1) ^ 0x1021) & 0xffff
  }
  return crc
}
