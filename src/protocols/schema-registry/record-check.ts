/** Judges records of topics that ask for schemas (`TopicConfig.keySchema`, `valueSchema`), whichever protocol they come by. */
import type { RecordCheck, SchemaNaming } from '../../broker/face.ts'
import { ProtobufSchema } from '../../lib/schemas/protobuf/index.ts'
import { type Schema, Unfit } from '../../lib/schemas/schema.ts'
import { contentOf, schemaIdOf } from './framing.ts'
import type { Registry } from './registry.ts'

export function recordCheck(registry: Registry): RecordCheck {
  return (topic, part, naming, content, bytes) => {
    const id = schemaIdOf(bytes)
    if (id === null)
      return content
        ? unnamed(registry, topic, part, naming, bytes)
        : 'names no schema: it does not begin with a zero byte and an id'
    if (registry.store.schema(id) === undefined) return `names the schema ${id}, which does not exist`
    const schema = registry.schema(id)
    const parts = contentOf(bytes, schema.language)
    if (parts === null) return 'names no message of its schema'
    const subject = subjectOf(topic, part, naming, schema, parts.path)
    if (subject === null) return `names the schema ${id}, which has no name`
    if (!registry.store.versions(subject).some((version) => version.id === id && !version.deleted))
      return `names the schema ${id}, which is not registered for the subject "${subject}"`
    return content ? misfit(schema, parts.content, parts.path) : null
  }
}

/** What names no schema is judged by the newest that its topic has. */
function unnamed(registry: Registry, topic: string, part: 'key' | 'value', naming: SchemaNaming, bytes: Buffer): string | null {
  if (naming !== 'topic') return 'names no schema: it does not begin with a zero byte and an id'
  const newest = registry.latest(`${topic}-${part}`)
  if (newest === undefined) return `has no schema: none is registered for the subject "${topic}-${part}"`
  return misfit(registry.schema(newest.id), bytes, [0])
}

function subjectOf(topic: string, part: string, naming: SchemaNaming, schema: Schema, path: readonly number[]): string | null {
  if (naming === 'topic') return `${topic}-${part}`
  const name = schema instanceof ProtobufSchema ? schema.messageName(path) : schema.recordName
  if (name === null) return null
  return naming === 'record' ? name : `${topic}-${name}`
}

function misfit(schema: Schema, bytes: Buffer, path: readonly number[]): string | null {
  try {
    schema.decode(bytes, path)
    return null
  } catch (cause) {
    if (cause instanceof Unfit) return `is not by its schema: ${cause.message}`
    throw cause
  }
}
