/**
 * How records published through the API or the library are stored:
 *
 *     byte 0     version, 1
 *     byte 1-4   length of the JSON text, big-endian
 *     JSON       all attributes but the value, as record-json.ts writes them; `"value": null` where there is none
 *     the rest   the value's bytes
 */
import type { Attributes, Format } from '../core/record.ts'
import { attributesFromJson, attributesToJson } from './record-json.ts'

const version = 1
const prefixBytes = 5

/** Protocols have 16 numbers each from 16 on; the API has the last block. */
export const envelopeFormat: Format = {
  id: 240,
  name: 'anymq/1',
  batched: false,
  toAttributes,
  fromAttributes,
}

function fromAttributes(attributes: Attributes): Buffer {
  const { value: _value, valueBase64: _valueBase64, ...rest } = attributesToJson(attributes)
  const json = Buffer.from(JSON.stringify(attributes.value === null ? { ...rest, value: null } : rest))
  const value = attributes.value ?? Buffer.alloc(0)
  const envelope = Buffer.allocUnsafe(prefixBytes + json.length + value.length)
  envelope[0] = version
  envelope.writeUInt32BE(json.length, 1)
  json.copy(envelope, prefixBytes)
  value.copy(envelope, prefixBytes + json.length)
  return envelope
}

function toAttributes(envelope: Buffer): Attributes {
  try {
    const end = prefixBytes + envelope.readUInt32BE(1)
    const fields = JSON.parse(envelope.toString('utf8', prefixBytes, end)) as Record<string, unknown> // an object, by fromAttributes
    const attributes = attributesFromJson(fields)
    if (!('value' in fields)) attributes.value = envelope.subarray(end)
    return attributes
  } catch {
    // Not written by fromAttributes. A conversion never throws (the record would be redelivered for ever), so all of it is the value.
    return { key: null, value: envelope, headers: [] }
  }
}
