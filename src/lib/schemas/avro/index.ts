/** Avro schemas. Binary is the encoding; JSON is Avro's own JSON encoding, in which a value of a union names its branch. */
import { allReferences, type Incompatibility, InvalidSchema, type ReferredSchema, type Schema } from '../schema.ts'
import { decodeAvro, encodeAvro } from './codec.ts'
import { unreadableAvro } from './compatibility.ts'
import { namedTypes, parseAvro } from './parse.ts'
import { printAvro } from './print.ts'
import { type AvroType, fullName, isNamed, type NamedType } from './type.ts'

export class AvroSchema implements Schema {
  readonly language = 'AVRO'
  readonly text: string
  readonly normalized: string
  readonly recordName: string | null
  readonly references: readonly ReferredSchema[]
  readonly type: AvroType

  constructor(text: string, references: readonly ReferredSchema[]) {
    const known = new Map<string, NamedType>()
    for (const schema of allReferences(references).values()) {
      if (!(schema instanceof AvroSchema)) throw new InvalidSchema(`a schema in Avro cannot refer to one in ${schema.language}`)
      for (const [name, type] of namedTypes(schema.type)) known.set(name, type)
    }
    const elsewhere = [...known.keys()]
    this.type = parseAvro(text, known)
    this.references = references
    this.text = printAvro(this.type, elsewhere, false)
    this.normalized = printAvro(this.type, elsewhere, true)
    this.recordName = isNamed(this.type) ? fullName(this.type) : null
  }

  unreadable(writer: Schema): Incompatibility[] {
    if (writer instanceof AvroSchema) return unreadableAvro(this.type, writer.type)
    return [{ type: 'SCHEMA_TYPE_MISMATCH', path: '/', description: `it was written in ${writer.language}` }]
  }

  decode(bytes: Buffer): unknown {
    return decodeAvro(this.type, bytes)
  }

  encode(value: unknown): Buffer {
    return encodeAvro(this.type, value)
  }
}
