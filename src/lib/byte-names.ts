/**
 * Names that are bytes (as latin1) ⇄ names that are text. One that is UTF-8 is the name as it reads. Any other, the empty one, and one that begins as such
 * names do, is its bytes in hex behind a prefix, so that each has a name of its own, and leads back.
 */
import { Buffer } from 'node:buffer'

const prefix = 'bytes:'

// biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII
const ascii = /^[\x00-\x7f]+$/

export const isAscii = (text: string): boolean => text === '' || ascii.test(text)

export function nameOfBytes(key: string): string {
  if (key === '' || key.startsWith(prefix)) return prefix + Buffer.from(key, 'latin1').toString('hex')
  if (ascii.test(key)) return key
  const bytes = Buffer.from(key, 'latin1')
  const name = bytes.toString('utf8')
  return Buffer.from(name).equals(bytes) ? name : prefix + bytes.toString('hex')
}

/** The reverse. A name that nobody made from a key, and that is none, is its own bytes. */
export function bytesOfName(name: string): string {
  if (name.startsWith(prefix)) {
    const key = Buffer.from(name.slice(prefix.length), 'hex').toString('latin1')
    if (nameOfBytes(key) === name) return key
  }
  return ascii.test(name) ? name : Buffer.from(name).toString('latin1')
}
