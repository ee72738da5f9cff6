/** Message attributes: what may be sent, their digests, and how much they weigh. One set of rules for SQS and SNS. */
import { createHash, hash } from 'node:crypto'
import type { AwsError } from './errors.ts'
import type { Input } from './input.ts'

/** `type` with its custom label. Text is as sent; bytes of a Binary are in base64. */
export interface MessageAttribute {
  readonly name: string
  readonly type: string
  readonly value: string
}

export const attributesMax = 10
const nameBytesMax = 256

export const baseType = (type: string): string => type.split('.', 1)[0] ?? ''

/** Throws what `fail` makes of the reason. */
export function readAttributes(
  given: ReadonlyMap<string, Input> | undefined,
  types: readonly string[],
  fail: (reason: string) => AwsError,
): MessageAttribute[] {
  const found = [...(given ?? [])].map(([name, value]) => {
    checkName(name, fail)
    return { name, ...readValue(name, value, types, fail) }
  })
  if (found.length > attributesMax)
    throw fail(`Number of message attributes [${found.length}] exceeds the allowed maximum [${attributesMax}].`)
  return found
}

function checkName(name: string, fail: (reason: string) => AwsError): void {
  if (name === '' || Buffer.byteLength(name) > nameBytesMax)
    throw fail(`Message (user) attribute name must be between 1 and ${nameBytesMax} characters long.`)
  if (!/^[A-Za-z0-9_.-]+$/.test(name))
    throw fail(
      'Invalid non-alphanumeric character was found in the message attribute name. Can only include alphanumeric characters, hyphens, underscores, or dots.',
    )
  if (/^(aws|amazon)\./i.test(name)) throw fail('You may not use reserved prefixes when naming your message attribute.')
  if (/^\.|\.$|\.\./.test(name)) throw fail('Message (user) attribute name can not start, end or contain consecutive dots.')
}

function readValue(
  name: string,
  given: Input,
  types: readonly string[],
  fail: (reason: string) => AwsError,
): { type: string; value: string } {
  const type = given.optionalText('DataType')
  if (type === undefined || type === '')
    throw fail(`The message attribute '${name}' must contain a non-empty message attribute type.`)
  const base = types.find((known) => type === known || type.startsWith(`${known}.`))
  if (base === undefined)
    throw fail(
      `The message attribute '${name}' has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String.`,
    )
  const wanted = base === 'Binary' ? 'BinaryValue' : 'StringValue'
  const value = given.optionalText(wanted)
  if (value === undefined || value === '')
    throw fail(
      `The message attribute '${name}' must contain a non-empty message attribute value for message attribute type '${base}'.`,
    )
  if (base === 'Number' && !/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(value.trim()))
    throw fail(`Could not cast message attribute '${name}' value to number.`)
  return { type, value: base === 'Binary' ? Buffer.from(value, 'base64').toString('base64') : value }
}

/** As it is answered. */
export function shown({ type, value }: MessageAttribute): { DataType: string; StringValue?: string; BinaryValue?: string } {
  return baseType(type) === 'Binary' ? { BinaryValue: value, DataType: type } : { StringValue: value, DataType: type }
}

const bytesOf = ({ type, value }: MessageAttribute): Buffer =>
  baseType(type) === 'Binary' ? Buffer.from(value, 'base64') : Buffer.from(value)

export function attributeBytes(attributes: readonly MessageAttribute[]): number {
  let bytes = 0
  for (const attribute of attributes)
    bytes += Buffer.byteLength(attribute.name) + Buffer.byteLength(attribute.type) + bytesOf(attribute).length
  return bytes
}

export const md5 = (bytes: string | Buffer): string => hash('md5', bytes)

/** By name: u32 length and name, u32 length and type, 1 (text) or 2 (bytes), u32 length and value. */
export function attributesMd5(attributes: readonly MessageAttribute[]): string {
  const hash = createHash('md5')
  const part = (bytes: Buffer): void => {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(bytes.length)
    hash.update(length).update(bytes)
  }
  for (const attribute of [...attributes].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    part(Buffer.from(attribute.name))
    part(Buffer.from(attribute.type))
    hash.update(Buffer.from([baseType(attribute.type) === 'Binary' ? 2 : 1]))
    part(bytesOf(attribute))
  }
  return hash.digest('hex')
}
