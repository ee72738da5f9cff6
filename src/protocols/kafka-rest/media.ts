/** Content types: `application/vnd.kafka.<embedded format>.v2+json`, and plain JSON. */
import { notAcceptable, unsupportedMedia } from './errors.ts'

export const formats = ['binary', 'json', 'avro', 'jsonschema', 'protobuf'] as const
export type EmbeddedFormat = (typeof formats)[number]

export const metadataType = 'application/vnd.kafka.v2+json'
export const typeOf = (format: EmbeddedFormat): string => `application/vnd.kafka.${format}.v2+json`

const plain = ['application/vnd.kafka.v2+json', 'application/vnd.kafka+json', 'application/json', 'application/octet-stream']

type HeaderValue = string | string[] | undefined

/** Which format the records in a body have. */
export function formatSent(contentType: HeaderValue): EmbeddedFormat {
  const [type = ''] = mediaTypes(contentType)
  const found = /^application\/vnd\.kafka\.(\w+)(\.v2)?\+json$/.exec(type)?.[1]
  const format = formats.find((each) => each === found)
  if (format !== undefined) return format
  // Where nothing in particular is said, keys and values are base64.
  if (type === '' || plain.includes(type)) return 'binary'
  throw unsupportedMedia()
}

/** Which format a client wants records in; null: any. */
export function formatAccepted(accept: HeaderValue): EmbeddedFormat | null {
  const types = mediaTypes(accept)
  for (const type of types) {
    const found = formats.find((each) => type === typeOf(each) || type === `application/vnd.kafka.${each}+json`)
    if (found !== undefined) return found
  }
  if (types.length === 0 || types.some((type) => plain.includes(type) || type === '*/*' || type === 'application/*')) return null
  throw notAcceptable()
}

function mediaTypes(header: HeaderValue): string[] {
  const text = Array.isArray(header) ? header.join(',') : (header ?? '')
  return text
    .split(',')
    .map((each) => (each.split(';')[0] ?? '').trim().toLowerCase())
    .filter((each) => each !== '')
}
