/** The languages of schemas by their names. */
import { AvroSchema } from './avro/index.ts'
import { JsonSchema } from './json/index.ts'
import { ProtobufSchema } from './protobuf/index.ts'
import { InvalidSchema, type ReferredSchema, type Schema, type SchemaLanguage, schemaBytesMax } from './schema.ts'

export const schemaLanguages: readonly SchemaLanguage[] = ['JSON', 'PROTOBUF', 'AVRO']

/** Throws InvalidSchema. */
export function parseSchema(language: SchemaLanguage, text: string, references: readonly ReferredSchema[] = []): Schema {
  if (Buffer.byteLength(text) > schemaBytesMax) throw new InvalidSchema(`it is larger than ${schemaBytesMax} bytes`)
  switch (language) {
    case 'AVRO':
      return new AvroSchema(text, references)
    case 'JSON':
      return new JsonSchema(text, references)
    case 'PROTOBUF':
      return new ProtobufSchema(text, references)
  }
}
