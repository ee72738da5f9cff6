/** A schema as the API shows it. */
import { ProtobufSchema } from '../../lib/schemas/protobuf/index.ts'
import { schemaNotFound, unprocessable } from './errors.ts'
import type { Registry } from './registry.ts'
import type { Version } from './store.ts'

/** `format`: `serialized` asks for a schema of Protocol Buffers as a base64 descriptor. Avro is the type that is not named. */
export function shownSchema(registry: Registry, id: number, format: string | null): Record<string, unknown> {
  const stored = registry.store.schema(id)
  if (stored === undefined) throw schemaNotFound(id)
  const { language, references, metadata } = stored
  return {
    schema: textOf(registry, id, format),
    ...(language === 'AVRO' ? {} : { schemaType: language }),
    ...(references.length === 0 ? {} : { references }),
    ...(metadata === null ? {} : { metadata }),
  }
}

export function shownVersion(registry: Registry, { subject, version, id }: Version, format: string | null): object {
  return { subject, version, id, ...shownSchema(registry, id, format) }
}

export function textOf(registry: Registry, id: number, format: string | null): string {
  const schema = registry.schema(id)
  switch (format ?? '') {
    case '':
    case 'default':
      return schema.text
    case 'serialized':
      return schema instanceof ProtobufSchema ? schema.serialized('default') : schema.text
    default:
      throw unprocessable(`the format ${format} is not supported by this registry`)
  }
}
