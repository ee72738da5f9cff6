/** The languages of schemas by their names. */
import { AvroSchema } from './avro/index.ts'
import { JsonSchema } from './json/index.ts'
import { ProtobufSchema } from './protobuf/index.ts'
import { allReferences, InvalidSchema, type ReferredSchema, type Schema, type SchemaLanguage, schemaBytesMax } from './schema.ts'

export const schemaLanguages: readonly SchemaLanguage[] = ['JSON', 'PROTOBUF', 'AVRO']

/** Throws InvalidSchema. */
export function parseSchema(language: SchemaLanguage, text: string, references: readonly ReferredSchema[] = []): Schema {
  const bytesMax = schemaBytesMax[language]
  if (Buffer.byteLength(text) > bytesMax) throw new InvalidSchema(`it is larger than ${bytesMax} bytes`)
  let referred = 0
  for (const schema of allReferences(references).values()) referred += Buffer.byteLength(schema.text)
  if (referred > 4 * bytesMax) throw new InvalidSchema(`what it refers to is larger than ${4 * bytesMax} bytes`)
  switch (language) {
    case 'AVRO':
      return new AvroSchema(text, references)
    case 'JSON':
      return new JsonSchema(text, references)
    case 'PROTOBUF':
      return new ProtobufSchema(text, references)
  }
}
