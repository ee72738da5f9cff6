/**
 * Envelope ⇄ attributes of list elements, pure and total. An element is its bytes, with nothing around them: a format of its own, so that the most
 * common one is never copied. One that does not stand where the log has it is version byte (1), u16 length of its position, position, bytes.
 */
import { Buffer } from 'node:buffer'
import { type Attributes, type Format, formats } from '../../core/record.ts'

export const elementFormatId = 112
export const placedFormatId = 113

const nothing = Buffer.alloc(0)
const headBytes = 3

export function encodePlaced(position: string, element: Buffer): Buffer {
  const envelope = Buffer.allocUnsafe(headBytes + position.length + element.length)
  envelope[0] = 1
  envelope.writeUInt16BE(position.length, 1)
  envelope.write(position, headBytes, 'latin1')
  element.copy(envelope, headBytes + position.length)
  return envelope
}

/** Where the element begins. One that is damaged is all element. */
function elementAt(buffer: Buffer, start: number, end: number): number {
  if (end - start < headBytes || buffer[start] !== 1) return start
  const at = start + headBytes + buffer.readUInt16BE(start + 1)
  return at > end ? start : at
}

interface Envelope {
  readonly format: number
  readonly buffer: Buffer
  readonly start: number
  readonly end: number
}

/** A record as an element: what is in a record of another protocol beside its value stays with the record, and is not part of the element. */
export function elementOf({ format, buffer, start, end }: Envelope): Buffer {
  if (format === elementFormatId) return buffer.subarray(start, end)
  if (format === placedFormatId) return buffer.subarray(elementAt(buffer, start, end), end)
  return formats.get(format).toAttributes(buffer.subarray(start, end)).value ?? nothing
}

/** Where it stands, when not where the log has it. */
export function positionOf({ format, buffer, start, end }: Envelope): string | null {
  if (format !== placedFormatId) return null
  const at = elementAt(buffer, start, end)
  return at === start ? null : buffer.toString('latin1', start + headBytes, at)
}

const attributesOf = (value: Buffer): Attributes => ({ key: null, value, headers: [] })

export const elementFormat: Format = {
  id: elementFormatId,
  name: 'redis list element',
  batched: false,
  toAttributes: attributesOf,
  fromAttributes: (attributes) => attributes.value ?? nothing,
}

export const placedFormat: Format = {
  id: placedFormatId,
  name: 'redis list element with its place',
  batched: false,
  toAttributes: (envelope) => attributesOf(envelope.subarray(elementAt(envelope, 0, envelope.length))),
  fromAttributes: (attributes) => attributes.value ?? nothing,
}
