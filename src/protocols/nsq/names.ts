/** Names of topics and channels, and how the reference server quotes what is none. */

export const nameBytesMax = 64
const ephemeralSuffix = '#ephemeral'

/** `[.a-zA-Z0-9_-]`, 1 to 64 in all, maybe with the suffix of those that nobody keeps. */
export const isName = (name: string): boolean => name.length <= nameBytesMax && /^[.a-zA-Z0-9_-]+(#ephemeral)?$/.test(name)

export const isEphemeral = (name: string): boolean => name.endsWith(ephemeralSuffix)

const short: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\u0007': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
}

/** As Go's verb %q: `name` holds a byte a character, and so does the answer. */
export function quoted(name: string): string {
  let text = '"'
  const bytes = Buffer.from(name, 'latin1')
  for (let at = 0; at < bytes.length; ) {
    const length = characterBytes(bytes, at)
    const character = bytes.toString('utf8', at, at + Math.max(1, length))
    if (length === 0)
      text += `\\x${(bytes[at] as number).toString(16).padStart(2, '0')}` // at < length
    else if (short[character] !== undefined) text += short[character]
    else if (/^[ \p{L}\p{M}\p{N}\p{P}\p{S}]$/u.test(character)) text += bytes.toString('latin1', at, at + length)
    else text += escaped(character.codePointAt(0) ?? 0)
    at += Math.max(1, length)
  }
  return `${text}"`
}

function escaped(code: number): string {
  const hex = code.toString(16)
  if (code < 0x80) return `\\x${hex.padStart(2, '0')}`
  return code < 0x10000 ? `\\u${hex.padStart(4, '0')}` : `\\U${hex.padStart(8, '0')}`
}

/** Of the UTF-8 character that begins there; 0: none does. */
function characterBytes(bytes: Buffer, at: number): number {
  const first = bytes[at] as number // at < length
  if (first < 0x80) return 1
  const length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2
  return bytes.length >= at + length && !bytes.toString('utf8', at, at + length).includes('\ufffd') ? length : 0
}
